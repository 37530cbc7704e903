//! The receivers' settings.

use super::component::{ALL_SIGNALS, Kind, Signal};
use super::filelog::{self, Filelog};
use super::section::{Section, Setting};

/// A receiver and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Receiver {
    /// OTLP over gRPC and HTTP.
    Otlp(Otlp),
    /// Tailed files.
    Filelog(Filelog),
}

/// The `otlp` receiver: each protocol that is named is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// Where gRPC is received.
    pub grpc: Option<Setting>,
    /// Where HTTP is received.
    pub http: Option<Setting>,
}

pub(super) const KINDS: &[Kind<Receiver>] = &[
    Kind {
        name: "filelog",
        aliases: &["file_log"],
        signals: &[Signal::Logs],
        read: filelog::read,
        sample: "{include: ['/p/*/*/*.log'], start_at: beginning, operators: [{type: noop}]}",
    },
    Kind {
        name: "otlp",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: otlp,
        sample: "protocols: {grpc: {}, http: {}}",
    },
];

fn otlp(section: &mut Section<'_>) -> Option<Receiver> {
    let mut protocols = section.section("protocols");
    let (has_grpc, has_http) = (protocols.has("grpc"), protocols.has("http"));
    let grpc = protocols.section("grpc").listen("endpoint", "localhost:4317");
    let http = protocols.section("http").listen("endpoint", "localhost:4318");
    if !has_grpc && !has_http {
        protocols.fault("one of grpc and http must be there");
        return None;
    }
    let (grpc, http) = (has_grpc.then_some(grpc), has_http.then_some(http));
    Some(Receiver::Otlp(Otlp { grpc, http }))
}
