//! The `debug` exporter: what comes is told in the agent's own log, for those who set a pipeline up.

use std::sync::Arc;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::{Answer, Exporter, Exporting};
use crate::config::Verbosity;
use crate::record::Batch;

/// The exporter.
#[derive(Debug)]
pub struct Debug {
    name: String,
    verbosity: Verbosity,
}

impl Debug {
    /// An exporter that is called `name` in what it tells.
    pub fn new(name: &str, verbosity: Verbosity) -> Self {
        Self { name: name.to_owned(), verbosity }
    }
}

impl Exporter for Debug {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        let (exporter, signal) = (&self.name, batch.signal());
        tracing::info!(exporter, signal, items = batch.items(), "a batch");
        lines(&batch, self.verbosity, |line| tracing::info!(exporter, signal, "{line}"));
        Box::pin(async { Ok(Answer::default()) })
    }
}

/// Tells each item of a batch in one line.
fn lines(batch: &Batch, verbosity: Verbosity, mut tell: impl FnMut(String)) {
    let is_detailed = match verbosity {
        Verbosity::Basic => return,
        Verbosity::Normal => false,
        Verbosity::Detailed => true,
    };
    match batch {
        Batch::Logs(batches) => {
            for batch in batches {
                for record in &batch.records {
                    tell(if is_detailed {
                        format!("{record:?} {:?}", batch.resource)
                    } else {
                        format!("{:?}", record.body)
                    });
                }
            }
        }
        Batch::Spans(spans) => {
            for resource in &spans.resource_spans {
                for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                    tell(if is_detailed {
                        format!("{span:?} {:?}", resource.resource)
                    } else {
                        format!("{:?}", span.name)
                    });
                }
            }
        }
        Batch::Metrics(metrics) => {
            for resource in &metrics.resource_metrics {
                for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                    let points = || metric.data.as_ref().map_or(0, points);
                    tell(if is_detailed {
                        format!("{metric:?} {:?}", resource.resource)
                    } else {
                        format!("{:?} {} points", metric.name, points())
                    });
                }
            }
        }
    }
}

fn points(data: &Data) -> usize {
    match data {
        Data::Gauge(data) => data.data_points.len(),
        Data::Sum(data) => data.data_points.len(),
        Data::Histogram(data) => data.data_points.len(),
        Data::ExponentialHistogram(data) => data.data_points.len(),
        Data::Summary(data) => data.data_points.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MetricBatch;

    #[test]
    fn the_more_verbose_the_more_is_told() {
        let mut batch = MetricBatch::default();
        batch.resource_metrics.push(crate::receive::testing::one_gauge_point());
        let batch = Batch::Metrics(batch);
        let told = |verbosity| {
            let mut told = Vec::new();
            lines(&batch, verbosity, |line| told.push(line));
            told
        };
        assert!(told(Verbosity::Basic).is_empty());
        assert_eq!(told(Verbosity::Normal), ["\"queue_length\" 1 points"]);
        let detailed = told(Verbosity::Detailed);
        assert!(detailed.len() == 1 && detailed[0].contains("NumberDataPoint"), "{detailed:?}");
    }
}
