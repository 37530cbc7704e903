//! What Loki refuses of a push, read from its answer.
//!
//! Loki takes what it can of a push, refuses the rest, and says so in a text: `2 errors like: …` for lines that its
//! distributor refuses, `total ignored: 2 out of 10` for those that its ingester does. The reasons are named as in its
//! own metric `loki_discarded_samples_total`.

/// What part of a push a message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// One line for each time that it is told.
    Line,
    /// All lines of the stream.
    Stream,
    /// As many as the message says.
    Told,
}

/// What each message of Loki has in it, and what that means.
const MESSAGES: &[(&str, &str, Part)] = &[
    ("has timestamp too old", "greater_than_max_sample_age", Part::Line),
    ("has timestamp too new", "too_far_in_future", Part::Line),
    ("max entry size", "line_too_long", Part::Line),
    ("label names", "max_label_names_per_series", Part::Stream),
    ("has label name too long", "label_name_too_long", Part::Stream),
    ("has label value too long", "label_value_too_long", Part::Stream),
    ("has duplicate label name", "duplicate_label_names", Part::Stream),
    ("at least one label pair is required", "missing_labels", Part::Stream),
    ("missing required labels", "missing_enforced_labels", Part::Stream),
    ("error parsing labels", "invalid_labels", Part::Stream),
    ("couldn't parse labels", "invalid_labels", Part::Stream),
    ("ingestion blocked for user", "blocked_ingestion", Part::Stream),
    ("maximum active stream limit exceeded", "stream_limit", Part::Stream),
    ("entry too far behind", "too_far_behind", Part::Told),
    ("entry out of order", "out_of_order", Part::Told),
];

/// Why lines of a push of one stream were refused, and how many of its `lines`.
pub(super) fn refused(text: &str, lines: u64) -> Vec<(&'static str, u64)> {
    known(text, lines).unwrap_or_else(|| vec![("refused", lines)])
}

/// As [`refused`], if it is a message of Loki's.
pub(super) fn known(text: &str, lines: u64) -> Option<Vec<(&'static str, u64)>> {
    let mut refused: Vec<(&'static str, u64)> = Vec::new();
    let mut add = |reason, count: u64| match refused.iter_mut().find(|(known, _)| *known == reason)
    {
        Some((_, sum)) => *sum += count,
        None => refused.push((reason, count)),
    };
    if let Some(ignored) = number_after(text, "total ignored: ") {
        let found = MESSAGES.iter().find(|(part, ..)| text.contains(part));
        add(found.map_or("refused", |(_, reason, _)| reason), ignored);
    } else {
        for message in text.split("; ") {
            let Some((_, reason, part)) = MESSAGES.iter().find(|(part, ..)| message.contains(part))
            else {
                // Labels are told as they are, so a message may have a semicolon in it.
                continue;
            };
            let told =
                message.split_once(" errors like: ").and_then(|(count, _)| count.parse().ok());
            add(reason, if *part == Part::Line { told.unwrap_or(1) } else { lines });
        }
    }
    let mut left = lines;
    for (_, count) in &mut refused {
        *count = (*count).min(left);
        left -= *count;
    }
    refused.retain(|(_, count)| *count > 0);
    (!refused.is_empty()).then_some(refused)
}

/// Whether a push is answered so for as long as the tenant has as many streams as it has.
pub(super) fn is_stream_limit(text: &str) -> bool {
    text.contains("maximum active stream limit exceeded")
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    // The last, since lines are told before it.
    let (_, after) = text.rsplit_once(label)?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_the_reason_that_loki_gives() {
        // As Loki 3.7 says it.
        let old = "entry for stream '{a=\"b\"}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-11-17T00:00:00Z";
        let long = "max entry size '262144' bytes exceeded for stream '{a=\"b; 7 errors like: c\"}' while adding an entry with length '300000' bytes";
        for (text, lines, expected) in [
            (old.to_owned(), 5, vec![("greater_than_max_sample_age", 1)]),
            (format!("3 errors like: {old}"), 5, vec![("greater_than_max_sample_age", 3)]),
            (
                format!("2 errors like: {old}; 1 errors like: {long}; 1 errors like: {old}"),
                9,
                vec![("greater_than_max_sample_age", 3), ("line_too_long", 1)],
            ),
            (
                "entry for stream '{a=\"b\"}' has 16 label names; limit 15".to_owned(),
                4,
                vec![("max_label_names_per_series", 4)],
            ),
            (
                "entry with timestamp 2026-11-24 20:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: \
                 2026-11-24T20:00:00Z, oldest acceptable timestamp is: 2026-11-24T21:00:00Z',\nuser 'fake', total ignored: 2 out of 3 for \
                 stream: {a=\"b\"}"
                    .to_owned(),
                3,
                vec![("too_far_behind", 2)],
            ),
            ("who knows".to_owned(), 3, vec![("refused", 3)]),
            (format!("30 errors like: {old}"), 5, vec![("greater_than_max_sample_age", 5)]),
        ] {
            assert_eq!(refused(&text, lines), expected, "{text}");
        }
    }
}
