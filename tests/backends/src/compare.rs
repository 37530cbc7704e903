//! Two accounts of the same lines: how many are the same, and how the others differ.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use serde_json::Value;

use crate::Entry;

/// How many differences are shown of each kind.
const EXAMPLES: usize = 2;
const EXAMPLE_LENGTH: usize = 600;

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Records that the Collector has.
    pub records: usize,
    /// Records that are the same in both.
    pub equal: usize,
    /// How often they differ, by kind, with examples.
    pub differences: BTreeMap<String, (usize, Vec<String>)>,
}

impl Comparison {
    /// Compares what came out of each file. The order is no part of it: the Collector sends over several connections at once.
    pub fn of_records(ours: &[Value], collectors: &[Value]) -> Self {
        let mut found = Self { records: collectors.len(), ..Self::default() };
        let (mut ours, mut collectors) = (by_file(ours), by_file(collectors));
        let files: BTreeSet<_> = ours.keys().chain(collectors.keys()).cloned().collect();
        for file in files {
            let [ours, collectors] = [&mut ours, &mut collectors].map(|of| of.remove(&file));
            found.of_one_file(ours.unwrap_or_default(), collectors.unwrap_or_default());
        }
        found
    }

    /// What is equal goes away; of the rest, records of one time are partners.
    fn of_one_file(&mut self, mut ours: Vec<&Value>, mut collectors: Vec<&Value>) {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for record in &collectors {
            *seen.entry(record.to_string()).or_default() += 1;
        }
        let mut taken = seen.clone();
        ours.retain(|record| !take(&mut taken, record));
        // What ours took of them.
        for (record, count) in &mut seen {
            *count -= taken.get(record).copied().unwrap_or_default();
        }
        collectors.retain(|record| {
            let is_equal = take(&mut seen, record);
            self.equal += usize::from(is_equal);
            !is_equal
        });
        let mut partners: BTreeMap<String, [VecDeque<&Value>; 2]> = BTreeMap::new();
        for (side, records) in [ours, collectors].into_iter().enumerate() {
            for record in records {
                partners.entry(time_of(record)).or_default()[side].push_back(record);
            }
        }
        for [mut ours, mut collectors] in partners.into_values() {
            loop {
                match (ours.pop_front(), collectors.pop_front()) {
                    (Some(one), Some(other)) => {
                        let mut parts = Vec::new();
                        differing_parts("", one, other, &mut parts);
                        self.differ(
                            &parts.join(", "),
                            format!("ours      {one}\n    collector {other}"),
                        );
                    }
                    (Some(one), None) => self.differ("only ours", one.to_string()),
                    (None, Some(other)) => self.differ("only the Collector's", other.to_string()),
                    (None, None) => break,
                }
            }
        }
    }

    /// Compares what Loki holds of both, entry for entry and label for label.
    pub fn of_entries(ours: &[Entry], collectors: &[Entry]) -> Self {
        let as_records = |entries: &[Entry]| -> Vec<Value> {
            let as_record = |entry: &Entry| {
                serde_json::json!({
                    "labels": entry.labels,
                    "nanos": entry.nanos,
                    "line": entry.line,
                    "resource": { "filename": entry.labels.get("filename") },
                })
            };
            entries.iter().map(as_record).collect()
        };
        Self::of_records(&as_records(ours), &as_records(collectors))
    }

    fn differ(&mut self, kind: &str, example: String) {
        let (count, examples) = self.differences.entry(kind.to_owned()).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(example.lines().map(cut).collect::<Vec<_>>().join("\n"));
        }
    }
}

fn cut(line: &str) -> String {
    line.chars().take(EXAMPLE_LENGTH).collect()
}

/// Whether there was one left.
fn take(counts: &mut BTreeMap<String, usize>, record: &Value) -> bool {
    match counts.get_mut(&record.to_string()) {
        Some(count @ 1..) => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// When the line was written, in the words of the runtime if they are there.
fn time_of(record: &Value) -> String {
    let time = [&record["attributes"]["time"], &record["record"]["timeUnixNano"], &record["nanos"]];
    time.into_iter().find(|time| !time.is_null()).map(Value::to_string).unwrap_or_default()
}

/// Which leaves of the two are not the same.
fn differing_parts(path: &str, one: &Value, other: &Value, parts: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<_> = one.keys().chain(other.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (one, other) = (one.get(key), other.get(key));
                let null = Value::Null;
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                differing_parts(&path, one.unwrap_or(&null), other.unwrap_or(&null), parts);
            }
        }
        _ if one == other => {}
        _ => parts.push(path.to_owned()),
    }
}

fn by_file(records: &[Value]) -> BTreeMap<String, Vec<&Value>> {
    let mut files: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for record in records {
        let name = ["resource", "attributes"].into_iter().find_map(|place| {
            ["filename", "log.file.path"].into_iter().find_map(|key| record[place].get(key))
        });
        files.entry(name.map(Value::to_string).unwrap_or_default()).or_default().push(record);
    }
    files
}

/// A row of a markdown table, and under it what differs.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differing: usize = self.differences.values().map(|(count, _)| count).sum();
        write!(f, "{} | {} | {differing} |", self.records, self.equal)?;
        for (kind, (count, examples)) in &self.differences {
            write!(f, "\n  {count} × {kind}")?;
            for example in examples {
                write!(f, "\n    {example}")?;
            }
        }
        Ok(())
    }
}
