//! A batch in parts of no more than so many items.

use std::sync::Arc;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

use super::{Batch, LogBatch, MetricBatch, SpanBatch};

impl Batch {
    /// Parts with `most` items each but the last, in the order of the items, each under what it stood under.
    pub fn split(self, most: usize) -> Vec<Self> {
        let most = most.max(1);
        if self.items() <= most {
            return vec![self];
        }
        match self {
            Self::Logs(batches) => {
                let mut parts = Parts::new(most);
                for LogBatch { resource, scope, records } in batches {
                    parts.add(records, |part: &mut Vec<LogBatch>, records| {
                        let (resource, scope) = (Arc::clone(&resource), scope.clone());
                        part.push(LogBatch { resource, scope, records });
                    });
                }
                parts.all.into_iter().map(Self::Logs).collect()
            }
            Self::Spans(batch) => spans(batch, most).into_iter().map(Self::Spans).collect(),
            Self::Metrics(batch) => metrics(batch, most).into_iter().map(Self::Metrics).collect(),
        }
    }
}

/// What was filled, and what is being filled.
struct Parts<P> {
    all: Vec<P>,
    room: usize,
    most: usize,
}

impl<P: Default> Parts<P> {
    fn new(most: usize) -> Self {
        Self { all: Vec::new(), room: 0, most }
    }

    /// Gives as many items to each part as it has room for; `put` adds them.
    fn add<T>(&mut self, mut items: Vec<T>, mut put: impl FnMut(&mut P, Vec<T>)) {
        while !items.is_empty() {
            if self.room == 0 {
                self.all.push(P::default());
                self.room = self.most;
            }
            let rest = items.split_off(self.room.min(items.len()));
            self.room -= items.len();
            if let Some(part) = self.all.last_mut() {
                put(part, items);
            }
            items = rest;
        }
    }
}

fn spans(batch: SpanBatch, most: usize) -> Vec<SpanBatch> {
    let mut parts = Parts::new(most);
    for mut resource in batch.resource_spans {
        for mut scope in std::mem::take(&mut resource.scope_spans) {
            let spans = std::mem::take(&mut scope.spans);
            parts.add(spans, |part: &mut SpanBatch, spans| {
                let scope_spans = vec![ScopeSpans { spans, ..scope.clone() }];
                part.resource_spans.push(ResourceSpans { scope_spans, ..resource.clone() });
            });
        }
    }
    parts.all
}

fn metrics(batch: MetricBatch, most: usize) -> Vec<MetricBatch> {
    let mut parts = Parts::new(most);
    for mut resource in batch.resource_metrics {
        for mut scope in std::mem::take(&mut resource.scope_metrics) {
            for mut metric in std::mem::take(&mut scope.metrics) {
                let Some(data) = metric.data.take() else { continue };
                let put = |part: &mut MetricBatch, data: Data| {
                    let metric = Metric { data: Some(data), ..metric.clone() };
                    let metrics = vec![metric];
                    let scope_metrics = vec![ScopeMetrics { metrics, ..scope.clone() }];
                    let resource = ResourceMetrics { scope_metrics, ..resource.clone() };
                    part.resource_metrics.push(resource);
                };
                // Without its points each kind of data is a few words.
                macro_rules! points {
                    ($kind:ident, $data:expr) => {{
                        let mut data = $data;
                        let points = std::mem::take(&mut data.data_points);
                        parts.add(points, |part, data_points| {
                            let mut data = data.clone();
                            data.data_points = data_points;
                            put(part, Data::$kind(data));
                        });
                    }};
                }
                match data {
                    Data::Gauge(data) => points!(Gauge, data),
                    Data::Sum(data) => points!(Sum, data),
                    Data::Histogram(data) => points!(Histogram, data),
                    Data::ExponentialHistogram(data) => points!(ExponentialHistogram, data),
                    Data::Summary(data) => points!(Summary, data),
                }
            }
        }
    }
    parts.all
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::{Gauge, NumberDataPoint, Sum};
    use opentelemetry_proto::tonic::trace::v1::Span;
    use proptest::prelude::*;

    use super::*;

    fn some_spans(scopes: &[usize]) -> Batch {
        let mut n = 0;
        let mut span = || {
            n += 1;
            Span { name: n.to_string(), ..Span::default() }
        };
        let mut scope = |(number, count): (usize, &usize)| {
            let spans = (0..*count).map(|_| span()).collect();
            let schema_url = number.to_string();
            let scope_spans = vec![ScopeSpans { spans, schema_url, ..ScopeSpans::default() }];
            ResourceSpans { scope_spans, ..ResourceSpans::default() }
        };
        let resource_spans = scopes.iter().enumerate().map(&mut scope).collect();
        Batch::Spans(SpanBatch { resource_spans })
    }

    /// Every span with what it stands under.
    fn told(batch: &Batch) -> Vec<(String, String)> {
        let Batch::Spans(batch) = batch else { panic!("{batch:?}") };
        let scopes = batch.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        scopes
            .flat_map(|scope| {
                scope.spans.iter().map(|span| (scope.schema_url.clone(), span.name.clone()))
            })
            .collect()
    }

    proptest! {
        #[test]
        fn parts_are_full_and_together_the_whole(
            scopes in prop::collection::vec(0_usize..9, 0..9), most in 0_usize..20,
        ) {
            let whole = some_spans(&scopes);
            let parts = whole.clone().split(most);
            let most = most.max(1);
            prop_assert_eq!(parts.iter().flat_map(told).collect::<Vec<_>>(), told(&whole));
            let (last, full) = parts.split_last().unwrap();
            prop_assert!(last.items() <= most);
            prop_assert!(full.iter().all(|part| part.items() == most));
        }
    }

    #[test]
    fn points_keep_their_metric() {
        let data_points = vec![NumberDataPoint::default(); 3];
        let sum = Sum { data_points: data_points.clone(), is_monotonic: true, ..Sum::default() };
        let metric = |name: &str, data| Metric {
            name: name.to_owned(),
            data: Some(data),
            ..Metric::default()
        };
        let metrics =
            vec![metric("g", Data::Gauge(Gauge { data_points })), metric("s", Data::Sum(sum))];
        let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
        let resource_metrics =
            vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
        let parts = Batch::Metrics(MetricBatch { resource_metrics }).split(4);
        assert_eq!(parts.iter().map(Batch::items).collect::<Vec<_>>(), [4, 2]);
        let Batch::Metrics(last) = &parts[1] else { panic!("{parts:?}") };
        let metric = &last.resource_metrics[0].scope_metrics[0].metrics[0];
        assert!(matches!(&metric.data, Some(Data::Sum(sum)) if sum.is_monotonic), "{metric:?}");
        assert_eq!(metric.name, "s");
    }

    #[test]
    fn records_are_split_too() {
        let lines = crate::export::testing::lines(&["1", "2", "3"]);
        let parts = Batch::Logs(vec![lines.clone(), lines]).split(4);
        assert_eq!(parts.iter().map(Batch::items).collect::<Vec<_>>(), [4, 2]);
    }
}
