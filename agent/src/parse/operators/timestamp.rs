//! `time_parser`: a time, read by the steps of its layout, or a number since 1970. A time without a zone is of the layout's location; one
//! without a year is of the last twelve months.

use jiff::ToSpan as _;
use jiff::tz::{Offset, TimeZone};
use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::Unfit;
use super::entry::Entry;
use crate::config::{Layout, Step, Time};

/// Clocks differ: a time without a year that is so many days ahead is still of this year.
const DAYS_AHEAD: i64 = 7;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub(super) fn set(entry: &mut Entry, time: &Time) -> Result<(), Unfit> {
    let nanos = match &time.layout {
        Layout::Steps { steps, zone } => {
            entry.text(&time.from).and_then(|text| unix_nanos(text, steps, zone))
        }
        Layout::Epoch { unit_nanos, fraction_nanos } => match entry.text(&time.from) {
            Some(text) => epoch(text, *unit_nanos, *fraction_nanos),
            None => entry
                .get(&time.from)
                .and_then(|value| epoch_number(value.value?, *unit_nanos, *fraction_nanos)),
        },
    };
    entry.record.time_unix_nano = nanos.ok_or(Unfit)?;
    Ok(())
}

fn epoch(text: &str, unit_nanos: i64, fraction_nanos: Option<i64>) -> Option<u64> {
    let whole = |text: &str, nanos| text.parse::<i64>().ok()?.checked_mul(nanos);
    let nanos = match fraction_nanos {
        None => whole(text, unit_nanos)?,
        Some(fraction_nanos) => {
            let (seconds, fraction) = text.trim_start().split_once('.')?;
            whole(seconds, unit_nanos)?.checked_add(whole(fraction, fraction_nanos)?)?
        }
    };
    u64::try_from(nanos).ok()
}

fn epoch_number(value: Value, unit_nanos: i64, fraction_nanos: Option<i64>) -> Option<u64> {
    let places = match fraction_nanos {
        Some(1_000_000) => 3,
        Some(1_000) => 6,
        Some(_) => 9,
        None => 0,
    };
    match value {
        Value::IntValue(number) => u64::try_from(number.checked_mul(unit_nanos)?).ok(),
        Value::DoubleValue(number) if places == 0 => {
            #[expect(clippy::cast_possible_truncation, reason = "whole units were asked for")]
            let whole = number as i64;
            u64::try_from(whole.checked_mul(unit_nanos)?).ok()
        }
        Value::DoubleValue(number) => {
            epoch(&format!("{number:.places$}"), unit_nanos, fraction_nanos)
        }
        _ => None,
    }
}

/// Nanoseconds since 1970; `None` when the text is not written so, or before 1970.
fn unix_nanos(text: &str, steps: &[Step], zone: &TimeZone) -> Option<u64> {
    let mut reading = Reading { rest: text, month: 1, day: 1, ..Reading::default() };
    steps.iter().try_for_each(|step| reading.step(step))?;
    // Nothing may be left over: a layout that fits by half is the wrong one.
    if !reading.rest.is_empty() {
        return None;
    }
    reading.unix_nanos(zone)
}

#[derive(Default)]
struct Reading<'a> {
    rest: &'a str,
    year: Option<i16>,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    is_half: bool,
    afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanos: i32,
    /// The zone that the text names.
    zone: Option<TimeZone>,
}

impl Reading<'_> {
    fn step(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Literal(text) => self.literal(text)?,
            Step::Year => self.year = Some(self.number(4, 4)?),
            Step::YearOfCentury => {
                let year: i16 = self.number(2, 2)?;
                self.year = Some(year + if year < 69 { 2000 } else { 1900 });
            }
            Step::Month { padded } => self.month = self.number(least(*padded), 2)?,
            Step::MonthName => self.month = i8::try_from(self.word(&MONTHS)?).ok()? + 1,
            Step::Day { padded } => {
                if !padded {
                    self.rest = self.rest.trim_start_matches(' ');
                }
                self.day = self.number(least(*padded), 2)?;
            }
            Step::DayOfYear => self.day_of_year = Some(self.number(3, 3)?),
            Step::Weekday => drop(self.word(&WEEKDAYS)?),
            Step::Hour => self.hour = self.number(1, 2)?,
            Step::HourOfHalf { padded } => {
                self.hour = self.number(least(*padded), 2)?;
                self.is_half = true;
            }
            Step::Half => self.afternoon = Some(self.word(&["am", "pm"])? == 1),
            Step::Minute { padded } => self.minute = self.number(least(*padded), 2)?,
            Step::Second { padded } => self.second = self.number(least(*padded), 2)?,
            Step::Fraction => self.fraction()?,
            Step::Offset => self.offset()?,
            Step::ZoneName => self.zone_name()?,
        }
        Some(())
    }

    fn unix_nanos(self, zone: &TimeZone) -> Option<u64> {
        let hour = match (self.is_half, self.hour, self.afternoon) {
            (false, hour, _) => hour,
            (true, hour @ 0..=12, None) => hour,
            (true, hour @ 0..=12, Some(afternoon)) => hour % 12 + if afternoon { 12 } else { 0 },
            (true, ..) => return None,
        };
        let zone = self.zone.as_ref().unwrap_or(zone);
        // 60 is a leap second, which Unix time does not count.
        let second = if self.second == 60 { 59 } else { self.second };
        let time = jiff::civil::Time::new(hour, self.minute, second, self.nanos).ok()?;
        let in_year = |year: i16| {
            let date = match self.day_of_year {
                Some(day) => jiff::civil::date(year, 1, 1).with().day_of_year(day).build().ok()?,
                None => jiff::civil::Date::new(year, self.month, self.day).ok()?,
            };
            let civil = date.to_datetime(time);
            // The fast way of most times: no table is looked at.
            match zone == &TimeZone::UTC {
                true => Offset::UTC.to_timestamp(civil).ok(),
                false => zone.to_timestamp(civil).ok(),
            }
        };
        let at = match self.year {
            Some(year) => in_year(year)?,
            None => {
                let now = jiff::Timestamp::now().to_zoned_datetime(zone.clone());
                let latest = now.checked_add(DAYS_AHEAD.days()).ok()?.timestamp();
                in_year(now.year())
                    .filter(|at| *at <= latest)
                    .or_else(|| in_year(now.year() - 1))?
            }
        };
        u64::try_from(at.as_nanosecond()).ok()
    }

    /// A run of blanks stands for any other run of blanks, as Go reads it.
    fn literal(&mut self, text: &str) -> Option<()> {
        let mut text = text;
        while !text.is_empty() {
            if text.starts_with(' ') {
                if !self.rest.is_empty() && !self.rest.starts_with(' ') {
                    return None;
                }
                (text, self.rest) =
                    (text.trim_start_matches(' '), self.rest.trim_start_matches(' '));
                continue;
            }
            let end = text.find(' ').unwrap_or(text.len());
            self.rest = self.rest.strip_prefix(&text[..end])?;
            text = &text[end..];
        }
        Some(())
    }

    fn number<T: std::str::FromStr>(&mut self, least: usize, most: usize) -> Option<T> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        (digits >= least).then(|| number.parse().ok()).flatten()
    }

    /// The number of the word that stands here, in full or, if it is longer, by its first three letters.
    fn word(&mut self, words: &[&str]) -> Option<usize> {
        let starts = |word: &str| {
            let here = self.rest.get(..word.len())?;
            here.eq_ignore_ascii_case(word).then_some(word.len())
        };
        let find = |word: &&str| starts(word).or_else(|| starts(word.get(..3)?));
        let (at, len) = words.iter().enumerate().find_map(|(at, word)| Some((at, find(word)?)))?;
        self.rest = &self.rest[len..];
        Some(at)
    }

    fn fraction(&mut self) -> Option<()> {
        let Some(rest) = self.rest.strip_prefix(['.', ',']) else { return Some(()) };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            // It belongs to what follows.
            return Some(());
        }
        let scale = u32::try_from(9_usize.checked_sub(digits)?).ok()?;
        self.nanos = rest[..digits].parse::<i32>().ok()? * 10_i32.pow(scale);
        self.rest = &rest[digits..];
        Some(())
    }

    fn zone_name(&mut self) -> Option<()> {
        let len = self.rest.bytes().take_while(|byte| byte.is_ascii_uppercase()).count();
        let (name, rest) = self.rest.split_at(len);
        self.rest = rest;
        self.zone = Some(match name {
            "UTC" | "GMT" | "Z" => TimeZone::UTC,
            name => TimeZone::get(name).ok()?,
        });
        Some(())
    }

    fn offset(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            (self.rest, self.zone) = (rest, Some(TimeZone::UTC));
            return Some(());
        }
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let hours: i32 = self.number(2, 2)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let has_minutes = self.rest.starts_with(|c: char| c.is_ascii_digit());
        let minutes: i32 = if has_minutes { self.number(2, 2)? } else { 0 };
        let offset = Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok()?;
        self.zone = Some(offset.to_time_zone());
        Some(())
    }
}

fn least(padded: bool) -> usize {
    if padded { 2 } else { 1 }
}
