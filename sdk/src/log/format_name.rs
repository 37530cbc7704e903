//! The formats by name, as a setting chooses among them.

use std::fmt;
use std::str::FromStr;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogFormat {
    /// One line for people: time, level, ids, target, message, fields.
    #[default]
    Text,
    /// The line of a NestJS service with nest-winston: message, then the record as JSON.
    Winston,
    /// The line of Python's `logging` with OpenTelemetry's `LoggingInstrumentor`.
    Python,
    /// One JSON object.
    Json,
    /// `key=value` pairs.
    Logfmt,
}

impl LogFormat {
    /// Every format, in the order of the documentation.
    pub const ALL: [Self; 5] = [Self::Text, Self::Winston, Self::Python, Self::Json, Self::Logfmt];

    /// The name that `SPANLINE_LOG_FORMAT` knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Winston => "winston",
            Self::Python => "python",
            Self::Json => "json",
            Self::Logfmt => "logfmt",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LogFormat {
    type Err = ParseLogFormatError;

    /// Reads a format's name; case does not matter.
    ///
    /// # Errors
    ///
    /// Any other text; the error lists the names.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| ParseLogFormatError { seen: name.to_owned() })
    }
}

/// A text that is not the name of a [`LogFormat`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLogFormatError {
    seen: String,
}

impl fmt::Display for ParseLogFormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a log format; use one of", self.seen)?;
        for (position, format) in LogFormat::ALL.into_iter().enumerate() {
            write!(f, "{}{format}", if position == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseLogFormatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_read_back_from_its_name_in_any_case() {
        for format in LogFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(format.name().to_uppercase().parse(), Ok(format));
        }
    }

    #[test]
    fn an_unknown_format_is_answered_with_the_list_of_the_known() {
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#""xml" is not a log format; use one of text, winston, python, json, logfmt"#
        );
    }
}
