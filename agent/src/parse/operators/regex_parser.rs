//! `regex_parser`: the named groups of a pattern become fields; a group that took no part is an empty text.

use std::collections::VecDeque;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use regex::Regex;

use super::Unfit;
use super::entry::{Entry, map_value, put, text_value};
use crate::config::Parse;

/// What was found in the texts that were seen last: a file's path is the same for all of its lines.
#[derive(Debug)]
pub(super) struct Cache {
    size: usize,
    found: VecDeque<(String, Vec<KeyValue>)>,
}

impl Cache {
    pub(super) fn new(size: usize) -> Self {
        Self { size, found: VecDeque::new() }
    }

    fn get(&self, text: &str) -> Option<Vec<KeyValue>> {
        self.found.iter().find(|(seen, _)| seen == text).map(|(_, found)| found.clone())
    }

    fn remember(&mut self, text: &str, found: &[KeyValue]) {
        if self.size > 0 {
            self.found.truncate(self.size - 1);
            self.found.push_front((text.to_owned(), found.to_vec()));
        }
    }
}

pub(super) fn run(
    entry: &mut Entry,
    regex: &Regex,
    parse: &Parse,
    cache: &mut Cache,
) -> Result<(), Unfit> {
    let text = entry.text(&parse.from).ok_or(Unfit)?;
    let found = match cache.get(text) {
        Some(found) => found,
        None => {
            let found = groups(regex, text).ok_or(Unfit)?;
            cache.remember(text, &found);
            found
        }
    };
    entry.set(&parse.to, map_value(found));
    Ok(())
}

fn groups(regex: &Regex, text: &str) -> Option<Vec<KeyValue>> {
    let captures = regex.captures(text)?;
    let mut found = Vec::with_capacity(captures.len() - 1);
    for (name, group) in regex.capture_names().zip(captures.iter()) {
        if let Some(name) = name {
            put(&mut found, name, text_value(group.map_or("", |group| group.as_str())));
        }
    }
    Some(found)
}
