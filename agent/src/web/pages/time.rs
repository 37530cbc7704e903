//! Times and durations as people read them.

use jiff::Timestamp;

/// A line's time, as a page shows it.
#[derive(Debug)]
pub(super) struct Moment {
    /// For machines: RFC 3339 with all digits.
    pub(super) exact: String,
    /// The day, in UTC.
    pub(super) day: String,
    /// The time of day with milliseconds, in UTC.
    pub(super) clock: String,
}

impl Moment {
    pub(super) fn from_unix_nano(nanos: i64) -> Self {
        // Any i64 of nanoseconds lies within the years that a timestamp knows.
        let time = Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
        Self {
            exact: format!("{time:.9}"),
            day: time.strftime("%Y-%m-%d").to_string(),
            clock: time.strftime("%H:%M:%S%.3f").to_string(),
        }
    }
}

/// A duration in the unit that suits it, with three digits that matter.
pub(super) fn duration_text(nanos: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")];
    let seconds = nanos / 1_000_000_000;
    if seconds >= 60 {
        return match seconds / 3600 {
            0 => format!("{} min {} s", seconds / 60, seconds % 60),
            hours => format!("{hours} h {} min", seconds / 60 % 60),
        };
    }
    for (unit, name) in UNITS {
        let value = nanos as f64 / unit;
        // What would be rounded up to 1,000 of a unit is 1 of the next.
        if value >= 0.9995 {
            let decimals = match value {
                v if v >= 99.95 => 0,
                v if v >= 9.995 => 1,
                _ => 2,
            };
            return format!("{value:.decimals$} {name}");
        }
    }
    format!("{nanos} ns")
}

/// A distance from the trace's start, with its sign.
pub(super) fn offset_text(nanos: i64) -> String {
    let sign = if nanos < 0 { '−' } else { '+' };
    format!("{sign}{}", duration_text(nanos.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_the_unit_that_suits_it() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_600, "1.00 ms"),
            (123_456_789, "123 ms"),
            (59_900_000_000, "59.9 s"),
            (61_000_000_000, "1 min 1 s"),
            (7_260_000_000_000, "2 h 1 min"),
        ] {
            assert_eq!(duration_text(nanos), text);
        }
        assert_eq!(offset_text(-2_000_000), "−2.00 ms");
        assert_eq!(offset_text(0), "+0 ns");
    }

    #[test]
    fn every_time_that_the_store_can_hold_has_a_text() {
        let moment = Moment::from_unix_nano(1_795_000_000_123_456_789);
        assert_eq!(moment.exact, "2026-11-18T11:06:40.123456789Z");
        assert_eq!((moment.day.as_str(), moment.clock.as_str()), ("2026-11-18", "11:06:40.123"));
        for extreme in [i64::MIN, 0, i64::MAX] {
            assert!(Moment::from_unix_nano(extreme).exact.ends_with('Z'));
        }
    }
}
