//! When a line was logged, by its own words.
//!
//! The time at which a line was written to its file is later, by as much as its writer waited, and more so under load:
//! by that time lines would stand behind their spans, and those of one service in front of what caused them in another.

use jiff::Timestamp;

/// A line that says it waited longer than this is not believed: what looks like its time is something else.
const LONGEST_WAIT_NANOS: i64 = 60_000_000_000;

/// Zones are whole quarters of an hour away from each other, so the zone of a time that does not name it follows from
/// the time of writing.
const ZONE_STEP_NANOS: i64 = 900_000_000_000;

/// `2026-11-23T17:28:00`, with a space for the `T` as Python has it.
const SECONDS_LEN: usize = 19;

/// The times between which a line was logged, in nanoseconds since 1970: its own time, and the last instant that is
/// written with the same digits and not after it was in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Logged {
    /// Of a line that was written to its file at a time. One without a time of its own was logged when it was written.
    pub(super) fn of(line: &str, written: i64) -> Self {
        let own = [line, line.strip_prefix("ts=").unwrap_or_default()]
            .into_iter()
            .chain(line.match_indices("\"timestamp\":\"").map(|(at, key)| &line[at + key.len()..]));
        let found = own.filter_map(time).find_map(|(time, digit_nanos)| {
            let waited = written.checked_sub(time)?.rem_euclid(ZONE_STEP_NANOS);
            let first = written.checked_sub(waited)?;
            let is_likely = waited <= LONGEST_WAIT_NANOS;
            is_likely.then(|| Self { first, last: (first + (digit_nanos - 1)).min(written) })
        });
        found.unwrap_or(Self { first: written, last: written })
    }

    /// The time to show it at: within its span where its digits leave that open.
    pub(super) fn within(self, (start, end): (i64, i64)) -> i64 {
        let latest = if self.first <= end { self.last.min(end) } else { self.last };
        if self.last >= start { latest.max(start) } else { latest }
    }
}

/// The time with which `text` begins, as if it were UTC, and what its last digit stands for.
fn time(text: &str) -> Option<(i64, i64)> {
    let (seconds, rest) = text.split_at_checked(SECONDS_LEN)?;
    let digits = rest.strip_prefix(['.', ',']).unwrap_or_default();
    let len = digits.bytes().take_while(u8::is_ascii_digit).count().min(9);
    let time: Timestamp = format!("{seconds}.{:0<9}Z", &digits[..len]).parse().ok()?;
    let digit_nanos = 10_i64.pow(9 - u32::try_from(len).ok()?);
    Some((i64::try_from(time.as_nanosecond()).ok()?, digit_nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// 2026-11-23T17:28:00Z.
    const NOON: i64 = 1_795_454_880 * SECOND;

    fn logged(line: &str, written: i64) -> (i64, i64) {
        let Logged { first, last } = Logged::of(line, written);
        (first - NOON, last - NOON)
    }

    #[test]
    fn every_format_of_ours_says_when() {
        let (milli, micro) = ((123_000_000, 123_999_999), (123_456_000, 123_456_999));
        for (line, expected) in [
            ("2026-11-23T17:28:00.123456Z INFO a: b", micro),
            (
                "[INFO] [trace_id=1] x {\"level\":\"info\",\"timestamp\":\"2026-11-23T17:28:00.123Z\"}",
                milli,
            ),
            ("2026-11-23 17:28:00,123 INFO [a] [b.py:1] - x", milli),
            ("2026-11-23 22:58:00,123 INFO [a] [b.py:1] - in India", milli),
            ("{\"timestamp\":\"2026-11-23T17:28:00.123456Z\",\"level\":\"info\"}", micro),
            ("ts=2026-11-23T17:28:00.123456Z level=info", micro),
        ] {
            assert_eq!(logged(line, NOON + SECOND), expected, "{line}");
        }
    }

    #[test]
    fn a_line_was_never_logged_after_it_was_written() {
        let line = "2026-11-23 17:28:00,123 INFO";
        assert_eq!(logged(line, NOON + 123_400_000), (123_000_000, 123_400_000));
    }

    #[test]
    fn what_is_no_time_of_a_line_is_not_believed() {
        for line in [
            "",
            "hello",
            "2026-11-23T17:28:00",
            "2026-99-23T17:28:00.1Z",
            "{\"timestamp\":\"yesterday\"}",
            "2026-11-23T17:2ü:00 1234",
        ] {
            let written = NOON + 61 * SECOND;
            assert_eq!(
                Logged::of(line, written),
                Logged { first: written, last: written },
                "{line}"
            );
        }
        for written in [i64::MIN, 0, i64::MAX] {
            let Logged { first, last } = Logged::of("2026-11-23T17:28:00.1Z", written);
            assert!(first <= last && last <= written);
        }
    }

    #[test]
    fn a_line_is_within_its_span_where_its_digits_leave_that_open() {
        let logged = Logged { first: 1_000, last: 1_999 };
        assert_eq!(logged.within((1_500, 1_700)), 1_700);
        assert_eq!(logged.within((1_500, 9_000)), 1_999);
        assert_eq!(logged.within((0, 1_200)), 1_200);
        assert_eq!(logged.within((0, 500)), 1_999, "logged after the end of its span");
        assert_eq!(logged.within((3_000, 9_000)), 1_999, "by a clock of another machine");
    }
}
