//! When an event happened, as text. Seconds are turned into a date once per second and thread.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::digits;

/// `2026-11-23T17:28:00`.
const SECONDS_TEXT: usize = 19;

/// An instant of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    unix_seconds: i64,
    nanoseconds: u32,
}

impl Instant {
    pub(crate) fn now() -> Self {
        // A clock that stands before 1970 is broken; the epoch itself says so clearly enough.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            unix_seconds: i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since_epoch.subsec_nanos(),
        }
    }

    #[cfg(test)]
    pub(crate) fn from_timestamp(timestamp: Timestamp) -> Self {
        Self {
            unix_seconds: timestamp.as_second(),
            nanoseconds: timestamp.subsec_nanosecond().unsigned_abs(),
        }
    }

    pub(crate) fn unix_milliseconds(self) -> i64 {
        self.unix_seconds
            .saturating_mul(1_000)
            .saturating_add(i64::from(self.nanoseconds / 1_000_000))
    }
}

/// The last second that was written out, and what came of it.
#[derive(Debug)]
pub(crate) struct SecondCache {
    /// Which renderer's zone it is in; 0 is nobody's.
    owner: u64,
    unix_seconds: i64,
    text: [u8; SECONDS_TEXT],
}

impl SecondCache {
    pub(crate) const fn new() -> Self {
        Self { owner: 0, unix_seconds: 0, text: [b'0'; SECONDS_TEXT] }
    }

    /// The instant as text, in a zone that always goes with the same `owner`.
    pub(crate) fn write_out(
        &mut self,
        instant: Instant,
        owner: u64,
        zone: &TimeZone,
    ) -> WrittenTime<'_> {
        if self.unix_seconds != instant.unix_seconds || self.owner != owner {
            self.unix_seconds = instant.unix_seconds;
            self.owner = owner;
            self.text = seconds_text(instant.unix_seconds, zone);
        }
        WrittenTime { seconds: &self.text, nanoseconds: instant.nanoseconds }
    }
}

fn seconds_text(unix_seconds: i64, zone: &TimeZone) -> [u8; SECONDS_TEXT] {
    let timestamp = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = zone.to_datetime(timestamp);
    let mut text = *b"0000-00-00T00:00:00";
    text[..4].copy_from_slice(&digits::padded::<4>(u32::from(local.year().unsigned_abs())));
    let pairs = [
        (5, local.month()),
        (8, local.day()),
        (11, local.hour()),
        (14, local.minute()),
        (17, local.second()),
    ];
    for (start, number) in pairs {
        text[start..start + 2]
            .copy_from_slice(&digits::padded::<2>(u32::from(number.unsigned_abs())));
    }
    text
}

/// A time that a format can take its pieces from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrittenTime<'a> {
    seconds: &'a [u8; SECONDS_TEXT],
    nanoseconds: u32,
}

impl WrittenTime<'_> {
    /// `2026-11-23T17:28:00.123456Z`
    pub(crate) fn push_micros(self, out: &mut String) {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        text[..SECONDS_TEXT].copy_from_slice(self.seconds);
        text[20..26].copy_from_slice(&digits::padded::<6>(self.nanoseconds / 1_000));
        digits::push_ascii(out, &text);
    }

    /// `2026-11-23T17:28:00.123Z`
    pub(crate) fn push_millis(self, out: &mut String) {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..SECONDS_TEXT].copy_from_slice(self.seconds);
        text[20..23].copy_from_slice(&digits::padded::<3>(self.nanoseconds / 1_000_000));
        digits::push_ascii(out, &text);
    }

    /// `2026-11-23 17:28:00,123`
    pub(crate) fn push_asctime(self, out: &mut String) {
        let mut text = *b"0000-00-00 00:00:00,000";
        text[..10].copy_from_slice(&self.seconds[..10]);
        text[11..SECONDS_TEXT].copy_from_slice(&self.seconds[11..]);
        text[20..].copy_from_slice(&digits::padded::<3>(self.nanoseconds / 1_000_000));
        digits::push_ascii(out, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::from_timestamp(text.parse().unwrap())
    }

    fn micros(cache: &mut SecondCache, owner: u64, instant: Instant, zone: &TimeZone) -> String {
        let mut out = String::new();
        cache.write_out(instant, owner, zone).push_micros(&mut out);
        out
    }

    #[test]
    fn a_time_is_written_with_all_its_digits() {
        let mut cache = SecondCache::new();
        for text in [
            "2026-01-02T03:04:05.000006Z",
            "2024-02-29T23:59:59.999999Z",
            "1970-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(micros(&mut cache, 1, at(text), &TimeZone::UTC), text);
        }
    }

    #[test]
    fn the_cache_keeps_seconds_and_zones_apart() {
        let mut cache = SecondCache::new();
        let east = TimeZone::fixed(jiff::tz::offset(2));
        let one = at("2026-11-23T23:28:00.1Z");
        assert_eq!(micros(&mut cache, 1, one, &TimeZone::UTC), "2026-11-23T23:28:00.100000Z");
        assert_eq!(micros(&mut cache, 2, one, &east), "2026-11-24T01:28:00.100000Z");
        let next = at("2026-11-23T23:28:01.1Z");
        assert_eq!(micros(&mut cache, 2, next, &east), "2026-11-24T01:28:01.100000Z");
        assert_eq!(micros(&mut cache, 1, next, &TimeZone::UTC), "2026-11-23T23:28:01.100000Z");
    }

    #[test]
    fn python_writes_a_space_and_a_comma() {
        let mut cache = SecondCache::new();
        let mut out = String::new();
        cache
            .write_out(at("2026-11-23T17:28:00.123456Z"), 1, &TimeZone::UTC)
            .push_asctime(&mut out);
        assert_eq!(out, "2026-11-23 17:28:00,123");
    }
}
