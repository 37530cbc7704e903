//! A program without any async runtime: threads, spans, lines, and the account of all of them at the end.
//!
//! ```sh
//! cargo run -p spanline --example no_runtime
//! ```

use std::thread;

fn main() {
    let telemetry = spanline::init("nightly-import");

    let import = tracing::info_span!("import", files = 3).entered();
    thread::scope(|scope| {
        for file in 1..=3 {
            // A new thread knows nothing of the span here; it is told.
            let span = tracing::info_span!(parent: &import, "file", file);
            scope.spawn(move || span.in_scope(|| read(file)));
        }
    });
    import.exit();

    telemetry.shutdown();
    let ledger = telemetry.ledger();
    println!("{} of {} lines were written", ledger.lines.written, ledger.lines.emitted);
    println!("{} spans ended, {} were delivered", ledger.spans.ended, ledger.spans.exported);
}

fn read(file: u32) {
    tracing::info!(rows = file * 1_000, "read");
}
