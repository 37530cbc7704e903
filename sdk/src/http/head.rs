//! What a request's head says of it, as attributes of the server's span.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::header::{HOST, USER_AGENT};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, Request};
use opentelemetry::{Array, KeyValue, Value};

use super::method::Method;
use super::route::Route;
use super::semconv::{self, bounded};

/// The status and the reason of a failure come later.
const LATER: usize = 2;

/// A request, as far as its span is about it.
pub(super) struct Head<'a, B> {
    pub(super) request: &'a Request<B>,
    pub(super) method: Method<'a>,
    /// The route's template as it matched, and the route, if it is one of those that are kept.
    pub(super) route: Option<(&'a str, Option<&'static Route>)>,
    /// Headers that are to be recorded.
    pub(super) recorded: &'a [Recorded],
}

/// A header that is recorded because somebody asked for it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub(super) name: HeaderName,
    /// `http.request.header.<name>`
    pub(super) key: Arc<str>,
}

impl Recorded {
    /// `prefix` ends in a dot.
    pub(super) fn new(prefix: &str, name: HeaderName) -> Self {
        let key = format!("{prefix}{name}").into();
        Self { name, key }
    }

    /// All values of the header, as the conventions have it.
    pub(super) fn read(&self, headers: &HeaderMap) -> Option<KeyValue> {
        let values = headers.get_all(&self.name).iter();
        let texts: Vec<_> = values
            .map(|value| bounded(&String::from_utf8_lossy(value.as_bytes())).into())
            .collect();
        let key = opentelemetry::Key::from(Arc::clone(&self.key));
        (!texts.is_empty()).then(|| KeyValue::new(key, Value::Array(Array::String(texts))))
    }
}

impl<B> Head<'_, B> {
    /// With room for what is said later.
    pub(super) fn attributes(&self) -> Vec<KeyValue> {
        let uri = self.request.uri();
        let extensions = self.request.extensions();
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let agent = self.header(USER_AGENT);
        let authority = self.authority();
        let port = authority.as_ref().and_then(Authority::port_u16);
        let version = semconv::protocol_version(self.request.version());

        let count = self.method.attributes()
            + usize::from(self.route.is_some())
            + 2
            + usize::from(uri.query().is_some())
            + usize::from(authority.is_some())
            + usize::from(port.is_some())
            + 3 * usize::from(peer.is_some())
            + usize::from(agent.is_some())
            + usize::from(version.is_some())
            + self.recorded.len()
            + LATER;
        let mut attributes = Vec::with_capacity(count);
        self.method.describe(&mut attributes);
        let mut push = |key: &'static str, value: Value| attributes.push(KeyValue::new(key, value));
        if let Some((template, kept)) = self.route {
            let kept = kept.map(|route| Value::from(route.template));
            push(semconv::HTTP_ROUTE, kept.unwrap_or_else(|| bounded(template).into()));
        }
        push(semconv::URL_PATH, self.path());
        push(semconv::URL_SCHEME, semconv::scheme(uri).into());
        if let Some(query) = uri.query() {
            push(semconv::URL_QUERY, semconv::redacted_query(query).into());
        }
        if let Some(authority) = &authority {
            let host = semconv::unbracketed(authority.host());
            push(semconv::SERVER_ADDRESS, bounded(host).into());
        }
        if let Some(port) = port {
            push(semconv::SERVER_PORT, i64::from(port).into());
        }
        if let Some(ConnectInfo(peer)) = peer {
            let address: Arc<str> = peer.ip().to_string().into();
            push(semconv::CLIENT_ADDRESS, Arc::clone(&address).into());
            push(semconv::NETWORK_PEER_ADDRESS, address.into());
            push(semconv::NETWORK_PEER_PORT, i64::from(peer.port()).into());
        }
        if let Some(agent) = agent {
            push(semconv::USER_AGENT_ORIGINAL, bounded(agent).into());
        }
        if let Some(version) = version {
            push(semconv::NETWORK_PROTOCOL_VERSION, version.into());
        }
        let headers = self.request.headers();
        attributes.extend(self.recorded.iter().filter_map(|recorded| recorded.read(headers)));
        attributes
    }

    /// A route without parameters is the path itself, and need not be copied.
    fn path(&self) -> Value {
        let path = self.request.uri().path();
        match self.route {
            Some((_, Some(route))) if route.template == path => route.template.into(),
            _ => bounded(path).into(),
        }
    }

    /// HTTP/1 names the host in a header, HTTP/2 in the target.
    fn authority(&self) -> Option<Authority> {
        let authority = self.request.uri().authority();
        authority.cloned().or_else(|| self.header(HOST)?.parse().ok())
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }
}
