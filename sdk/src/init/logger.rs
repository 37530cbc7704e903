//! The logger of the `log` crate: its records become events of `tracing`, for whichever subscriber is in force.

use tracing::level_filters::LevelFilter;
use tracing_log::AsTrace as _;

use super::telemetry;
use crate::log;

static LOGGER: Logger = Logger;

/// Takes the records of the `log` crate. If another logger is set, it keeps them.
pub(crate) fn install() {
    if ::log::set_logger(&LOGGER).is_ok() {
        // Subscribers and their filters come and go; each record asks the one in force.
        ::log::set_max_level(::log::LevelFilter::Trace);
    }
}

struct Logger;

impl ::log::Log for Logger {
    fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
        metadata.level().as_trace() <= LevelFilter::current()
            && tracing::dispatcher::get_default(|dispatch| dispatch.enabled(&metadata.as_trace()))
    }

    fn log(&self, record: &::log::Record<'_>) {
        // Most records are of no interest to anybody, and their values need not be looked at.
        if self.enabled(record.metadata()) {
            // It never fails, whatever its signature says.
            log::put_aside(record, || drop(tracing_log::format_trace(record)));
        }
    }

    fn flush(&self) {
        telemetry::flush_started_lines();
    }
}
