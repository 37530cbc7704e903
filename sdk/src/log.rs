//! An event becomes a line: format, ids, bounded queue, writer thread.

mod ledger;
mod settings;

use std::io;
use std::time::Instant;

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

pub use ledger::{LineDrops, LineLedger};
pub(crate) use settings::LogSettings;
pub use settings::{LogFormat, LogOutput, ParseLogFormatError};

pub(crate) struct LineLayer;
impl<S> Layer<S> for LineLayer where S: Subscriber + for<'a> LookupSpan<'a> {}

#[derive(Clone, Debug)]
pub(crate) struct Lines;
impl Lines {
    pub(crate) fn flush(&self, _deadline: Instant) -> bool {
        true
    }
    pub(crate) fn shutdown(&self, _deadline: Instant) -> bool {
        true
    }
    pub(crate) fn ledger(&self) -> LineLedger {
        LineLedger::default()
    }
}

pub(crate) fn start(_settings: LogSettings) -> io::Result<(LineLayer, Lines)> {
    Ok((LineLayer, Lines))
}

pub(crate) fn install_panic_hook(_lines: &Lines) {}
