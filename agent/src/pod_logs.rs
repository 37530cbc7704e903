//! Joins `tail` and `parse`, which do not know each other.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::parse::ContainerParser;
use crate::record::{LogRecord, Resource};
use crate::self_metrics::{Reason, SelfMetrics};
use crate::tail::{Parser, ParserFactory, Progress};

/// Makes the parsers that a tailer of pod logs needs.
pub fn parser_factory(metrics: &Arc<SelfMetrics>) -> ParserFactory {
    let metrics = Arc::clone(metrics);
    Arc::new(move |path: &Path| {
        let metrics = Arc::clone(&metrics);
        let parser = ContainerParser::new(path);
        Box::new(PodLog { parser, metrics, observed_unix_nano: 0 }) as Box<dyn Parser>
    })
}

struct PodLog {
    parser: ContainerParser,
    metrics: Arc<SelfMetrics>,
    /// When the newest line was seen.
    observed_unix_nano: u64,
}

impl PodLog {
    fn count_cut_lines(&mut self) {
        let cut = self.parser.take_cut_lines();
        if cut > 0 {
            let reason = Reason { reason: "line_cut" };
            self.metrics.tail.lines_dropped.get_or_create(&reason).inc_by(cut);
        }
    }
}

impl Parser for PodLog {
    fn resource(&self) -> Arc<Resource> {
        Arc::clone(self.parser.resource())
    }

    fn line(&mut self, line: Bytes, observed_unix_nano: u64, out: &mut Vec<LogRecord>) -> Progress {
        self.observed_unix_nano = observed_unix_nano;
        self.parser.line(&line, observed_unix_nano, out);
        self.count_cut_lines();
        if self.parser.is_pending() { Progress::Pending } else { Progress::Complete }
    }

    fn flush(&mut self, out: &mut Vec<LogRecord>) {
        self.parser.flush(self.observed_unix_nano, out);
        self.count_cut_lines();
    }
}
