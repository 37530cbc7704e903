//! Joins `tail` and `parse`, which do not know each other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::{Filelog, LineParser};
use crate::parse::operators::Operators;
use crate::parse::{ContainerParser, Held, LineLog, Written};
use crate::record::LogRecord;
use crate::self_metrics::{Reason, SelfMetrics};
use crate::tail::{Parsed, Parser, ParserFactory, Progress};

/// Makes the parsers that a `filelog` receiver needs.
pub fn parsers(filelog: &Filelog, metrics: &Arc<SelfMetrics>) -> ParserFactory {
    let LineParser::Operators(operators) = &filelog.parser else { return parser_factory(metrics) };
    let (operators, metrics) = (Arc::clone(operators), Arc::clone(metrics));
    let described = filelog.described.clone();
    Arc::new(move |path: &Path| {
        let log = LineLog::new(path, &described, Arc::clone(&operators));
        let metrics = Arc::clone(&metrics);
        Box::new(Lines { log, metrics, written: Vec::new() }) as Box<dyn Parser>
    })
}

/// How long what the operators hold back may wait while nothing that belongs to it comes; `None` where they do not say.
pub fn patience(filelog: &Filelog) -> Option<Duration> {
    match &filelog.parser {
        LineParser::Operators(operators) => Operators::patience(operators),
        LineParser::Own => None,
    }
}

/// Lines that the configured operators make records of.
struct Lines {
    log: LineLog,
    metrics: Arc<SelfMetrics>,
    /// Records on their way from the operators.
    written: Vec<Written>,
}

impl Lines {
    fn hand_on(&mut self, out: &mut Vec<Parsed>) {
        out.extend(self.written.drain(..).map(|(resource, record)| Parsed { resource, record }));
        let dropped = self.log.take_dropped();
        if dropped > 0 {
            let reason = Reason { reason: "operator" };
            self.metrics.tail.lines_dropped.get_or_create(&reason).inc_by(dropped);
        }
    }
}

impl Parser for Lines {
    fn line(&mut self, line: Bytes, observed_unix_nano: u64, out: &mut Vec<Parsed>) -> Progress {
        let held = self.log.line(line, observed_unix_nano, &mut self.written);
        self.hand_on(out);
        match held {
            Held::Nothing => Progress::Complete,
            Held::ThisLine => Progress::Begun,
            Held::Earlier => Progress::Pending,
        }
    }

    fn flush(&mut self, out: &mut Vec<Parsed>) {
        self.log.flush(&mut self.written);
        self.hand_on(out);
    }
}

/// Makes the parsers of the embedded default: entries of containers, and our own lines in them.
pub fn parser_factory(metrics: &Arc<SelfMetrics>) -> ParserFactory {
    let metrics = Arc::clone(metrics);
    Arc::new(move |path: &Path| {
        let metrics = Arc::clone(&metrics);
        let parser = ContainerParser::new(path);
        Box::new(PodLog { parser, metrics, observed_unix_nano: 0, records: Vec::new() })
            as Box<dyn Parser>
    })
}

struct PodLog {
    parser: ContainerParser,
    metrics: Arc<SelfMetrics>,
    /// When the newest line was seen.
    observed_unix_nano: u64,
    /// Records on their way from the parser.
    records: Vec<LogRecord>,
}

impl PodLog {
    fn hand_on(&mut self, out: &mut Vec<Parsed>) {
        let resource = self.parser.resource();
        let parsed = |record| Parsed { resource: Arc::clone(resource), record };
        out.extend(self.records.drain(..).map(parsed));
        self.count_cut_lines();
    }

    fn count_cut_lines(&mut self) {
        let cut = self.parser.take_cut_lines();
        if cut > 0 {
            let reason = Reason { reason: "line_cut" };
            self.metrics.tail.lines_dropped.get_or_create(&reason).inc_by(cut);
        }
    }
}

impl Parser for PodLog {
    fn line(&mut self, line: Bytes, observed_unix_nano: u64, out: &mut Vec<Parsed>) -> Progress {
        self.observed_unix_nano = observed_unix_nano;
        self.parser.line(&line, observed_unix_nano, &mut self.records);
        self.hand_on(out);
        if self.parser.is_pending() { Progress::Pending } else { Progress::Complete }
    }

    fn flush(&mut self, out: &mut Vec<Parsed>) {
        self.parser.flush(self.observed_unix_nano, &mut self.records);
        self.hand_on(out);
    }
}
