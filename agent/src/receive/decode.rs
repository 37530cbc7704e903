//! A body, protobuf or JSON → a request of OTLP.

use prost::Message;

use super::json;
use super::refusal::Refusal;
use super::scan;
use super::signal::Signal;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Protobuf's wire format.
    Protobuf,
    /// OTLP's JSON.
    Json,
}

/// The request, and how much memory it takes.
pub(super) fn request<S: Signal>(
    format: Format,
    body: &[u8],
) -> Result<(S::Request, usize), Refusal> {
    match format {
        Format::Protobuf => {
            let bytes = scan::protobuf(body, S::SHAPE)?;
            let request = S::Request::decode(body)
                .map_err(|error| Refusal::Malformed(format!("not OTLP protobuf: {error}")))?;
            Ok((request, bytes))
        }
        Format::Json => {
            let bytes = scan::json(body)?;
            let request = json::from_slice(body)
                .map_err(|error| Refusal::Malformed(format!("not OTLP JSON: {error}")))?;
            Ok((request, bytes))
        }
    }
}
