//! Durations and sizes as Go's programs write them.

use std::time::Duration;

/// What one of Go's units of time is worth in nanoseconds; longer names first.
const TIME_UNITS: [(&str, f64); 7] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60.0 * 1e9),
    ("h", 3_600.0 * 1e9),
];

/// `1h30m`, `2.5s`, `0`; a number without a unit is nanoseconds, as the Collector reads it.
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Ok(nanos) = text.parse::<u64>() {
        return Some(Duration::from_nanos(nanos));
    }
    let (mut rest, mut nanos) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let (_, worth) = TIME_UNITS.iter().find(|(unit, _)| *unit == &rest[..end])?;
        nanos += number * worth;
        rest = &rest[end..];
    }
    // An empty text is no duration, and Go's longest is 292 years.
    let fits = !text.is_empty() && nanos <= i64::MAX as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    fits.then(|| Duration::from_nanos(nanos.round() as u64))
}

/// `1048576`, `1MiB`, `1.5 MB`: bytes; units of 1,000 and, with an `i`, of 1,024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let worth = match text[end..].trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number * worth;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked beside it"
    )]
    (bytes <= i64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, seconds) in [
            ("5s", 5.0),
            ("1h30m", 5_400.0),
            ("2.5s", 2.5),
            ("100ms", 0.1),
            ("0", 0.0),
            ("0s", 0.0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        assert_eq!(duration("1500"), Some(Duration::from_nanos(1_500)));
        for wrong in ["", "s", "5 s", "5x", "-5s", "1.2.3s", "five", "99999999h"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units_of_1000_and_of_1024() {
        for (text, expected) in [
            ("102400", 102_400),
            ("1MiB", 1_048_576),
            ("1.5 kb", 1_500),
            ("2B", 2),
            ("1gib", 1 << 30),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for wrong in ["", "MiB", "1Q", "-1", "1e3", "1 M i B"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
