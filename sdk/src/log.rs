//! How a log line looks: formats, a [`Format`] of your own, fields that are on every line.
//!
//! ```
//! use spanline::log::LogTime;
//!
//! let _telemetry = spanline::builder("checkout")
//!     .log_template("{time} {level} {[ids] }{target}: {message}{ fields}")
//!     .log_time(LogTime::Local)
//!     .log_field("shard", 7)
//!     .log_span_fields(true)
//!     .init();
//! ```
//!
//! Of fields with one name the one that is nearest to the event wins: its own, then the hook's, then those of its
//! span and of the spans around it, then fixed ones with `location` and `thread`. The others are left out.

// An event becomes a line.
//
// `layer` takes the event and finds its ids; `render` makes the line (`fields`, then a `format`,
// with `escape`, `time` and `digits` below it) in memory of its own thread; `ring` queues it within
// bounds; `writer` hands it to an `output`. `key_values` are those of the `log` crate's records, which get
// to the layer beside the event. Nothing up to the ring waits for anything but a copy.

mod console;
mod digits;
mod escape;
mod extra;
mod fields;
mod format;
mod format_name;
mod key_values;
mod layer;
mod ledger;
mod options;
mod out;
mod output;
mod own;
mod panic;
mod render;
mod ring;
mod settings;
mod sink;
mod template;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::Level;

use fields::Fields;
use output::Output;
use render::{Origin, Renderer};
#[cfg(feature = "testing")]
use ring::Next;
use ring::{Priority, Ring};
use sink::Sink;

pub use extra::{Extra, FixedValue};
pub use format_name::{LogFormat, ParseLogFormatError};
pub(crate) use key_values::{attributes, put_aside};
pub(crate) use layer::LineLayer;
pub use ledger::{LineDrops, LineLedger};
pub(crate) use options::{LineOptions, Own};
pub use own::{Format, Line};
pub(crate) use panic::install_panic_hook;
pub use settings::LogOutput;
pub(crate) use settings::LogSettings;
pub(crate) use settings::{
    DEFAULT_FILE_BYTES, DEFAULT_FILES_KEPT, DEFAULT_QUEUE_BYTES, DEFAULT_RESERVED_BYTES,
};
pub use time::LogTime;

/// Opens the output and starts the writer.
///
/// # Errors
///
/// The output cannot be opened, or the system has no thread for us.
pub(crate) fn start(settings: LogSettings) -> io::Result<(LineLayer, Lines)> {
    match output::open(&settings)? {
        Some(output) => start_with_output(&settings, output),
        None => Ok(started(&settings, Arc::new(Renderer::new(&settings)), Sink::discard())),
    }
}

/// For want of a thread: every line is counted as dropped.
pub(crate) fn without_writer(settings: &LogSettings) -> (LineLayer, Lines) {
    let renderer = Arc::new(Renderer::new(settings));
    let ring = ring(settings, &renderer);
    ring.writer_is_gone();
    started(settings, renderer, Sink::Ring(ring))
}

/// Without a writer: lines wait until they are [taken](Lines::take).
#[cfg(feature = "testing")]
pub(crate) fn kept(settings: LogSettings) -> (LineLayer, Lines) {
    /// More than a test prints.
    const KEPT_BYTES: usize = 256 * 1024 * 1024;
    let settings = LogSettings { queue_bytes: KEPT_BYTES, ..settings };
    let renderer = Arc::new(Renderer::new(&settings));
    let ring = ring(&settings, &renderer);
    started(&settings, renderer, Sink::Ring(ring))
}

fn start_with_output(
    settings: &LogSettings,
    output: Box<dyn Output>,
) -> io::Result<(LineLayer, Lines)> {
    let renderer = Arc::new(Renderer::new(settings));
    let ring = ring(settings, &renderer);
    let notices = Arc::clone(&renderer);
    let notice_line = Box::new(move |drops| notice_line(&notices, drops));
    // The thread is not joined: it may be stuck in a write for as long as the process lives.
    drop(writer::spawn(Arc::clone(&ring), output, notice_line)?);
    Ok(started(settings, renderer, Sink::Ring(ring)))
}

fn ring(settings: &LogSettings, renderer: &Renderer) -> Arc<Ring> {
    let max_line_bytes = renderer.max_bytes_with_newline();
    Arc::new(Ring::new(settings.queue_bytes, settings.reserved_bytes, max_line_bytes))
}

fn started(settings: &LogSettings, renderer: Arc<Renderer>, sink: Sink) -> (LineLayer, Lines) {
    let lines = Lines { shared: Arc::new(Shared { renderer, sink, panics: AtomicU64::new(0) }) };
    (LineLayer::new(lines.clone(), settings.options.clone()), lines)
}

/// The queue of lines and its writer.
#[derive(Clone)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
}

struct Shared {
    renderer: Arc<Renderer>,
    sink: Sink,
    panics: AtomicU64,
}

impl Lines {
    /// Waits until every line emitted so far is written or dropped; `false` if the deadline passed.
    pub(crate) fn flush(&self, deadline: Instant) -> bool {
        self.shared.sink.flush(deadline)
    }

    /// Ends the writer once it has written what waits; lines that come later are counted as dropped.
    /// If the deadline passes first the answer is `false`, and what still waits is dropped: a writer
    /// that is stuck in the system is left behind. May be called again.
    pub(crate) fn shutdown(&self, deadline: Instant) -> bool {
        self.shared.sink.close(deadline)
    }

    /// The account of all lines. The writer's own line about drops is not in it.
    pub(crate) fn ledger(&self) -> LineLedger {
        self.shared.sink.ledger()
    }

    /// How many panics were seen.
    pub(crate) fn panics(&self) -> u64 {
        self.shared.panics.load(Ordering::Relaxed)
    }

    /// Every line that waits, where there is no writer to take them.
    #[cfg(feature = "testing")]
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut taken = Vec::new();
        let Sink::Ring(ring) = &self.shared.sink else { return taken };
        while let Next::Lines(chunk) = ring.take(Some(Instant::now())) {
            taken.extend_from_slice(&chunk.bytes);
            let lines = chunk.lines;
            ring.settle(chunk, lines);
        }
        taken
    }

    fn count_panic(&self) {
        self.shared.panics.fetch_add(1, Ordering::Relaxed);
    }

    fn emit<'a>(
        &self,
        is_from_log_crate: bool,
        priority: Priority,
        fill: impl FnOnce(&mut Fields) -> Origin<'a>,
    ) {
        let sink = &self.shared.sink;
        if sink.refuses(priority) {
            return;
        }
        let take = |line: &[u8]| sink.push(line, priority);
        if !self.shared.renderer.line(is_from_log_crate, fill, take) {
            sink.count_recursion();
        }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("ledger", &self.ledger()).finish_non_exhaustive()
    }
}

/// The line about lines that nobody saw.
fn notice_line(renderer: &Renderer, drops: LineDrops) -> Vec<u8> {
    let mut notice = Vec::new();
    let fill = |fields: &mut Fields| {
        let lost = drops.total();
        let lines = if lost == 1 { "line" } else { "lines" };
        // The fields say why, and with that what to look at: who reads too slowly, or which disk is full.
        fields.set_message(format_args!("dropped {lost} log {lines}"));
        for (reason, count) in drops.by_reason() {
            if count > 0 {
                fields.add_u64(reason, count);
            }
        }
        Origin {
            level: Level::WARN,
            target: "spanline",
            file: None,
            line: None,
            ids: None,
            is_panic: false,
        }
    };
    renderer.line(false, fill, |line| notice.extend_from_slice(line));
    notice
}
