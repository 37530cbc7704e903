//! What an event that is copied into its span is told beside its fields: the key-values of a `log` record.
//!
//! The event is copied by the OpenTelemetry layer, which knows the fields only. So the rest is put aside on the
//! thread, where the span takes it with the next event.

use std::cell::Cell;

use opentelemetry::KeyValue;

thread_local! {
    static ASIDE: Cell<Vec<KeyValue>> = const { Cell::new(Vec::new()) };
}

/// The next event of a span of ours has these as well; with none of them, what was put aside before is forgotten.
pub(crate) fn tell_next_event(attributes: Vec<KeyValue>) {
    // In a thread that is being torn down there is no place to put them.
    let _ = ASIDE.try_with(|aside| aside.set(attributes));
}

/// Adds what the event is told. Of attributes with one key its own is kept.
pub(super) fn add_told(attributes: &mut Vec<KeyValue>) {
    for told in ASIDE.try_with(Cell::take).unwrap_or_default() {
        if attributes.iter().all(|own| own.key != told.key) {
            attributes.push(told);
        }
    }
}
