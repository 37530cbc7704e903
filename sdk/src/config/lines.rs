//! What is said in lines, besides what the service says.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;

use crate::error::Fault;
use crate::vars::Reader;

const LOG_LEVEL: &str = "OTEL_LOG_LEVEL";
const LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER";

/// How much the crate and OpenTelemetry say of themselves.
pub(super) fn read_diagnostics(reader: &mut Reader<'_>) -> Option<LevelFilter> {
    if let Some(exporter) = reader.text(LOGS_EXPORTER) {
        let is_known =
            ["otlp", "console", "none"].iter().any(|known| exporter.eq_ignore_ascii_case(known));
        if !is_known {
            let accepted = "otlp, console, none; lines are printed whichever it is";
            reader
                .fault(Fault::new(LOGS_EXPORTER, exporter, accepted).instead("lines are printed"));
        }
    }
    reader.parse(LOG_LEVEL, "none, error, warn, info, debug, trace").map(|Diagnostics(level)| level)
}

struct Diagnostics(LevelFilter);

impl FromStr for Diagnostics {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(Self(match text.to_ascii_lowercase().as_str() {
            "none" | "off" => LevelFilter::OFF,
            "fatal" | "error" => LevelFilter::ERROR,
            "warn" | "warning" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" | "verbose" | "all" => LevelFilter::TRACE,
            _ => return Err(()),
        }))
    }
}
