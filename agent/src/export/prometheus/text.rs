//! The series as a scraper reads them.

use std::fmt::Write as _;

use tokio::time::Instant;

use super::series::{AllSeries, FamilySeries, Series};
use crate::accept::Format;
use crate::samples::{Example, Kind, Label, Value, names, number_text};

/// All that is shown at a time. There are no `_created` samples: Prometheus would store each as a series.
pub(super) fn write(all: &AllSeries, format: Format, times: bool, now: Instant) -> String {
    let mut writer = Writer { text: String::new(), format, times };
    let mut targets = all.targets(now).peekable();
    if targets.peek().is_some() {
        let (name, kind) = match format {
            Format::OpenMetrics => ("target", "info"),
            Format::Text => ("target_info", "gauge"),
        };
        writer.head(name, kind, "Who sent the metrics");
        for target in targets {
            writer.sample("target_info", target, None, "1");
            writer.text.push('\n');
        }
    }
    for family in all.families() {
        writer.family(family, |series| all.is_shown(series, now));
    }
    if format == Format::OpenMetrics {
        writer.text.push_str("# EOF\n");
    }
    writer.text
}

struct Writer {
    text: String,
    format: Format,
    times: bool,
}

impl Writer {
    fn family(&mut self, of_family: &FamilySeries, is_shown: impl Fn(&Series) -> bool) {
        let mut shown = of_family.series.iter().filter(|(_, series)| is_shown(series)).peekable();
        if shown.peek().is_none() {
            return;
        }
        let family = &of_family.family;
        let sample_name = family.sample_name();
        match self.format {
            Format::OpenMetrics => {
                self.head(&family.name, family.kind.word(), &family.help);
                if let Some(unit) = names::unit_suffix(&family.name) {
                    self.push(&["# UNIT ", &family.name, " ", unit, "\n"]);
                }
            }
            Format::Text => self.head(&sample_name, family.kind.word(), &family.help),
        }
        for (labels, series) in shown {
            self.series(&sample_name, family.kind, labels, series);
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.push(&["# HELP ", name, " "]);
        for c in help.chars() {
            match (c, self.format) {
                ('\\', _) => self.text.push_str("\\\\"),
                ('\n', _) => self.text.push_str("\\n"),
                ('"', Format::OpenMetrics) => self.text.push_str("\\\""),
                _ => self.text.push(c),
            }
        }
        self.push(&["\n# TYPE ", name, " ", kind, "\n"]);
    }

    fn series(&mut self, name: &str, kind: Kind, labels: &[Label], series: &Series) {
        match &series.value {
            Value::Number(number) => {
                self.sample(name, labels, None, &number_text(*number));
                // Only counters may have one.
                let example = series.examples.get(&0).filter(|_| kind == Kind::Counter);
                self.end(series, example);
            }
            Value::Histogram(buckets) => {
                let bucket = format!("{name}_bucket");
                let mut total = 0_u64;
                for (index, count) in buckets.counts.iter().enumerate() {
                    total = total.saturating_add(*count);
                    let bound = buckets.bounds.get(index).copied().unwrap_or(f64::INFINITY);
                    let le = names::bound(bound);
                    self.sample(&bucket, labels, Some(("le", &le)), &total.to_string());
                    self.end(series, series.examples.get(&index));
                }
                // With observations below zero a sum may shrink, and OpenMetrics has none then; where it has no sum it has
                // no count either, which the last bucket tells anyway.
                let may_shrink = buckets.bounds.first().is_some_and(|bound| *bound < 0.0);
                let is_open_metrics = self.format == Format::OpenMetrics;
                let sum = buckets.sum.filter(|_| !(is_open_metrics && may_shrink));
                if let Some(sum) = sum {
                    self.sample(&format!("{name}_sum"), labels, None, &number_text(sum));
                    self.end(series, None);
                }
                if sum.is_some() || !is_open_metrics {
                    self.sample(&format!("{name}_count"), labels, None, &total.to_string());
                    self.end(series, None);
                }
            }
            Value::Summary { quantiles, sum, count } => {
                for (quantile, value) in quantiles {
                    let quantile = names::bound(*quantile);
                    let extra = Some(("quantile", quantile.as_str()));
                    self.sample(name, labels, extra, &number_text(*value));
                    self.end(series, None);
                }
                self.sample(&format!("{name}_sum"), labels, None, &number_text(*sum));
                self.end(series, None);
                self.sample(&format!("{name}_count"), labels, None, &count.to_string());
                self.end(series, None);
            }
            Value::Gone => {}
        }
    }

    fn sample(&mut self, name: &str, labels: &[Label], extra: Option<(&str, &str)>, value: &str) {
        self.text.push_str(name);
        let labels = labels.iter().map(|(name, value)| (&**name, &**value));
        self.labels(labels.chain(extra), true);
        self.push(&[" ", value]);
    }

    fn labels<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>, may_lack: bool) {
        let before = self.text.len();
        self.text.push('{');
        for (index, (name, value)) in labels.enumerate() {
            self.push(&[if index == 0 { "" } else { "," }, name, "=\""]);
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if may_lack && self.text.len() == before + 1 {
            self.text.truncate(before);
        } else {
            self.text.push('}');
        }
    }

    fn end(&mut self, series: &Series, example: Option<&Example>) {
        if self.times && series.time_unix_nano != 0 {
            let millis = series.time_unix_nano / 1_000_000;
            // Writing to a string does not fail.
            let _ = match self.format {
                Format::OpenMetrics => {
                    write!(self.text, " {}.{:03}", millis / 1_000, millis % 1_000)
                }
                Format::Text => write!(self.text, " {millis}"),
            };
        }
        if let Some(example) = example.filter(|_| self.format == Format::OpenMetrics) {
            self.text.push_str(" # ");
            self.labels(example.labels.iter().map(|(name, value)| (&**name, &**value)), false);
            self.push(&[" ", &number_text(example.value)]);
            if example.time_unix_nano != 0 {
                let millis = example.time_unix_nano / 1_000_000;
                let _ = write!(self.text, " {}.{:03}", millis / 1_000, millis % 1_000);
            }
        }
        self.text.push('\n');
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.text.push_str(part);
        }
    }
}
