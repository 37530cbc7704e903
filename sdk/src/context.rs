//! The ids of the active span, copied out of the OpenTelemetry context.
//!
//! Nothing in here allocates, and nothing in here keeps the context borrowed while other code runs:
//! a caller gets a plain copy, and formats from that.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

/// The ids of one span, as a log line prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanIds {
    /// The trace's id, big-endian.
    pub(crate) trace_id: [u8; 16],
    /// The span's id, big-endian.
    pub(crate) span_id: [u8; 8],
    /// Whether the span is recorded; the ids of one that is not are printed just the same.
    pub(crate) sampled: bool,
}

impl SpanIds {
    /// The ids of a span, or `None` where OpenTelemetry says "there is no span".
    pub(crate) fn of(span: &SpanContext) -> Option<Self> {
        span.is_valid().then(|| Self {
            trace_id: span.trace_id().to_bytes(),
            span_id: span.span_id().to_bytes(),
            sampled: span.is_sampled(),
        })
    }

    /// The ids of the span that a context carries.
    pub(crate) fn of_context(context: &Context) -> Option<Self> {
        if context.has_active_span() { Self::of(context.span().span_context()) } else { None }
    }

    /// The trace id in lower-case hex.
    #[inline]
    pub(crate) fn trace_hex(&self) -> [u8; 32] {
        hex(&self.trace_id)
    }

    /// The span id in lower-case hex.
    #[inline]
    pub(crate) fn span_hex(&self) -> [u8; 16] {
        hex(&self.span_id)
    }
}

/// The ids of the span that is active on this thread.
pub(crate) fn active() -> Option<SpanIds> {
    // A panic hook that asks during the probe would begin the probe anew.
    if is_probing() {
        return None;
    }
    match CONTEXT_IS_ALIVE.try_with(|alive| alive.0) {
        Ok(true) => Context::map_current(SpanIds::of_context),
        // The thread is being torn down: its context is gone, and asking for it would panic.
        Ok(false) | Err(_) => None,
    }
}

/// Whether the span that is active on this thread is there, and not sampled.
pub(crate) fn is_unsampled() -> bool {
    active().is_some_and(|ids| !ids.sampled)
}

/// Whether this thread is finding out what is there, such as its context. The answer "no" is a panic, which
/// is caught: it is nobody's business, the panic hook's least of all.
pub(crate) fn is_probing() -> bool {
    IS_PROBING.get()
}

thread_local! {
    /// Has no destructor, so it can be read while the thread is torn down.
    static IS_PROBING: Cell<bool> = const { Cell::new(false) };

    /// Tells whether OpenTelemetry's own thread-local is still there.
    ///
    /// A thread's destructors run in the reverse order of their registration. This one is registered
    /// after the context (the initialiser touches it first), so it is gone before the context is.
    static CONTEXT_IS_ALIVE: Alive = Alive(probe());
}

fn probe() -> bool {
    works(|| Context::map_current(|_| ()))
}

/// Whether something goes without a panic, where there is no other way to know. Nobody hears of one.
pub(crate) fn works(attempt: impl FnOnce()) -> bool {
    IS_PROBING.set(true);
    let works = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attempt)).is_ok();
    IS_PROBING.set(false);
    works
}

struct Alive(bool);

impl Drop for Alive {
    fn drop(&mut self) {}
}

/// Without a table, so that several bytes are turned at once.
#[inline]
fn hex<const BYTES: usize, const DIGITS: usize>(bytes: &[u8; BYTES]) -> [u8; DIGITS] {
    const { assert!(DIGITS == BYTES * 2) };
    let digit = |nibble: u8| nibble + if nibble > 9 { b'a' - 10 } else { b'0' };
    let mut digits = [0; DIGITS];
    for index in 0..BYTES {
        digits[2 * index] = digit(bytes[index] >> 4);
        digits[2 * index + 1] = digit(bytes[index] & 0x0f);
    }
    digits
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn remote(sampled: bool) -> SpanContext {
        SpanContext::new(
            TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
            SpanId::from_hex("00f067aa0ba902b7").unwrap(),
            if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
            true,
            TraceState::default(),
        )
    }

    #[test]
    fn without_a_span_there_are_no_ids() {
        assert_eq!(active(), None);
    }

    #[test]
    fn the_ids_of_an_attached_span_are_seen_sampled_or_not() {
        for sampled in [true, false] {
            let _attached = Context::new().with_remote_span_context(remote(sampled)).attach();
            let ids = active().unwrap();
            assert_eq!(&ids.trace_hex(), b"0af7651916cd43dd8448eb211c80319c");
            assert_eq!(&ids.span_hex(), b"00f067aa0ba902b7");
            assert_eq!(ids.sampled, sampled);
        }
    }

    #[test]
    fn an_invalid_span_has_no_ids() {
        let _attached = Context::new().with_remote_span_context(SpanContext::NONE).attach();
        assert_eq!(active(), None);
    }

    #[test]
    fn asking_while_the_thread_is_torn_down_finds_no_span() {
        struct AsksWhenDropped(std::sync::mpsc::Sender<Option<SpanIds>>);
        impl Drop for AsksWhenDropped {
            fn drop(&mut self) {
                let _ = self.0.send(active());
            }
        }
        thread_local!(static LATE: std::cell::OnceCell<AsksWhenDropped> = const { std::cell::OnceCell::new() });
        let (answer, answers) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // Registered before the context, hence dropped after it.
            LATE.with(|late| late.set(AsksWhenDropped(answer)).ok());
            active();
        })
        .join()
        .unwrap();
        assert_eq!(answers.recv().unwrap(), None);
    }
}
