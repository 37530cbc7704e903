//! When an event happened, as text. Seconds are turned into a date once per second and thread.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};

use super::digits::two;
use super::out::Out;

/// `2026-11-23T17:28:00`.
const SECONDS_TEXT: usize = 19;

/// `+01:00`.
const OFFSET_TEXT: usize = 6;

/// Which zone times are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogTime {
    /// UTC, with a `Z` behind it where the format has a place for that.
    Utc,
    /// The zone of the machine (`TZ`, else `/etc/localtime`), with its offset behind it instead.
    Local,
}

impl FromStr for LogTime {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "utc" => Ok(Self::Utc),
            "local" => Ok(Self::Local),
            _ => Err(()),
        }
    }
}

/// A zone, and how times in it end.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    zone: TimeZone,
    ends_in_z: bool,
}

impl Zone {
    pub(crate) fn utc() -> Self {
        Self { zone: TimeZone::UTC, ends_in_z: true }
    }

    pub(crate) fn local(zone: TimeZone) -> Self {
        Self { zone, ends_in_z: false }
    }
}

/// An instant of the wall clock, which may be set: of no use to measure with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WallTime {
    unix_seconds: i64,
    nanoseconds: u32,
}

impl WallTime {
    pub(crate) fn now() -> Self {
        let now = clock_gettime(ClockId::Realtime);
        // A clock that stands before 1970 is broken; the epoch itself says so clearly enough.
        Self {
            unix_seconds: now.tv_sec.max(0),
            nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0),
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
    /// `None` is `Z`.
    offset: Option<[u8; OFFSET_TEXT]>,
}

impl SecondCache {
    pub(crate) const fn new() -> Self {
        Self { owner: 0, unix_seconds: 0, text: [b'0'; SECONDS_TEXT], offset: None }
    }

    /// The instant as text, in a zone that always goes with the same `owner`.
    #[inline]
    pub(crate) fn write_out(
        &mut self,
        instant: WallTime,
        owner: u64,
        zone: &Zone,
    ) -> WrittenTime<'_> {
        if self.unix_seconds != instant.unix_seconds || self.owner != owner {
            (self.unix_seconds, self.owner) = (instant.unix_seconds, owner);
            self.write_anew(zone);
        }
        WrittenTime { seconds: &self.text, offset: self.offset.as_ref(), instant }
    }
}

impl SecondCache {
    #[cold]
    fn write_anew(&mut self, zone: &Zone) {
        (self.text, self.offset) = seconds_text(self.unix_seconds, zone);
    }
}

fn seconds_text(unix_seconds: i64, zone: &Zone) -> ([u8; SECONDS_TEXT], Option<[u8; OFFSET_TEXT]>) {
    let timestamp = Timestamp::from_second(unix_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let offset = zone.zone.to_offset(timestamp);
    let local = offset.to_datetime(timestamp);
    let mut text = *b"0000-00-00T00:00:00";
    let year = u32::from(local.year().unsigned_abs());
    let pairs = [
        (0, year / 100),
        (2, year % 100),
        (5, u32::from(local.month().unsigned_abs())),
        (8, u32::from(local.day().unsigned_abs())),
        (11, u32::from(local.hour().unsigned_abs())),
        (14, u32::from(local.minute().unsigned_abs())),
        (17, u32::from(local.second().unsigned_abs())),
    ];
    for (start, number) in pairs {
        text[start..start + 2].copy_from_slice(&two(number));
    }
    (text, (!zone.ends_in_z).then(|| offset_text(offset.seconds())))
}

fn offset_text(seconds: i32) -> [u8; OFFSET_TEXT] {
    let minutes = seconds.unsigned_abs() / 60;
    let sign = if seconds < 0 { b'-' } else { b'+' };
    let ([h1, h2], [m1, m2]) = (two(minutes / 60), two(minutes % 60));
    [sign, h1, h2, b':', m1, m2]
}

/// A time that a format can take its pieces from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WrittenTime<'a> {
    seconds: &'a [u8; SECONDS_TEXT],
    offset: Option<&'a [u8; OFFSET_TEXT]>,
    instant: WallTime,
}

impl WrittenTime<'_> {
    /// `2026-11-23T17:28:00.123456Z`, or with an offset for the `Z`.
    pub(crate) fn push_micros(self, out: &mut Out) {
        let micros = self.instant.nanoseconds / 1_000;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        text[..SECONDS_TEXT].copy_from_slice(self.seconds);
        text[20..22].copy_from_slice(&two(micros / 10_000));
        text[22..24].copy_from_slice(&two(micros / 100));
        text[24..26].copy_from_slice(&two(micros));
        out.push_ascii(&text);
        self.push_offset_for_z(out);
    }

    /// `2026-11-23T17:28:00.123Z`, or with an offset for the `Z`.
    pub(crate) fn push_millis(self, out: &mut Out) {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..SECONDS_TEXT].copy_from_slice(self.seconds);
        text[20..23].copy_from_slice(&self.millis());
        out.push_ascii(&text);
        self.push_offset_for_z(out);
    }

    /// `2026-11-23 17:28:00,123`
    pub(crate) fn push_asctime(self, out: &mut Out) {
        let mut text = *b"0000-00-00 00:00:00,000";
        text[..10].copy_from_slice(&self.seconds[..10]);
        text[11..SECONDS_TEXT].copy_from_slice(&self.seconds[11..]);
        text[20..].copy_from_slice(&self.millis());
        out.push_ascii(&text);
    }

    fn millis(self) -> [u8; 3] {
        let millis = self.instant.nanoseconds / 1_000_000;
        let [tens, ones] = two(millis);
        // The number has three digits at most.
        [b'0' + (millis / 100) as u8, tens, ones]
    }

    /// Local time has its offset where UTC has the `Z`.
    fn push_offset_for_z(self, out: &mut Out) {
        if let Some(offset) = self.offset {
            out.drop_last();
            out.push_ascii(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> WallTime {
        WallTime::from_timestamp(text.parse().unwrap())
    }

    fn micros(cache: &mut SecondCache, owner: u64, instant: WallTime, zone: &Zone) -> String {
        let mut out = Out::default();
        cache.write_out(instant, owner, zone).push_micros(&mut out);
        out.as_str().to_owned()
    }

    #[test]
    fn a_time_is_written_with_all_its_digits() {
        let mut cache = SecondCache::new();
        for text in [
            "2026-01-02T03:04:05.000006Z",
            "2024-02-29T23:59:59.999999Z",
            "1970-01-01T00:00:00.000000Z",
        ] {
            assert_eq!(micros(&mut cache, 1, at(text), &Zone::utc()), text);
        }
    }

    #[test]
    fn the_cache_keeps_seconds_and_zones_apart() {
        let mut cache = SecondCache::new();
        let east = Zone::local(TimeZone::fixed(jiff::tz::offset(2)));
        let one = at("2026-11-23T23:28:00.1Z");
        assert_eq!(micros(&mut cache, 1, one, &Zone::utc()), "2026-11-23T23:28:00.100000Z");
        assert_eq!(micros(&mut cache, 2, one, &east), "2026-11-24T01:28:00.100000+02:00");
        let next = at("2026-11-23T23:28:01.1Z");
        assert_eq!(micros(&mut cache, 2, next, &east), "2026-11-24T01:28:01.100000+02:00");
        assert_eq!(micros(&mut cache, 1, next, &Zone::utc()), "2026-11-23T23:28:01.100000Z");
    }

    #[test]
    fn python_writes_a_space_and_a_comma() {
        let mut cache = SecondCache::new();
        let mut out = Out::default();
        cache.write_out(at("2026-11-23T17:28:00.123456Z"), 1, &Zone::utc()).push_asctime(&mut out);
        assert_eq!(out.as_str(), "2026-11-23 17:28:00,123");
    }

    #[test]
    fn an_offset_has_a_sign_and_minutes() {
        assert_eq!(&offset_text(0), b"+00:00");
        assert_eq!(&offset_text(-12_600), b"-03:30");
        assert_eq!(&offset_text(49_500), b"+13:45");
    }
}
