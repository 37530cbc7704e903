//! Under construction.

mod context;
mod log;

pub use log::{LineDrops, LineLedger, LogFormat, LogOutput, ParseLogFormatError};
