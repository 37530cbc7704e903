//! The texts that a scraper reads: OpenMetrics 1.0, with exemplars, and Prometheus's 0.0.4, without.

use super::definition::Kind;
use super::labels::escape_into;
use super::name;
use super::snapshot::{Example, ExampleLabels, Family, HistogramValue, Number, Snapshot, Value};
use crate::context::SpanIds;

/// What a sample usually takes.
const BYTES_PER_SAMPLE: usize = 192;

#[derive(Clone, Copy, PartialEq)]
enum Format {
    OpenMetrics,
    Prometheus,
}

/// A snapshot as OpenMetrics 1.0. There are no `_created` samples: Prometheus would store each as a series.
pub(super) fn openmetrics(snapshot: &Snapshot) -> String {
    let mut text = write(snapshot, Format::OpenMetrics);
    text.push_str("# EOF\n");
    text
}

/// A snapshot in the format 0.0.4.
pub(super) fn prometheus(snapshot: &Snapshot) -> String {
    write(snapshot, Format::Prometheus)
}

fn write(snapshot: &Snapshot, format: Format) -> String {
    let samples: usize = snapshot
        .families
        .iter()
        .flat_map(|family| &family.points)
        .map(|point| match &point.value {
            Value::Number { .. } => 1,
            Value::Histogram(histogram) => histogram.counts.len() + 2,
        })
        .sum();
    let mut writer = Writer { text: String::with_capacity(samples * BYTES_PER_SAMPLE), format };
    if let Some(target) = &snapshot.target {
        let (family, kind) = match format {
            Format::OpenMetrics => ("target", "info"),
            Format::Prometheus => ("target_info", "gauge"),
        };
        writer.push(&["# HELP ", family, " Who is measured\n# TYPE ", family, " ", kind, "\n"]);
        writer.name_and_labels("target", "_info", &target.text);
        writer.text.push_str("1\n");
    }
    for family in snapshot.families.iter().filter(|family| !family.points.is_empty()) {
        writer.family(family);
    }
    writer.text
}

struct Writer {
    text: String,
    format: Format,
}

impl Writer {
    fn family(&mut self, family: &Family) {
        let definition = &*family.definition;
        let name = definition.name.as_str();
        let suffix = match definition.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        let kind = match (definition.kind, self.format) {
            (Kind::Counter, _) => "counter",
            (Kind::Histogram, _) => "histogram",
            (Kind::UpDownCounter | Kind::Gauge, _) | (Kind::Info, Format::Prometheus) => "gauge",
            (Kind::Info, Format::OpenMetrics) => "info",
            (Kind::Unknown, Format::OpenMetrics) => "unknown",
            (Kind::Unknown, Format::Prometheus) => "untyped",
        };
        let suffix_of_family = if self.format == Format::OpenMetrics { "" } else { suffix };
        self.push(&["# HELP ", name, suffix_of_family, " "]);
        self.help(&definition.help);
        self.push(&["\n# TYPE ", name, suffix_of_family, " ", kind, "\n"]);
        if self.format == Format::OpenMetrics
            && let Some(unit) = name::openmetrics_unit(name)
        {
            self.push(&["# UNIT ", name, " ", unit, "\n"]);
        }
        for point in &family.points {
            match &point.value {
                Value::Number { number, example } => {
                    self.name_and_labels(name, suffix, &point.labels.text);
                    self.number(*number);
                    // Only counters may have one.
                    let example = example.as_ref().filter(|_| definition.kind == Kind::Counter);
                    self.end_sample(example);
                }
                Value::Histogram(histogram) => {
                    self.histogram(name, &point.labels.text, histogram);
                }
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &HistogramValue) {
        let mut start = String::with_capacity(name.len() + labels.len() + 16);
        start.push_str(name);
        start.push_str("_bucket{");
        if !labels.is_empty() {
            start.push_str(labels);
            start.push(',');
        }
        start.push_str("le=\"");
        let mut total = 0_u64;
        let buckets = histogram.counts.iter().zip(&histogram.bounds.texts);
        for ((count, bound), example) in buckets.zip(&histogram.examples) {
            total += count;
            self.push(&[&start, bound, "\"} "]);
            self.unsigned(total);
            self.end_sample(example.as_ref());
        }
        self.name_and_labels(name, "_sum", labels);
        self.float(histogram.sum);
        self.text.push('\n');
        self.name_and_labels(name, "_count", labels);
        self.unsigned(total);
        self.text.push('\n');
    }

    fn name_and_labels(&mut self, name: &str, suffix: &str, labels: &str) {
        if labels.is_empty() {
            self.push(&[name, suffix, " "]);
        } else {
            self.push(&[name, suffix, "{", labels, "} "]);
        }
    }

    fn end_sample(&mut self, example: Option<&Example>) {
        if let Some(example) = example
            && self.format == Format::OpenMetrics
        {
            self.example(example);
        }
        self.text.push('\n');
    }

    fn example(&mut self, example: &Example) {
        match &example.labels {
            ExampleLabels::Trace { trace_id, span_id } => {
                let ids = SpanIds { trace_id: *trace_id, span_id: *span_id, sampled: true };
                let (trace_id, span_id) = (ids.trace_hex(), ids.span_hex());
                let [trace_id, span_id] = [&trace_id[..], &span_id]
                    .map(|digits| std::str::from_utf8(digits).unwrap_or_default());
                self.push(&[" # {trace_id=\"", trace_id, "\",span_id=\"", span_id, "\"} "]);
            }
            ExampleLabels::Own(labels) => {
                self.text.push_str(" # {");
                for (index, (name, value)) in labels.iter().enumerate() {
                    self.push(&[if index == 0 { "" } else { "," }, name, "=\""]);
                    escape_into(&mut self.text, value);
                    self.text.push('"');
                }
                self.text.push_str("} ");
            }
        }
        self.float(example.value);
        if let Some(nanos) = example.unix_nanos {
            self.text.push(' ');
            self.unsigned(nanos / 1_000_000_000);
            let millis = nanos / 1_000_000 % 1_000;
            let digits = [millis / 100, millis / 10 % 10, millis % 10];
            self.text.push('.');
            self.text.extend(digits.map(|digit| char::from(b"0123456789"[digit as usize % 10])));
        }
    }

    fn help(&mut self, help: &str) {
        for c in help.chars() {
            match (c, self.format) {
                ('\\', _) => self.text.push_str("\\\\"),
                ('\n', _) => self.text.push_str("\\n"),
                ('"', Format::OpenMetrics) => self.text.push_str("\\\""),
                _ => self.text.push(c),
            }
        }
    }

    fn number(&mut self, number: Number) {
        match number {
            Number::Unsigned(number) => self.unsigned(number),
            Number::Signed(number) => {
                self.text.push_str(itoa::Buffer::new().format(number));
            }
            Number::Float(number) => self.float(number),
        }
    }

    fn unsigned(&mut self, number: u64) {
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    fn float(&mut self, number: f64) {
        self.text.push_str(if number.is_nan() {
            "NaN"
        } else if number == f64::INFINITY {
            "+Inf"
        } else if number == f64::NEG_INFINITY {
            "-Inf"
        } else {
            return self.text.push_str(zmij::Buffer::new().format_finite(number));
        });
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.push_str(part);
        }
    }
}
