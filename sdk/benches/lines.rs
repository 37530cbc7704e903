//! What one log line costs: `cargo bench -p spanline --bench lines`.
//!
//! An event with two fields inside a span, with ids and with a filter, to the output that keeps nothing.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking, as a test does")]

mod harness;

use std::fs::OpenOptions;
use std::process::ExitCode;

use harness::{Bench, Operation, Subject};
use rustix::fs::{CWD, Mode, mkfifoat};
use spanline::{Builder, LogFormat, LogOutput};

const SUBJECTS: &[Subject] = &[
    Subject::new("text", text).at_most(2_000.0),
    Subject::new("json", json),
    Subject::new("logfmt", logfmt),
    Subject::new("winston", winston),
    Subject::new("python", python),
    Subject::new("text, real writer", real_writer),
    Subject::new("text, nobody reads", nobody_reads),
];

fn main() -> ExitCode {
    harness::main(&Bench { subjects: SUBJECTS, most_operations: u32::MAX })
}

fn builder() -> Builder {
    spanline::builder("bench").log_output(LogOutput::Discard).log_filter("info")
}

/// The event inside an entered span, over and over.
fn inside_a_span(builder: Builder) -> Operation {
    // It runs until the process ends.
    std::mem::forget(builder.init());
    let span = tracing::info_span!("request").entered();
    Box::new(move || {
        let _keep = &span;
        tracing::info!(sku = 12, user = "ada", "added item");
    })
}

fn text() -> Operation {
    inside_a_span(builder())
}

fn json() -> Operation {
    inside_a_span(builder().log_format(LogFormat::Json))
}

fn logfmt() -> Operation {
    inside_a_span(builder().log_format(LogFormat::Logfmt))
}

fn winston() -> Operation {
    inside_a_span(builder().log_format(LogFormat::Winston))
}

fn python() -> Operation {
    inside_a_span(builder().log_format(LogFormat::Python))
}

fn real_writer() -> Operation {
    inside_a_span(builder().log_output(LogOutput::File("/dev/null".into())))
}

/// To a pipe that is full, with the queue full as well: the line is counted, and not made.
fn nobody_reads() -> Operation {
    /// Much less than the lines that fill it.
    const QUEUE_BYTES: usize = 32 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("stdout");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    // Both ends are open, and nobody reads.
    std::mem::forget(OpenOptions::new().read(true).write(true).open(&pipe).unwrap());
    let builder = builder().log_output(LogOutput::File(pipe)).log_queue_bytes(QUEUE_BYTES);
    let mut operation = inside_a_span(builder.log_reserved_bytes(0));
    // As much as the pipe and the queue hold, and more.
    (0..4_000).for_each(|_| operation());
    operation
}
