//! The times that container runtimes print: RFC 3339 with up to nine digits of a second.
//!
//! Read by hand, because it is done once for every line and needs neither zones nor calendars beyond
//! the Gregorian one.

const SECONDS_PER_DAY: i64 = 86_400;

/// Nanoseconds since 1970 of an RFC 3339 time; `None` when it is not one, or lies outside of
/// 1970 to 2554.
pub(super) fn unix_nanos(text: &[u8]) -> Option<u64> {
    let [
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
        rest @ ..,
    ] = text
    else {
        return None;
    };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*n1, *n2])?);
    let second = number(&[*s1, *s2])?;
    // 60 is a leap second, which Unix time does not count.
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let seconds = days_since_1970(year, month, day) * SECONDS_PER_DAY
        + hour * 3_600
        + minute * 60
        + second.min(59)
        - zone_seconds(zone)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// The nanoseconds of `.123456789`, if there are any, and what follows.
fn fraction(rest: &[u8]) -> Option<(u64, &[u8])> {
    let [b'.' | b',', digits @ ..] = rest else { return Some((0, rest)) };
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&len) {
        return None;
    }
    let (digits, zone) = digits.split_at(len);
    let nanos = number(digits)? * 10_i64.pow(9 - u32::try_from(len).ok()?);
    Some((u64::try_from(nanos).ok()?, zone))
}

/// How far a zone is ahead of UTC.
fn zone_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = hours * 3_600 + minutes * 60;
            Some(if *sign == b'+' { ahead } else { -ahead })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Days from 1970-01-01 in the Gregorian calendar, counted in years that begin in March, so that the
/// day that not every year has is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_agree_with_a_calendar() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2026-11-23T17:28:00.123456789Z",
            "2024-02-29T23:59:59.5Z",
            "2026-11-23T17:28:00.123456789+05:30",
            "2026-03-01T00:00:00-08:00",
        ] {
            let expected = text.parse::<jiff::Timestamp>().unwrap().as_nanosecond();
            assert_eq!(unix_nanos(text.as_bytes()).map(i128::from), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "2026-11-23",
            "2026-11-23T17:28:00",
            "2026-13-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T17:28:00.Z",
            "2026-11-23T17:28:00.1234567890Z",
            "2026-11-23T17:28:00+0530",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(unix_nanos(text.as_bytes()), None, "{text}");
        }
    }
}
