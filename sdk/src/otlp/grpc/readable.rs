//! A channel whose answers tonic can read.
//!
//! Tonic panics at a status whose details are no base64, and a host that is built with `panic = "abort"` would
//! end because of what a receiver says. Such details are taken away before it looks.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::combinators::MapFrame;
use tonic::body::Body;
use tonic::transport::{Channel, Error};
use tower_service::Service;

const DETAILS: &str = "grpc-status-details-bin";

/// See the module.
pub(super) struct Readable(pub(super) Channel);

type ReadableBody = MapFrame<Body, fn(Frame<Bytes>) -> Frame<Bytes>>;

impl Service<Request<Body>> for Readable {
    type Response = Response<ReadableBody>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let response = self.0.call(request);
        Box::pin(async move {
            let mut response = response.await?;
            // A status without a message comes in the headers, any other in the trailers.
            make_readable(response.headers_mut());
            Ok(response.map(|body| body.map_frame(readable as fn(_) -> _)))
        })
    }
}

fn readable(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            make_readable(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

fn make_readable(headers: &mut HeaderMap) {
    if headers.get_all(DETAILS).iter().any(|details| !is_base64(details.as_bytes())) {
        headers.remove(DETAILS);
    }
}

/// Whether it is base64 of the strictest kind; padding may be missing.
fn is_base64(text: &[u8]) -> bool {
    let padded = [b"==".as_slice(), b"="].into_iter().find_map(|pad| text.strip_suffix(pad));
    let digits = padded.unwrap_or(text);
    let unused_bits = match digits.len() % 4 {
        0 => 0b0000,
        2 => 0b1111,
        3 => 0b0011,
        _ => return false,
    };
    let last = digits.last().map_or(Some(0), |last| value(*last));
    (padded.is_none() || text.len().is_multiple_of(4))
        && digits.iter().all(|digit| value(*digit).is_some())
        && last.is_some_and(|last| last & unused_bits == 0)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_what_is_not() {
        for good in ["", "AA", "AA==", "AAA", "AAA=", "AAAA", "CAgSBXF1b3Rh", "+/+/"] {
            assert!(is_base64(good.as_bytes()), "{good}");
        }
        for bad in ["A", "A=", "AB", "AAB", "AA=", "AAAA=", "AAAA==", "===", "A A=", "-_-_", "é"] {
            assert!(!is_base64(bad.as_bytes()), "{bad}");
        }
    }
}
