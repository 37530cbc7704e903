//! The receivers' settings.

use super::auth::Authenticator;
use super::component::{ALL_SIGNALS, Kind, Signal};
use super::filelog::{self, Filelog};
use super::section::Section;
use super::serving::{Serving, serving};
use super::units;

/// A receiver and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Receiver {
    /// OTLP over gRPC and HTTP.
    Otlp(Box<Otlp>),
    /// Tailed files.
    Filelog(Box<Filelog>),
}

/// The `otlp` receiver: each protocol that is named is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// How gRPC is received.
    pub grpc: Option<GrpcReceiver>,
    /// How HTTP is received.
    pub http: Option<HttpReceiver>,
}

/// OTLP over gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcReceiver {
    /// Where, and for whom.
    pub serving: Serving,
    /// Bytes of one message, as sent and unzipped.
    pub max_message_bytes: usize,
    /// Requests that one connection may have under way.
    pub max_concurrent_streams: u32,
}

/// OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReceiver {
    /// Where, and for whom.
    pub serving: Serving,
    /// Bytes of one body, as sent and unzipped.
    pub max_body_bytes: usize,
}

const MIB: usize = 1024 * 1024;
/// What a request may have unless it is said.
const USUAL_BODY_BYTES: usize = 16 * MIB;
/// What it may be said to have: as much as all requests together may hold while they are read.
const MAX_BODY_BYTES: usize = 64 * MIB;
/// Requests that one connection over gRPC may have under way unless it is said.
const MAX_CONCURRENT_STREAMS: u32 = 64;

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
    let grpc = grpc(&mut protocols.section("grpc"));
    let http = http(&mut protocols.section("http"));
    if !has_grpc && !has_http {
        protocols.fault("one of grpc and http must be there");
        return None;
    }
    let (grpc, http) = (has_grpc.then_some(grpc), has_http.then_some(http));
    Some(Receiver::Otlp(Box::new(Otlp { grpc, http })))
}

fn grpc(section: &mut Section<'_>) -> GrpcReceiver {
    let most_mib = MAX_BODY_BYTES / MIB;
    let expected = format!("a whole number of MiB from 1 to {most_mib}");
    let mib = section.parsed("max_recv_msg_size_mib", &expected, |text, plain| {
        let mib = plain.then(|| text.parse::<usize>().ok()).flatten();
        mib.filter(|mib| (1..=most_mib).contains(mib))
    });
    let streams =
        section.parsed("max_concurrent_streams", "a whole number from 1", |text, plain| {
            plain.then(|| text.parse::<u32>().ok()).flatten().filter(|streams| *streams > 0)
        });
    GrpcReceiver {
        serving: serving(section, "localhost:4317"),
        max_message_bytes: mib.map_or(USUAL_BODY_BYTES, |mib| mib * MIB),
        max_concurrent_streams: streams.unwrap_or(MAX_CONCURRENT_STREAMS),
    }
}

fn http(section: &mut Section<'_>) -> HttpReceiver {
    let expected = format!("a number of bytes from 1 to {MAX_BODY_BYTES}");
    let bytes = section.parsed("max_request_body_size", &expected, |text, _| {
        let bytes = usize::try_from(units::bytes(text)?).ok()?;
        (1..=MAX_BODY_BYTES).contains(&bytes).then_some(bytes)
    });
    HttpReceiver {
        serving: serving(section, "localhost:4318"),
        max_body_bytes: bytes.unwrap_or(USUAL_BODY_BYTES),
    }
}

impl Receiver {
    /// Whom it lets in.
    pub(super) fn auth(&self) -> impl Iterator<Item = &Authenticator> {
        let (grpc, http) = match self {
            Self::Otlp(otlp) => (otlp.grpc.as_ref(), otlp.http.as_ref()),
            Self::Filelog(_) => (None, None),
        };
        let grpc = grpc.and_then(|grpc| grpc.serving.auth.as_ref());
        let http = http.and_then(|http| http.serving.auth.as_ref());
        grpc.into_iter().chain(http)
    }
}
