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

/// A whole number of milliseconds, but not none.
pub(crate) struct Millis(pub(crate) Duration);

impl FromStr for Millis {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.parse() {
            Ok(millis @ 1..) => Ok(Self(Duration::from_millis(millis))),
            _ => Err(()),
        }
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

    /// Notes what is wrong with a setting.
    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
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

    pub(crate) fn millis(&mut self, name: &'static str) -> Option<Duration> {
        self.parse(name, "a whole number of milliseconds, at least 1").map(|Millis(millis)| millis)
    }

    pub(crate) fn count(&mut self, name: &'static str) -> Option<usize> {
        self.parse(name, "a whole number, at least 1").map(std::num::NonZeroUsize::get)
    }
}

impl Vars for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

#[cfg(test)]
impl Vars for std::collections::HashMap<&'static str, &'static str> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).map(|value| (*value).to_owned())
    }
}
