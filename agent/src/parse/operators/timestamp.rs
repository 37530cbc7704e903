//! A time, read by the steps of its layout. What the layout does not say of a zone is UTC.

use crate::config::Step;

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

/// Nanoseconds since 1970; `None` when the text is not written so, or before 1970.
pub(super) fn unix_nanos(text: &str, layout: &[Step]) -> Option<u64> {
    let mut reading = Reading { rest: text, year: 1970, month: 1, day: 1, ..Reading::default() };
    layout.iter().try_for_each(|step| reading.step(step))?;
    // Nothing may be left over: a layout that fits by half is the wrong one.
    if !reading.rest.is_empty() {
        return None;
    }
    reading.unix_nanos()
}

#[derive(Default)]
struct Reading<'a> {
    rest: &'a str,
    year: i16,
    month: i8,
    day: i8,
    day_of_year: Option<i16>,
    hour: i8,
    is_half: bool,
    afternoon: bool,
    minute: i8,
    second: i8,
    nanos: i32,
    offset_seconds: i64,
    epoch: Option<u64>,
}

impl Reading<'_> {
    fn step(&mut self, step: &Step) -> Option<()> {
        match step {
            Step::Literal(text) => self.rest = self.rest.strip_prefix(text.as_str())?,
            Step::Year => self.year = self.number(4, 4)?,
            Step::YearOfCentury => {
                let year: i16 = self.number(2, 2)?;
                self.year = year + if year < 69 { 2000 } else { 1900 };
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
            Step::HourOfHalf => {
                self.hour = self.number(1, 2)?;
                self.is_half = true;
            }
            Step::Half => self.afternoon = self.word(&["am", "pm"])? == 1,
            Step::Minute => self.minute = self.number(2, 2)?,
            Step::Second => self.second = self.number(2, 2)?,
            Step::Fraction { with_point } => self.fraction(*with_point)?,
            Step::Offset => self.offset()?,
            Step::ZoneName => drop(self.word(&["utc", "gmt", "z"])?),
            Step::Epoch => self.epoch = Some(self.number(1, 11)?),
        }
        Some(())
    }

    fn unix_nanos(self) -> Option<u64> {
        if let Some(seconds) = self.epoch {
            return seconds
                .checked_mul(1_000_000_000)?
                .checked_add(u64::try_from(self.nanos).ok()?);
        }
        let hour = match (self.is_half, self.hour, self.afternoon) {
            (false, hour, _) => hour,
            (true, hour @ 1..=12, afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
            (true, ..) => return None,
        };
        let date = match self.day_of_year {
            Some(day) => jiff::civil::date(self.year, 1, 1).with().day_of_year(day).build().ok()?,
            None => jiff::civil::Date::new(self.year, self.month, self.day).ok()?,
        };
        // 60 is a leap second, which Unix time does not count.
        let second = if self.second == 60 { 59 } else { self.second };
        let time = jiff::civil::Time::new(hour, self.minute, second, self.nanos).ok()?;
        let utc = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
        let nanos = utc.as_nanosecond() - i128::from(self.offset_seconds) * 1_000_000_000;
        u64::try_from(nanos).ok()
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

    fn fraction(&mut self, with_point: bool) -> Option<()> {
        if with_point {
            match self.rest.strip_prefix(['.', ',']) {
                Some(rest) => self.rest = rest,
                None => return Some(()),
            }
        }
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        let scale = u32::try_from(9_usize.checked_sub(digits).filter(|_| digits > 0)?).ok()?;
        self.nanos = number.parse::<i32>().ok()? * 10_i32.pow(scale);
        Some(())
    }

    fn offset(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(());
        }
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let hours: i64 = self.number(2, 2)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let has_minutes = self.rest.starts_with(|c: char| c.is_ascii_digit());
        let minutes: i64 = if has_minutes { self.number(2, 2)? } else { 0 };
        self.offset_seconds = sign * (hours * 3_600 + minutes * 60);
        Some(())
    }
}

fn least(padded: bool) -> usize {
    if padded { 2 } else { 1 }
}
