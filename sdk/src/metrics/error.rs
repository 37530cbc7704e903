//! Why a metric was not registered.

use std::fmt;

/// Why a metric was not registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is not `[a-zA-Z_:][a-zA-Z0-9_:]*`.
    InvalidName(String),
    /// Another metric has the name, or one of its samples would.
    DuplicateName(String),
    /// The help text of this metric holds a line break.
    HelpSpansLines(String),
    /// A metric's label is not `[a-zA-Z_][a-zA-Z0-9_]*`, stands twice, or is Prometheus's own.
    InvalidLabel(String, String),
    /// The bounds of this histogram are not finite, do not grow, or are too many.
    InvalidBounds(String),
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName(name) => write!(
                f,
                "{name:?} is not a metric's name: letters, digits, _ and :, and no digit first"
            ),
            Self::DuplicateName(name) => {
                write!(f, "{name:?} is the name of a metric, or of its samples, already")
            }
            Self::HelpSpansLines(name) => write!(f, "the help of {name:?} has a line break"),
            Self::InvalidLabel(name, label) => write!(
                f,
                "{label:?} cannot be a label of {name:?}: letters, digits and _, no digit first, each once, \
                 neither \"le\" nor anything that begins with __"
            ),
            Self::InvalidBounds(name) => write!(
                f,
                "the bounds of {name:?} must be finite, each larger than the one before, at most 200"
            ),
        }
    }
}

impl std::error::Error for RegisterError {}
