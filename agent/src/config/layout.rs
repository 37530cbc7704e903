//! Layouts of times: strptime's `%Y-%m-%dT%H:%M:%S.%LZ` and Go's `2006-01-02T15:04:05.999Z07:00`, both turned into the same
//! steps, so that a time is read in one pass.

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
    /// 1 to 12.
    HourOfHalf,
    /// `AM` or `PM`.
    Half,
    /// Two digits.
    Minute,
    /// Two digits.
    Second,
    /// Digits of a second, up to nine, as many as there are. Where `with_point`, the point before them too, and all of it may
    /// be missing.
    Fraction {
        /// Whether the point belongs to it.
        with_point: bool,
    },
    /// `+01:00`, `+0100`, `-07`, or `Z` for none.
    Offset,
    /// `UTC`, `GMT` or `Z`.
    ZoneName,
    /// Seconds since 1970.
    Epoch,
}

/// Reads strptime's directives; the error says which is not supported.
pub(super) fn strptime(layout: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut chars = layout.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            push_literal(&mut steps, c);
            continue;
        }
        let directive = chars.next().ok_or("a % at the end")?;
        match directive {
            'Y' => steps.push(Step::Year),
            'y' => steps.push(Step::YearOfCentury),
            'm' => steps.push(Step::Month { padded: true }),
            'o' => steps.push(Step::Month { padded: false }),
            'b' | 'B' | 'h' => steps.push(Step::MonthName),
            'd' => steps.push(Step::Day { padded: true }),
            'e' | 'g' => steps.push(Step::Day { padded: false }),
            'j' => steps.push(Step::DayOfYear),
            'a' | 'A' => steps.push(Step::Weekday),
            'H' | 'k' => steps.push(Step::Hour),
            'I' | 'l' => steps.push(Step::HourOfHalf),
            'p' | 'P' => steps.push(Step::Half),
            'M' => steps.push(Step::Minute),
            'S' => steps.push(Step::Second),
            'L' | 'f' => steps.push(Step::Fraction { with_point: false }),
            'z' => steps.push(Step::Offset),
            'Z' => steps.push(Step::ZoneName),
            'T' => steps.extend(strptime("%H:%M:%S")?),
            'R' => steps.extend(strptime("%H:%M")?),
            'r' => steps.extend(strptime("%I:%M:%S %p")?),
            'F' => steps.extend(strptime("%Y-%m-%d")?),
            'D' | 'x' => steps.extend(strptime("%m/%d/%y")?),
            'n' => push_literal(&mut steps, '\n'),
            't' => push_literal(&mut steps, '\t'),
            '%' => push_literal(&mut steps, '%'),
            other => return Err(format!("the directive %{other} is not supported")),
        }
    }
    Ok(steps)
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
    ("03", Step::HourOfHalf),
    ("04", Step::Minute),
    ("05", Step::Second),
    ("06", Step::YearOfCentury),
    ("15", Step::Hour),
    ("PM", Step::Half),
    ("pm", Step::Half),
    ("1", Step::Month { padded: false }),
    ("2", Step::Day { padded: false }),
    ("3", Step::HourOfHalf),
    ("4", Step::Minute),
    ("5", Step::Second),
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
            if steps.last() != Some(&Step::Fraction { with_point: true }) {
                steps.push(Step::Fraction { with_point: true });
            }
            continue;
        }
        match GO.iter().find(|(text, _)| rest.starts_with(text)) {
            Some((text, step)) => {
                steps.push(step.clone());
                if *step == Step::Second {
                    steps.push(Step::Fraction { with_point: true });
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
    fn both_kinds_give_the_same_steps() {
        let literal = |text: &str| Step::Literal(text.to_owned());
        let (month, day) = (Step::Month { padded: true }, Step::Day { padded: true });
        let date = [
            Step::Year,
            literal("-"),
            month,
            literal("-"),
            day,
            literal("T"),
            Step::Hour,
            literal(":"),
            Step::Minute,
            literal(":"),
            Step::Second,
        ];
        let strptime = strptime("%Y-%m-%dT%H:%M:%S.%LZ").unwrap();
        assert_eq!(strptime[..11], date);
        assert_eq!(
            strptime[11..],
            [literal("."), Step::Fraction { with_point: false }, literal("Z")]
        );
        let gotime = gotime("2006-01-02T15:04:05.999999999Z07:00");
        assert_eq!(gotime[..11], date);
        assert_eq!(gotime[11..], [Step::Fraction { with_point: true }, Step::Offset]);
    }

    #[test]
    fn what_strptime_has_and_we_do_not_is_named() {
        assert!(strptime("%Y %Q").unwrap_err().contains("%Q"));
        assert!(strptime("%").is_err());
    }
}
