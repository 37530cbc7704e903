//! Reads settings from variables: what is not set, what is wrong, and what to say of it.
//!
//! A variable that is empty counts as not set, as the OpenTelemetry specification has it.

use std::str::FromStr;
use std::time::Duration;

use crate::error::Fault;

/// Where settings come from.
pub(crate) trait Vars {
    /// The value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
pub(crate) struct Environment;

/// Reads settings and notes what is wrong with them.
pub(crate) struct Reader<'a> {
    vars: &'a dyn Vars,
    faults: Vec<Fault>,
}

/// The words of a list with commas.
pub(crate) fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

/// The longest time that can be set: nobody waits for longer, and it can be added to a time of day.
pub(crate) const LONGEST: Duration = Duration::from_secs(3_600);

/// How long to wait for something, in milliseconds.
pub(crate) struct Delay(pub(crate) Duration);

/// How long something may take, in milliseconds. By the specification 0 is no limit; here it is an hour,
/// since everything has a bound.
pub(crate) struct TimeLimit(pub(crate) Duration);

impl Delay {
    pub(crate) const ACCEPTED: &str = "a whole number of milliseconds, 0 to 3600000";
}

impl TimeLimit {
    pub(crate) const ACCEPTED: &str =
        "a whole number of milliseconds, 1 to 3600000, or 0 for no limit";
}

impl FromStr for Delay {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let delay = Duration::from_millis(text.parse().map_err(|_| ())?);
        if delay > LONGEST { Err(()) } else { Ok(Self(delay)) }
    }
}

impl FromStr for TimeLimit {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let Delay(limit) = text.parse()?;
        Ok(Self(if limit.is_zero() { LONGEST } else { limit }))
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(vars: &'a dyn Vars) -> Self {
        Self { vars, faults: Vec::new() }
    }

    /// The text of a variable; `None` when it is not set or empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let value = self.vars.get(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// Notes what is wrong with a setting; once, however many read it.
    pub(crate) fn fault(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// What is wrong with all settings read so far.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    pub(crate) fn parse<T: FromStr>(&mut self, name: &'static str, accepted: &str) -> Option<T> {
        let text = self.text(name)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(Fault::new(name, text, accepted));
        }
        parsed
    }

    /// The first of several settings that is set and can be used.
    pub(crate) fn parse_first<T: FromStr>(
        &mut self,
        names: [&'static str; 2],
        accepted: &str,
    ) -> Option<T> {
        names.into_iter().find_map(|name| self.parse(name, accepted))
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let text = self.text(name)?;
        match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.fault(Fault::new(name, text, "true, false"));
                None
            }
        }
    }

    /// The first of several settings that is set, with its name.
    pub(crate) fn text_first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.text(name)?)))
    }

    pub(crate) fn count(&mut self, name: &'static str) -> Option<usize> {
        self.parse(name, "a whole number, at least 1").map(std::num::NonZeroUsize::get)
    }
}

impl Vars for Environment {
    fn get(&self, name: &str) -> Option<String> {
        // What is no UTF-8 was meant to say something all the same: it is shown as what it cannot be read as.
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
impl Vars for std::collections::HashMap<&'static str, &'static str> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).map(|value| (*value).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_bounded_whatever_is_set() {
        let delay = |text: &str| text.parse().ok().map(|Delay(delay)| delay);
        let limit = |text: &str| text.parse().ok().map(|TimeLimit(limit)| limit);
        assert_eq!(
            (delay("0"), delay("5")),
            (Some(Duration::ZERO), Some(Duration::from_millis(5)))
        );
        assert_eq!((limit("0"), limit("5")), (Some(LONGEST), Some(Duration::from_millis(5))));
        for wrong in ["-1", "1.5", "1s", "3600001", "18446744073709551615", "99999999999999999999"]
        {
            assert_eq!((delay(wrong), limit(wrong)), (None, None), "{wrong}");
        }
    }
}
