//! What both sides write alike, by OpenTelemetry's stable HTTP conventions.

use http::{Method, StatusCode, Uri, Version};
use opentelemetry::{KeyValue, StringValue};

/// The longest value that is taken from a request: a client must not decide how much memory a span takes.
const MAX_VALUE_BYTES: usize = 1_024;

/// A method as the conventions know it: one of nine, or `_OTHER`.
pub(super) fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

/// How a span's name begins: an unknown method would make a name of its own for each attacker's idea.
pub(super) fn name_of_method(known_method: &'static str) -> &'static str {
    if known_method == "_OTHER" { "HTTP" } else { known_method }
}

/// The method's attributes.
pub(super) fn push_method(attributes: &mut Vec<KeyValue>, method: &Method) -> &'static str {
    let known = known_method(method);
    attributes.push(KeyValue::new("http.request.method", known));
    if known == "_OTHER" {
        attributes.push(KeyValue::new("http.request.method_original", limited(method.as_str())));
    }
    known
}

/// A value from outside, not longer than we want to keep.
pub(super) fn limited(text: &str) -> StringValue {
    if text.len() <= MAX_VALUE_BYTES {
        return text.to_owned().into();
    }
    let mut end = MAX_VALUE_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned().into()
}

/// A query with its keys, and `REDACTED` for every value: nobody can list what is a secret.
pub(super) fn redacted_query(query: &str) -> StringValue {
    let mut redacted = String::new();
    for pair in query.split('&') {
        if !redacted.is_empty() {
            redacted.push('&');
        }
        match pair.split_once('=') {
            Some((key, _)) => {
                redacted.push_str(key);
                redacted.push_str("=REDACTED");
            }
            None => redacted.push_str(pair),
        }
        if redacted.len() > MAX_VALUE_BYTES {
            break;
        }
    }
    limited(&redacted)
}

/// A whole URL without what may be a secret: user and password, the query's values.
pub(super) fn redacted_url(uri: &Uri) -> StringValue {
    let mut url = String::new();
    if let Some(scheme) = uri.scheme_str() {
        url.push_str(scheme);
        url.push_str("://");
    }
    if let Some(authority) = uri.authority() {
        let authority = authority.as_str();
        url.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
    }
    url.push_str(uri.path());
    if let Some(query) = uri.query() {
        url.push('?');
        url.push_str(redacted_query(query).as_str());
    }
    limited(&url)
}

/// `1.1`, `2`, …
pub(super) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// The status code's attribute.
pub(super) fn status_code(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// The error's attribute for a response that is one.
pub(super) fn error_status(status: StatusCode) -> KeyValue {
    KeyValue::new("error.type", status.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_kept() {
        let uri = Uri::from_static("http://ada:pw@shop.example:8080/a?token=s3cret&flag&x=");
        let url = redacted_url(&uri);
        assert_eq!(url.as_str(), "http://shop.example:8080/a?token=REDACTED&flag&x=REDACTED");
    }

    #[test]
    fn a_long_value_is_cut_at_a_character() {
        let value = limited(&"ä".repeat(2_000));
        assert_eq!(value.as_str().len(), MAX_VALUE_BYTES);
    }
}
