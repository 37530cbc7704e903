//! Layouts of times: strptime's `%Y-%m-%dT%H:%M:%S.%LZ` is turned into Go's `2006-01-02T15:04:05.999Z`, as the Collector does, and
//! that into steps, so that a time is read in one pass.

/// A step of reading a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This text must stand here.
    Literal(String),
    /// A year of four digits.
    Year,
    /// A year of two digits: 69 to 99 are of the last century.
    YearOfCentury,
    /// 1 or 2 digits (exactly two where `padded`).
    Month {
        /// Whether a single digit has a zero before it.
        padded: bool,
    },
    /// `Jan` or `January`, in any case.
    MonthName,
    /// The day of the month.
    Day {
        /// Whether a single digit has a zero before it.
        padded: bool,
    },
    /// The day of the year, three digits.
    DayOfYear,
    /// `Mon` or `Monday`; read over.
    Weekday,
    /// 0 to 23.
    Hour,
    /// 1 to 12, 1 or 2 digits (exactly two where `padded`).
    HourOfHalf {
        /// Whether a single digit has a zero before it.
        padded: bool,
    },
    /// `AM` or `PM`.
    Half,
    /// 1 or 2 digits (exactly two where `padded`).
    Minute {
        /// Whether a single digit has a zero before it.
        padded: bool,
    },
    /// 1 or 2 digits (exactly two where `padded`).
    Second {
        /// Whether a single digit has a zero before it.
        padded: bool,
    },
    /// The point or comma before digits of a second, and the digits, as many as there are; all of it may be missing.
    Fraction,
    /// `+01:00`, `+0100`, `-07`, or `Z` for none.
    Offset,
    /// `UTC`, `CET`, or another one that the machine's table of time zones has.
    ZoneName,
}

/// What the Collector turns strptime's directives into before it reads a time by them.
const STRPTIME: &[(char, &str)] = &[
    ('Y', "2006"),
    ('y', "06"),
    ('m', "01"),
    ('o', "_1"),
    ('q', "1"),
    ('b', "Jan"),
    ('h', "Jan"),
    ('B', "January"),
    ('d', "02"),
    ('e', "_2"),
    ('g', "2"),
    ('a', "Mon"),
    ('A', "Monday"),
    ('H', "15"),
    ('l', "3"),
    ('I', "03"),
    ('p', "PM"),
    ('P', "pm"),
    ('M', "04"),
    ('S', "05"),
    ('L', "999"),
    ('f', "999999"),
    ('s', "99999999"),
    ('Z', "MST"),
    ('z', "Z0700"),
    ('i', "-07"),
    ('j', "-07:00"),
    ('D', "01/02/2006"),
    ('x', "01/02/2006"),
    ('F', "2006-01-02"),
    ('T', "15:04:05"),
    ('X', "15:04:05"),
    ('r', "03:04:05 pm"),
    ('R', "15:04"),
    ('n', "\n"),
    ('t', "\t"),
    ('%', "%"),
    ('c', "Mon Jan 02 15:04:05 2006"),
];

/// strptime's layout as Go's; the error says which directive is not supported.
pub(super) fn strptime(layout: &str) -> Result<String, String> {
    let mut go = String::new();
    let mut chars = layout.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            go.push(c);
            continue;
        }
        let directive = chars.next().ok_or("a % at the end")?;
        let known = STRPTIME.iter().find(|(known, _)| *known == directive);
        let (_, reference) =
            known.ok_or_else(|| format!("the directive %{directive} is not supported"))?;
        if matches!(directive, 'L' | 'f' | 's') && !go.ends_with(['.', ',']) {
            return Err(format!("%{directive} must stand behind a point or a comma"));
        }
        go += reference;
    }
    Ok(go)
}

/// What Go's reference time has, the longer ones first.
const GO: &[(&str, Step)] = &[
    ("January", Step::MonthName),
    ("Monday", Step::Weekday),
    ("Z07:00", Step::Offset),
    ("-07:00", Step::Offset),
    ("Z0700", Step::Offset),
    ("-0700", Step::Offset),
    ("2006", Step::Year),
    ("Jan", Step::MonthName),
    ("Mon", Step::Weekday),
    ("MST", Step::ZoneName),
    ("002", Step::DayOfYear),
    ("-07", Step::Offset),
    ("01", Step::Month { padded: true }),
    ("02", Step::Day { padded: true }),
    ("_2", Step::Day { padded: false }),
    ("03", Step::HourOfHalf { padded: true }),
    ("04", Step::Minute { padded: true }),
    ("05", Step::Second { padded: true }),
    ("06", Step::YearOfCentury),
    ("15", Step::Hour),
    ("PM", Step::Half),
    ("pm", Step::Half),
    ("1", Step::Month { padded: false }),
    ("2", Step::Day { padded: false }),
    ("3", Step::HourOfHalf { padded: false }),
    ("4", Step::Minute { padded: false }),
    ("5", Step::Second { padded: false }),
];

/// Reads a layout that is written as Go's reference time.
pub(super) fn gotime(layout: &str) -> Vec<Step> {
    let (mut steps, mut rest) = (Vec::new(), layout);
    while let Some(c) = rest.chars().next() {
        // Go takes a fraction after the seconds whether the layout has one or not.
        let is_point = matches!(c, '.' | ',');
        let digits =
            rest[1.min(rest.len())..].bytes().take_while(|b| matches!(b, b'0' | b'9')).count();
        if is_point && digits > 0 && !rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
            rest = &rest[1 + digits..];
            if steps.last() != Some(&Step::Fraction) {
                steps.push(Step::Fraction);
            }
            continue;
        }
        match GO.iter().find(|(text, _)| rest.starts_with(text)) {
            Some((text, step)) => {
                steps.push(step.clone());
                if matches!(step, Step::Second { .. }) {
                    steps.push(Step::Fraction);
                }
                rest = &rest[text.len()..];
            }
            None => {
                push_literal(&mut steps, c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    steps
}

fn push_literal(steps: &mut Vec<Step>, c: char) {
    match steps.last_mut() {
        Some(Step::Literal(text)) => text.push(c),
        _ => steps.push(Step::Literal(c.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strptime_is_read_as_the_layout_that_the_collector_makes_of_it() {
        assert_eq!(strptime("%Y-%m-%dT%H:%M:%S.%LZ").unwrap(), "2006-01-02T15:04:05.999Z");
        assert_eq!(strptime("%d/%b/%Y:%T %z %%").unwrap(), "02/Jan/2006:15:04:05 Z0700 %");
        let literal = |text: &str| Step::Literal(text.to_owned());
        let expected = [
            Step::Hour,
            literal(":"),
            Step::Minute { padded: true },
            literal(":"),
            Step::Second { padded: true },
            Step::Fraction,
            Step::Offset,
        ];
        assert_eq!(gotime("15:04:05.999999999Z07:00"), expected);
    }

    #[test]
    fn what_strptime_has_and_we_do_not_is_named() {
        assert!(strptime("%Y %Q").unwrap_err().contains("%Q"));
        assert!(strptime("%").is_err() && strptime("%S%L").is_err());
    }
}
