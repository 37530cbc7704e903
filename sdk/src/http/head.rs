//! What a request's head says of it, for the server's span.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use http::{HeaderMap, HeaderName, Request};
use opentelemetry::{Array, KeyValue, Value};

use super::headers::Headers;
use super::method::Method;
use super::route::Route;
use super::semconv::{self, bounded, bounded_bytes};
use crate::span::{self, Content, Text};

/// A request, as far as its span is about it.
pub(super) struct Head<'a, B> {
    pub(super) request: &'a Request<B>,
    pub(super) headers: Headers<'a>,
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
            .map(|value| bounded(&String::from_utf8_lossy(value.as_bytes())).to_owned().into())
            .collect();
        let key = opentelemetry::Key::from(Arc::clone(&self.key));
        (!texts.is_empty()).then(|| KeyValue::new(key, Value::Array(Array::String(texts))))
    }
}

impl<B> Head<'_, B> {
    pub(super) fn say(&self, content: &mut Content) {
        let uri = self.request.uri();
        let said = content.request.insert(span::Request::of(self.method.value));
        said.route = self.route.and_then(|(_, kept)| Some(kept?.template));
        said.scheme = Some(semconv::scheme(uri));
        said.protocol_version = semconv::protocol_version(self.request.version());
        self.method.describe(said);
        if let Some((template, None)) = self.route {
            said.say(Text::Route, bounded(template));
        }
        said.say(Text::Path, bounded(uri.path()));
        if let Some(query) = uri.query() {
            said.say(Text::Query, &semconv::redacted_query(query));
        }
        if let Some(authority) = self.authority() {
            said.say_bytes(Text::Authority, bounded_bytes(authority));
        }
        if let Some(ConnectInfo(peer)) = self.request.extensions().get::<ConnectInfo<SocketAddr>>()
        {
            said.say(Text::PeerAddress, &peer.ip().to_string());
            said.peer_port = Some(peer.port());
        }
        if let Some(agent) = self.headers.user_agent {
            said.say_bytes(Text::UserAgent, bounded_bytes(agent.as_bytes()));
        }
        let headers = self.request.headers();
        content.attributes.extend(self.recorded.iter().filter_map(|one| one.read(headers)));
    }

    /// HTTP/1 names the host in a header, HTTP/2 in the target.
    fn authority(&self) -> Option<&[u8]> {
        match self.request.uri().authority() {
            Some(authority) => Some(authority.as_str().as_bytes()),
            None => Some(self.headers.host?.as_bytes()),
        }
    }
}
