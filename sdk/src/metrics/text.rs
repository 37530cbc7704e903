//! The texts that a scraper reads: OpenMetrics 1.0, with exemplars, and Prometheus's 0.0.4, without.

use std::ops::Range;

use super::definition::Kind;
use super::labels::escaped;
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
pub(super) fn openmetrics(snapshot: &Snapshot) -> Vec<u8> {
    let mut text = write(snapshot, Format::OpenMetrics);
    text.extend_from_slice(b"# EOF\n");
    text
}

/// A snapshot in the format 0.0.4.
pub(super) fn prometheus(snapshot: &Snapshot) -> Vec<u8> {
    write(snapshot, Format::Prometheus)
}

fn write(snapshot: &Snapshot, format: Format) -> Vec<u8> {
    let samples: usize = snapshot
        .families
        .iter()
        .flat_map(|family| &family.points)
        .map(|point| match &point.value {
            Value::Number { .. } => 1,
            Value::Histogram(histogram) => histogram.counts.len() + 2,
        })
        .sum();
    let text = Vec::with_capacity(samples * BYTES_PER_SAMPLE);
    let mut writer = Writer { text, start: String::new(), format };
    if let Some(target) = &snapshot.target {
        let (family, kind) = match format {
            Format::OpenMetrics => ("target", "info"),
            Format::Prometheus => ("target_info", "gauge"),
        };
        writer.push(&["# HELP ", family, " Who is measured\n# TYPE ", family, " ", kind, "\n"]);
        writer.name_and_labels("target", "_info", &target.text);
        writer.push(&["1\n"]);
    }
    for family in snapshot.families.iter().filter(|family| !family.points.is_empty()) {
        writer.family(family);
    }
    writer.text
}

/// What is written is text; the bytes are not checked to be, one piece after the other.
struct Writer {
    text: Vec<u8>,
    /// With what each bucket of a histogram begins.
    start: String,
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
        self.start.clear();
        self.start.extend([name, "_bucket{", labels]);
        self.start.push_str(if labels.is_empty() { "le=\"" } else { ",le=\"" });
        let mut total = 0_u64;
        let buckets = histogram.counts.iter().zip(&histogram.bounds.texts);
        for ((count, bound), example) in buckets.zip(&histogram.examples) {
            total += count;
            self.text.extend_from_slice(self.start.as_bytes());
            self.text.extend_from_slice(bound.as_bytes());
            self.unsigned(total);
            self.end_sample(example.as_ref());
        }
        self.name_and_labels(name, "_sum", labels);
        self.float(histogram.sum);
        self.text.push(b'\n');
        self.name_and_labels(name, "_count", labels);
        self.unsigned(total);
        self.text.push(b'\n');
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
        self.text.push(b'\n');
    }

    fn example(&mut self, example: &Example) {
        match &example.labels {
            ExampleLabels::Trace { trace_id, span_id } => {
                let ids = SpanIds { trace_id: *trace_id, span_id: *span_id, sampled: true };
                self.text.extend_from_slice(&exemplar_labels(&ids));
            }
            ExampleLabels::Own(labels) => {
                self.push(&[" # {"]);
                for (index, (name, value)) in labels.iter().enumerate() {
                    self.push(&[if index == 0 { "" } else { "," }, name, "=\""]);
                    escaped(value).for_each(|piece| self.push(&[piece]));
                    self.push(&["\""]);
                }
                self.push(&["} "]);
            }
        }
        self.float(example.value);
        if let Some(nanos) = example.unix_nanos {
            self.text.push(b' ');
            self.unsigned(nanos / 1_000_000_000);
            let millis = nanos / 1_000_000 % 1_000;
            let digits = [millis / 100, millis / 10 % 10, millis % 10];
            let [hundreds, tens, ones] = digits.map(|digit| b"0123456789"[digit as usize % 10]);
            self.text.extend_from_slice(&[b'.', hundreds, tens, ones]);
        }
    }

    fn help(&mut self, help: &str) {
        for piece in help.split_inclusive(['\\', '\n', '"']) {
            let (before, escape) = match (piece.chars().next_back(), self.format) {
                (Some('\\'), _) => (&piece[..piece.len() - 1], "\\\\"),
                (Some('\n'), _) => (&piece[..piece.len() - 1], "\\n"),
                (Some('"'), Format::OpenMetrics) => (&piece[..piece.len() - 1], "\\\""),
                _ => (piece, ""),
            };
            self.push(&[before, escape]);
        }
    }

    fn number(&mut self, number: Number) {
        match number {
            Number::Unsigned(number) => self.unsigned(number),
            Number::Signed(number) => self.push(&[itoa::Buffer::new().format(number)]),
            Number::Float(number) => self.float(number),
        }
    }

    fn unsigned(&mut self, number: u64) {
        self.text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn float(&mut self, number: f64) {
        let mut buffer = zmij::Buffer::new();
        let text = if number.is_nan() {
            "NaN"
        } else if number == f64::INFINITY {
            "+Inf"
        } else if number == f64::NEG_INFINITY {
            "-Inf"
        } else {
            buffer.format_finite(number)
        };
        self.text.extend_from_slice(text.as_bytes());
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.extend_from_slice(part.as_bytes());
        }
    }
}

/// The ids' labels in one piece, with what stands around them: nearly every line of a large page has them.
fn exemplar_labels(ids: &SpanIds) -> [u8; 76] {
    const TRACE_ID: Range<usize> = 14..46;
    const SPAN_ID: Range<usize> = 57..73;
    let mut text =
        *b" # {trace_id=\"................................\",span_id=\"................\"} ";
    text[TRACE_ID].copy_from_slice(&ids.trace_hex());
    text[SPAN_ID].copy_from_slice(&ids.span_hex());
    text
}
