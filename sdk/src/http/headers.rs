//! The headers of a request that its span is about, found in one walk: six look-ups would be six hashes.

use http::{HeaderMap, HeaderValue};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers<'a> {
    /// `None` if there is none, or more than one, which is as good as none.
    pub(super) traceparent: Option<&'a HeaderValue>,
    pub(super) has_tracestate: bool,
    pub(super) has_baggage: bool,
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) user_agent: Option<&'a HeaderValue>,
    pub(super) content_length: Option<&'a HeaderValue>,
}

impl<'a> Headers<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        let mut parents = 0;
        for (name, value) in headers {
            match name.as_str() {
                "host" => found.host = found.host.or(Some(value)),
                "baggage" => found.has_baggage = true,
                "user-agent" => found.user_agent = found.user_agent.or(Some(value)),
                "content-length" => {
                    found.content_length = found.content_length.or(Some(value));
                }
                "tracestate" => found.has_tracestate = true,
                "traceparent" => {
                    parents += 1;
                    found.traceparent = (parents == 1).then_some(value);
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn text(value: &HeaderValue) -> Option<&str> {
        value.to_str().ok()
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_is_there_is_found() {
        let map = headers(&[
            ("host", "shop.example"),
            ("date", "now"),
            ("traceparent", "a"),
            ("tracestate", "b"),
            ("baggage", "c"),
            ("user-agent", "curl/8"),
            ("content-length", "7"),
        ]);
        let found = Headers::of(&map);
        assert_eq!(found.host.and_then(text), Some("shop.example"));
        assert_eq!(found.content_length.and_then(text), Some("7"));
        assert_eq!(found.user_agent.and_then(text), Some("curl/8"));
        assert_eq!(found.traceparent.unwrap(), "a");
        assert!(found.has_tracestate && found.has_baggage);
    }

    #[test]
    fn two_or_more_parents_are_none() {
        for count in 2..5 {
            let map = headers(&vec![("traceparent", "a"); count]);
            assert!(Headers::of(&map).traceparent.is_none());
        }
    }
}
