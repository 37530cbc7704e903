//! `recombine`: entries in a row become one, from a first to before the next first, or up to a last.

use std::collections::HashMap;

use super::Step;
use super::entry::{Entry, text_value};
use super::expr;
use crate::config::{Field, Recombine};

/// What has begun, by who wrote it.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: HashMap<String, Batch>,
}

#[derive(Debug)]
struct Batch {
    /// Gives all but the combined field.
    base: Entry,
    /// The line with which it began.
    line: u64,
    text: String,
    entries: usize,
    is_matched: bool,
    field: Field,
}

impl Batches {
    pub(super) fn take(&mut self, settings: &Recombine, entry: Entry) -> Step {
        let Ok(matches) = expr::holds(&settings.condition, &entry) else {
            return Step::Failed(entry);
        };
        let source = entry.text(&settings.source).unwrap_or_default().to_owned();
        let mut freed = Vec::new();
        if matches && settings.is_first {
            freed.extend(self.end(&source));
        }
        if !self.open.contains_key(&source) && self.open.len() >= settings.max_sources {
            freed.extend(self.flush());
        }
        let is_full = self.add(settings, &source, entry, matches);
        if is_full || (matches && !settings.is_first) {
            freed.extend(self.end(&source));
        }
        Step::Held(freed)
    }

    /// Everything that has begun, the oldest first.
    pub(super) fn flush(&mut self) -> Vec<Entry> {
        let mut batches: Vec<Batch> = std::mem::take(&mut self.open).into_values().collect();
        batches.sort_by_key(|batch| batch.line);
        batches.into_iter().map(Batch::finish).collect()
    }

    /// The line with which the oldest began that has not ended.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.open.values().map(|batch| batch.line).min()
    }

    /// Whether the batch has become as large as it may.
    fn add(&mut self, settings: &Recombine, source: &str, entry: Entry, matches: bool) -> bool {
        let text = entry.text(&settings.field).map(str::to_owned);
        let batch = match self.open.get_mut(source) {
            Some(batch) => {
                batch.entries += 1;
                if settings.keep_newest {
                    batch.base = entry;
                }
                batch
            }
            None => {
                let batch = Batch {
                    line: entry.line,
                    base: entry,
                    text: String::new(),
                    entries: 1,
                    is_matched: false,
                    field: settings.field.clone(),
                };
                self.open.entry(source.to_owned()).or_insert(batch)
            }
        };
        batch.is_matched |= matches;
        // Without the field there is nothing to add, and the entry counts all the same.
        if let Some(text) = text {
            if !batch.text.is_empty() {
                batch.text += &settings.with;
            }
            batch.text += &text;
        }
        let unmatched = settings.max_unmatched_batch_size;
        batch.text.len() > settings.max_log_bytes
            || batch.entries >= settings.max_batch_size
            || (!batch.is_matched && unmatched > 0 && batch.entries >= unmatched)
    }

    fn end(&mut self, source: &str) -> Option<Entry> {
        self.open.remove(source).map(Batch::finish)
    }
}

impl Batch {
    fn finish(self) -> Entry {
        let Self { mut base, line, text, field, .. } = self;
        base.line = line;
        base.set(&field, text_value(&text));
        base
    }
}
