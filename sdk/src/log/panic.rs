//! A panic is one line like every other, with the ids of the span in which it happened.

use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tracing::Level;

use super::Lines;
use super::render::Origin;
use super::ring::Priority;
use crate::context;

/// After a panic the process may be gone at once, so its line is waited for; not longer than this,
/// since a server survives its handlers' panics, and its output may be stuck.
const FLUSH_FOR: Duration = Duration::from_millis(100);

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static>;

/// From now on a panic is counted and written as a line of level ERROR, in place of the standard
/// library's text, and the active span fails of it. A hook that the program had set before runs after that.
///
/// On a thread that is panicking nothing is installed: the standard library forbids it.
pub(crate) fn install_panic_hook(lines: &Lines) {
    if thread::panicking() {
        return;
    }
    let lines = lines.clone();
    let users_hook = take_users_hook();
    panic::set_hook(Box::new(move |info| {
        if context::is_probing() {
            return;
        }
        lines.count_panic();
        emit(&lines, info);
        lines.flush(Instant::now() + FLUSH_FOR);
        if let Some(hook) = &users_hook {
            hook(info);
        }
    }));
}

/// The hook that was set before, if it is not the standard library's own.
///
/// Once taken, the standard library's is back: so the second one is it, and the first is compared
/// with that. If the comparison fails to see that they are the same, a panic is printed twice.
fn take_users_hook() -> Option<Hook> {
    let before = panic::take_hook();
    let default = panic::take_hook();
    #[allow(
        ambiguous_wide_pointer_comparisons,
        reason = "functions have no address of their own here: only the vtable tells them apart"
    )]
    let is_default = std::ptr::eq(&raw const *before, &raw const *default);
    (!is_default).then_some(before)
}

fn emit(lines: &Lines, info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text");
    mark_span(message);
    let location = info.location();
    let thread = thread::current();
    lines.emit(false, Priority::High, |fields| {
        fields.set_message(format_args!("panicked: {message}"));
        fields.add_text("thread", thread.name().unwrap_or("unnamed"));
        if let Some(location) = location {
            fields.add_text("location", &location.to_string());
        }
        Origin {
            level: Level::ERROR,
            target: "panic",
            file: location.map(|location| location.file()),
            line: location.map(|location| location.line()),
            ids: context::active(),
            is_panic: true,
        }
    });
}

/// The active span's status becomes an error, and it gets an `exception` event as the semantic conventions
/// have it.
fn mark_span(message: &str) {
    if context::active().is_none() {
        return;
    }
    // A clone, since the span's code may ask for the context, too.
    let active = Context::current();
    let span = active.span();
    if span.is_recording() {
        let attributes = vec![
            KeyValue::new("exception.type", "panic"),
            KeyValue::new("exception.message", message.to_owned()),
        ];
        span.add_event("exception", attributes);
        span.set_status(Status::error(format!("panicked: {message}")));
    }
}
