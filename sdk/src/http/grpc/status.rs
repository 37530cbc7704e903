//! How a call went: gRPC's status, from headers, trailers, errors, or from their absence.

use std::any::Any;
use std::error::Error as _;

use http::{HeaderMap, StatusCode};
use tonic::{Code, Status, TimeoutExpired};

/// The status that headers or trailers tell, if they do.
pub(super) fn told(headers: &HeaderMap) -> Option<Code> {
    headers.get(Status::GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// The status of an answer that has none of its own: something on the way spoke HTTP, as gRPC maps it.
pub(super) fn of_http(status: StatusCode) -> Code {
    match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The status that an error stands for, as tonic will tell it to the caller; `otherwise` where the error is
/// none that tonic knows.
pub(super) fn of_error(error: &dyn Any, otherwise: Code) -> Code {
    if let Some(status) = error.downcast_ref::<Status>() {
        return status.code();
    }
    let Some(error) = error.downcast_ref::<tonic::transport::Error>() else { return otherwise };
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    for cause in causes {
        if let Some(status) = cause.downcast_ref::<Status>() {
            return status.code();
        }
        if cause.is::<TimeoutExpired>() {
            return Code::Cancelled;
        }
    }
    otherwise
}

/// As the conventions spell it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Whether a server's call with this status failed by the server's own fault.
///
/// From the conventions for gRPC: what else is not "OK" is the answer to a wrong request.
pub(super) fn is_servers_fault(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
