//! What a request's span says of it, kept as it came.
//!
//! A dozen attributes are a list and half a dozen texts on the heap, which the request would wait for. So
//! its few words are copied to where the span is anyway, and made into attributes on the exporter's thread.

use std::sync::Arc;

use opentelemetry::{KeyValue, Value};

use super::authority::host_and_port;

const CLIENT_ADDRESS: &str = "client.address";
const ERROR_TYPE: &str = "error.type";
const HTTP_REQUEST_METHOD: &str = "http.request.method";
const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
const HTTP_ROUTE: &str = "http.route";
const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
const NETWORK_PEER_PORT: &str = "network.peer.port";
const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
const SERVER_ADDRESS: &str = "server.address";
const SERVER_PORT: &str = "server.port";
const URL_FULL: &str = "url.full";
const URL_PATH: &str = "url.path";
const URL_QUERY: &str = "url.query";
const URL_SCHEME: &str = "url.scheme";
const USER_AGENT_ORIGINAL: &str = "user_agent.original";

/// The reasons of failures that happen often enough to have a place.
const ERRORS: [&str; 6] = ["cancelled", "500", "503", "404", "connect", "timeout"];

/// Texts of a request are rarely longer than this together; if they are, they go to the heap.
const INLINE_BYTES: usize = 160;

/// What is known of an HTTP request and its answer. What is not known is not said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    method: &'static str,
    /// The route's template, if it is kept for good.
    pub(crate) route: Option<&'static str>,
    pub(crate) scheme: Option<&'static str>,
    pub(crate) protocol_version: Option<&'static str>,
    pub(crate) server_port: Option<u16>,
    pub(crate) peer_port: Option<u16>,
    pub(crate) resends: Option<u32>,
    status: Option<u16>,
    error: Option<&'static str>,
    texts: Texts,
}

/// A text that a request brings. They are kept in this order, and have to be said in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    MethodOriginal,
    Route,
    Full,
    Path,
    Query,
    /// A host, or a host and its port; told apart when attributes are made.
    Authority,
    ServerAddress,
    PeerAddress,
    UserAgent,
}

const TEXTS: [Text; 9] = [
    Text::MethodOriginal,
    Text::Route,
    Text::Full,
    Text::Path,
    Text::Query,
    Text::Authority,
    Text::ServerAddress,
    Text::PeerAddress,
    Text::UserAgent,
];

/// Texts one behind the other.
#[derive(Clone, Debug, Default)]
struct Texts {
    /// Where each text ends; one that is not known begins and ends where the one before ends.
    ends: [u16; TEXTS.len()],
    bytes: Bytes,
}

#[derive(Clone, Debug)]
enum Bytes {
    Inline([u8; INLINE_BYTES]),
    Heap(Vec<u8>),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Inline([0; INLINE_BYTES])
    }
}

impl Request {
    pub(crate) fn of(method: &'static str) -> Self {
        Self { method, ..Self::default() }
    }

    /// Says a text, which must not be empty to be kept. Whoever says it has cut it to a bearable length.
    pub(crate) fn say(&mut self, what: Text, text: &str) {
        self.say_bytes(what, text.as_bytes());
    }

    /// Says a text that nobody has looked at yet; what is none in it is replaced when attributes are made.
    pub(crate) fn say_bytes(&mut self, what: Text, text: &[u8]) {
        self.texts.push(what as usize, text);
    }

    /// Says the answer's status, if there is one.
    pub(super) fn answered(&mut self, status: Option<u16>) {
        self.status = status.or(self.status);
    }

    /// Takes an attribute that there is a place for; `false` if there is none.
    pub(super) fn takes(&mut self, attribute: &KeyValue) -> bool {
        match attribute.value {
            Value::I64(status) if attribute.key.as_str() == HTTP_RESPONSE_STATUS_CODE => {
                self.status = u16::try_from(status).ok();
                self.status.is_some()
            }
            Value::String(ref error) if attribute.key.as_str() == ERROR_TYPE => {
                self.error = ERRORS.into_iter().find(|known| *known == error.as_str());
                self.error.is_some()
            }
            _ => false,
        }
    }

    /// What it takes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.texts.bytes {
            Bytes::Inline(_) => 0,
            Bytes::Heap(bytes) => bytes.capacity(),
        }
    }

    pub(crate) fn attributes(&self) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(16);
        let mut say = |key: &'static str, value: Option<Value>| {
            attributes.extend(value.map(|value| KeyValue::new(key, value)));
        };
        let text = |what| self.texts.get(what).map(|text| Value::from(text.into_owned()));
        let port = |port: Option<u16>| port.map(|port| Value::from(i64::from(port)));
        let authority = self.texts.get(Text::Authority);
        let server = authority.as_deref().and_then(host_and_port);
        let (host, server_port) = match server {
            Some((host, port)) => (Some(Value::from(host.to_owned())), port),
            None => (text(Text::ServerAddress), self.server_port),
        };
        let peer = self.texts.get(Text::PeerAddress).map(Arc::<str>::from);
        say(HTTP_REQUEST_METHOD, Some(self.method.into()));
        say(HTTP_REQUEST_METHOD_ORIGINAL, text(Text::MethodOriginal));
        say(HTTP_ROUTE, self.route.map(Value::from).or_else(|| text(Text::Route)));
        say(URL_FULL, text(Text::Full));
        say(URL_PATH, text(Text::Path));
        say(URL_QUERY, text(Text::Query));
        say(URL_SCHEME, self.scheme.map(Value::from));
        say(SERVER_ADDRESS, host);
        say(SERVER_PORT, port(server_port));
        say(CLIENT_ADDRESS, peer.clone().map(Value::from));
        say(NETWORK_PEER_ADDRESS, peer.map(Value::from));
        say(NETWORK_PEER_PORT, port(self.peer_port));
        say(USER_AGENT_ORIGINAL, text(Text::UserAgent));
        say(NETWORK_PROTOCOL_VERSION, self.protocol_version.map(Value::from));
        say(HTTP_REQUEST_RESEND_COUNT, self.resends.map(|count| i64::from(count).into()));
        say(HTTP_RESPONSE_STATUS_CODE, self.status.map(|status| i64::from(status).into()));
        say(ERROR_TYPE, self.error.map(Value::from));
        attributes
    }
}

impl Texts {
    fn push(&mut self, index: usize, text: &[u8]) {
        let start = usize::from(self.ends[TEXTS.len() - 1]);
        let end = start + text.len();
        // More than fits the ends is no text of a request; it is left out.
        let Ok(short_end) = u16::try_from(end) else { return };
        match &mut self.bytes {
            Bytes::Inline(bytes) if end <= bytes.len() => {
                bytes[start..end].copy_from_slice(text);
            }
            Bytes::Inline(bytes) => {
                let mut heap = Vec::with_capacity(2 * end);
                heap.extend_from_slice(&bytes[..start]);
                heap.extend_from_slice(text);
                self.bytes = Bytes::Heap(heap);
            }
            Bytes::Heap(bytes) => bytes.extend_from_slice(text),
        }
        self.ends[index..].fill(short_end);
    }

    fn get(&self, what: Text) -> Option<std::borrow::Cow<'_, str>> {
        let index = what as usize;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let range = usize::from(start)..usize::from(self.ends[index]);
        let bytes = match &self.bytes {
            Bytes::Inline(bytes) => bytes.get(range)?,
            Bytes::Heap(bytes) => bytes.get(range)?,
        };
        (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(request: &Request) -> Vec<(String, String)> {
        let pairs = request.attributes().into_iter();
        pairs.map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let request = Request::of("GET");
        assert_eq!(said(&request), [("http.request.method".to_owned(), "GET".to_owned())]);
    }

    #[test]
    fn texts_come_back_as_they_were_wherever_they_are_kept() {
        for length in [1, 15, 16, 20, 21, 22, 500, 1024] {
            let mut request = Request::of("GET");
            let texts: Vec<_> = TEXTS
                .into_iter()
                .filter(|text| *text != Text::Query)
                .map(|text| (text, format!("{text:?}").repeat(length)[..length].to_owned()))
                .collect();
            for (text, said) in &texts {
                request.say(*text, said);
            }
            for (text, said) in &texts {
                assert_eq!(request.texts.get(*text).as_deref(), Some(&**said), "{text:?}");
            }
            assert_eq!(request.texts.get(Text::Query), None);
            assert_eq!(request.heap_bytes() > 0, texts.len() * length > INLINE_BYTES);
        }
    }

    #[test]
    fn the_order_of_texts_is_that_of_their_declaration() {
        for (index, text) in TEXTS.into_iter().enumerate() {
            assert_eq!(text as usize, index);
        }
    }

    #[test]
    fn a_status_and_a_frequent_error_have_a_place_and_other_attributes_have_none() {
        let mut request = Request::of("GET");
        assert!(request.takes(&KeyValue::new("http.response.status_code", 200)));
        assert!(!request.takes(&KeyValue::new("http.response.status_code", "200")));
        assert!(!request.takes(&KeyValue::new("tenant", 200)));
        assert!(request.takes(&KeyValue::new("error.type", "cancelled")));
        assert!(!request.takes(&KeyValue::new("tenant", "cancelled")));
        assert_eq!(said(&request)[1].1, "200");
        assert_eq!(said(&request)[2].1, "cancelled");
        assert!(!request.takes(&KeyValue::new("error.type", "out of stock")));
        assert_eq!(said(&request).len(), 2, "the last word counts, wherever it is kept");
    }
}
