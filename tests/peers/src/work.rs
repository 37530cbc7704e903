//! What is compared: a list of works, each done by ours and by its peers.

use axum::Router;

use crate::{lines, requests, spans};

/// Does the work once.
pub type Operation = Box<dyn FnMut()>;

/// One row of the table.
pub struct Work {
    /// What is done, once.
    pub name: &'static str,
    /// Against what the others are held: the name of a subject.
    pub baseline: &'static str,
    /// Who does it.
    pub subjects: Vec<Subject>,
    /// What ours must reach.
    pub goals: Vec<Goal>,
}

/// Somebody who does a work.
pub struct Subject {
    /// Its name in the table.
    pub name: &'static str,
    /// How it does the work.
    pub prepare: Prepare,
}

/// Sets a subject up in this process; called once, because most of them set a global.
#[derive(Clone, Copy)]
pub enum Prepare {
    /// To be called over and over, and counted from inside.
    Operation(fn() -> Operation),
    /// To be served on a socket, and measured from outside under load.
    Server(fn() -> Router),
}

/// What ours must reach in a row.
#[derive(Clone, Copy)]
pub enum Goal {
    /// At most this many instructions.
    Instructions(f64),
    /// At most this many allocations.
    Allocations(f64),
    /// At most this many allocations more than the baseline's.
    ExtraAllocations(f64),
    /// At most this many times the baseline's instructions.
    InstructionRatio(f64),
    /// At most this many times the baseline's time.
    TimeRatio(f64),
}

/// Every work, in the order of the table.
pub fn all() -> Vec<Work> {
    let subject = |name, prepare| Subject { name, prepare: Prepare::Operation(prepare) };
    let server = |name, prepare| Subject { name, prepare: Prepare::Server(prepare) };
    vec![
        Work {
            name: "text line, ids and 2 fields, to a sink",
            baseline: "tracing-subscriber fmt (no ids)",
            subjects: vec![
                subject("spanline text, real writer", lines::spanline_text),
                subject("tracing-subscriber fmt (no ids)", lines::fmt),
                subject("fmt + Context::current ids, RUST_LOG", lines::fmt_with_context_ids),
            ],
            goals: vec![Goal::TimeRatio(0.20)],
        },
        Work {
            name: "text line, ids and 2 fields, RUST_LOG filter, to a sink",
            baseline: "tracing-subscriber fmt (no ids), RUST_LOG",
            subjects: vec![
                subject("spanline text, real writer", lines::spanline_text),
                subject("tracing-subscriber fmt (no ids), RUST_LOG", lines::fmt_filtered),
                subject("fmt + Context::current ids, RUST_LOG", lines::fmt_with_context_ids),
            ],
            goals: vec![Goal::Instructions(2_000.0), Goal::Allocations(0.0), Goal::TimeRatio(0.30)],
        },
        Work {
            name: "json line, ids and 2 fields, to a sink",
            baseline: "tracing-subscriber json (no ids)",
            subjects: vec![
                subject("spanline json, real writer", lines::spanline_json),
                subject("tracing-subscriber json (no ids)", lines::fmt_json),
                subject("json-subscriber (no ids)", lines::json_subscriber),
            ],
            goals: vec![Goal::TimeRatio(0.25)],
        },
        Work {
            name: "OpenTelemetry API span, 2 fields",
            baseline: "bare OpenTelemetry API",
            subjects: vec![
                subject("spanline API span, own queue", spans::spanline_api),
                subject("bare OpenTelemetry API", spans::api),
            ],
            goals: vec![Goal::InstructionRatio(2.0)],
        },
        Work {
            name: "tracing span, 2 fields",
            baseline: "OpenTelemetry API, made current",
            subjects: vec![
                subject("spanline tracing span, own queue", spans::spanline_tracing),
                subject("OpenTelemetry API, made current", spans::api_current),
                subject("tracing-opentelemetry as shipped", spans::tracing_as_shipped),
            ],
            goals: vec![Goal::InstructionRatio(2.7)],
        },
        Work {
            name: "axum request with a server span",
            baseline: "bare axum",
            subjects: vec![
                subject("spanline server layer", || requests::in_process(requests::spanline())),
                subject("bare axum", || requests::in_process(requests::bare())),
                subject("axum-tracing-opentelemetry", || {
                    requests::in_process(requests::axum_tracing_opentelemetry())
                }),
                subject("opentelemetry-instrumentation-tower", || {
                    requests::in_process(requests::instrumentation_tower())
                }),
            ],
            goals: vec![Goal::InstructionRatio(2.0), Goal::ExtraAllocations(7.0)],
        },
        Work {
            name: "axum request with a server span, under wrk: CPU of the server",
            baseline: "bare axum",
            subjects: vec![
                server("spanline server layer", requests::spanline),
                server("bare axum", requests::bare),
                server("axum-tracing-opentelemetry", requests::axum_tracing_opentelemetry),
                server("opentelemetry-instrumentation-tower", requests::instrumentation_tower),
            ],
            goals: vec![Goal::TimeRatio(1.45)],
        },
    ]
}
