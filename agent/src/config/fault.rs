//! What is wrong with a configuration, all of it at once, and what is only odd.

use std::cell::{Ref, RefCell};
#[cfg(test)]
use std::collections::BTreeSet;
use std::fmt;

use super::yaml::Place;

/// Something that is wrong, or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The keys that lead there, as the Collector writes them: `exporters::loki::endpoint`.
    pub path: String,
    /// The file and the line, where there are any.
    pub place: Option<String>,
    /// What stands there, and what would be accepted.
    pub what: String,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The faults, in the order of the configuration.
    pub faults: Vec<Finding>,
}

/// What has been found so far. Readers of different sections share it.
#[derive(Debug, Default)]
pub(super) struct Findings {
    faults: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
    /// Every key that was asked for, whether it is there or not: what the documentation must list.
    #[cfg(test)]
    asked: RefCell<BTreeSet<String>>,
}

impl Findings {
    pub(super) fn fault(&self, path: &str, place: Option<&Place>, what: impl Into<String>) {
        self.faults.borrow_mut().push(Finding::new(path, place, what.into()));
    }

    pub(super) fn warn(&self, path: &str, place: Option<&Place>, what: impl Into<String>) {
        self.warnings.borrow_mut().push(Finding::new(path, place, what.into()));
    }

    #[cfg(test)]
    pub(super) fn asked_for(&self, path: String) {
        self.asked.borrow_mut().insert(path);
    }

    pub(super) fn faults(&self) -> Ref<'_, Vec<Finding>> {
        self.faults.borrow()
    }

    #[cfg(test)]
    pub(super) fn warnings(&self) -> Ref<'_, Vec<Finding>> {
        self.warnings.borrow()
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> Ref<'_, BTreeSet<String>> {
        self.asked.borrow()
    }

    /// The warnings, if nothing is wrong.
    pub(super) fn into_result(self) -> Result<Vec<Finding>, ConfigError> {
        let faults = self.faults.into_inner();
        if faults.is_empty() { Ok(self.warnings.into_inner()) } else { Err(ConfigError { faults }) }
    }
}

impl Finding {
    fn new(path: &str, place: Option<&Place>, what: String) -> Self {
        Self { path: path.to_owned(), place: place.map(ToString::to_string), what }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, place, what } = self;
        match (path.as_str(), place) {
            ("", None) => f.write_str(what),
            ("", Some(place)) => write!(f, "{place}: {what}"),
            (path, None) => write!(f, "{path}: {what}"),
            (path, Some(place)) => write!(f, "{path} ({place}): {what}"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.as_slice() {
            [fault] => write!(f, "wrong configuration: {fault}"),
            faults => {
                write!(f, "{} faults in the configuration:", faults.len())?;
                faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}
