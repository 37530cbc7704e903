//! What can be wrong at start, told all at once.

use std::fmt;

/// A setting that cannot be used: where it stands, what it says, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable, or the builder's call.
    pub(crate) setting: &'static str,
    /// What was seen there.
    pub(crate) seen: String,
    /// What would be accepted.
    pub(crate) accepted: String,
    /// What is done instead, by those who go on.
    pub(crate) instead: &'static str,
}

/// Why [`Builder::try_init`](crate::Builder::try_init) did not start telemetry.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// Settings that cannot be used, all of them.
    Settings(Vec<Fault>),
    /// This process has a `tracing` subscriber already; there can be one.
    SubscriberIsSet,
    /// The output of log lines cannot be opened.
    Output(std::io::Error),
    /// The system has no thread for the exporter.
    Exporter(std::io::Error),
}

impl Fault {
    /// The variable, such as `OTEL_BSP_SCHEDULE_DELAY`, or the builder's call.
    pub fn setting(&self) -> &str {
        self.setting
    }

    /// What was seen there; a secret is left out.
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// What would be accepted.
    pub fn accepted(&self) -> &str {
        &self.accepted
    }

    pub(crate) fn new(
        setting: &'static str,
        seen: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self {
            setting,
            seen: seen.into(),
            accepted: accepted.into(),
            instead: "its default is used",
        }
    }

    /// Says what is done, where that is not to use the default.
    pub(crate) fn instead(mut self, instead: &'static str) -> Self {
        self.instead = instead;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}; accepted: {}", self.setting, self.seen, self.accepted)
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => {
                f.write_str("settings cannot be used")?;
                for (index, fault) in faults.iter().enumerate() {
                    write!(f, "{} {fault}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::SubscriberIsSet => f.write_str(
                "this process has a tracing subscriber already; call spanline's init first, and once",
            ),
            Self::Output(_) => f.write_str("the output of log lines cannot be opened; name another by SPANLINE_LOG_OUTPUT or Builder::log_output"),
            Self::Exporter(_) => f.write_str("the exporter's thread cannot be started"),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Output(cause) | Self::Exporter(cause) => Some(cause),
            Self::Settings(_) | Self::SubscriberIsSet => None,
        }
    }
}
