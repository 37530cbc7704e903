//! The method of a call, as the path names it.

use opentelemetry::KeyValue;

/// The conventions' word for a method that has no better name.
const OTHER: &str = "_OTHER";
/// No method's name is longer; a path that is has been made up.
const MAX_BYTES: usize = 256;

/// `package.Service/Method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Method<'a> {
    full: &'a str,
    service: Option<&'a str>,
}

impl<'a> Method<'a> {
    /// How many attributes [`describe`](Self::describe) adds at most.
    pub(super) const ATTRIBUTES: usize = 4;

    /// A path that names no method is `_OTHER`: a stranger's paths are no names for spans.
    pub(super) fn of(path: &'a str) -> Self {
        let full = path.strip_prefix('/').unwrap_or(path);
        let service = full
            .rsplit_once('/')
            .filter(|(service, method)| {
                full.len() <= MAX_BYTES && is_name(service) && is_name(method)
            })
            .map(|(service, _)| service);
        Self { full: if service.is_some() { full } else { OTHER }, service }
    }

    /// What the span is called.
    pub(super) fn name(&self) -> &'a str {
        self.full
    }

    pub(super) fn describe(&self, attributes: &mut Vec<KeyValue>) {
        attributes.push(KeyValue::new("rpc.system.name", "grpc"));
        attributes.push(KeyValue::new("rpc.system", "grpc"));
        attributes.push(KeyValue::new("rpc.method", self.full.to_owned()));
        if let Some(service) = self.service {
            attributes.push(KeyValue::new("rpc.service", service.to_owned()));
        }
    }
}

/// Identifiers of protobuf, joined by dots.
fn is_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let starts_well = part.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        starts_well && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_method_or_it_is_another() {
        let known = Method::of("/helloworld.Greeter/SayHello");
        assert_eq!(known.name(), "helloworld.Greeter/SayHello");
        assert_eq!(known.service, Some("helloworld.Greeter"));
        assert_eq!(Method::of("/Echo/Say_2").name(), "Echo/Say_2");
        let long = format!("/{}/m", "s".repeat(MAX_BYTES));
        for made_up in ["", "/", "/a", "/a/", "//m", "/a..b/m", "/a b/m", "/a/m?", "/1a/m", &long] {
            assert_eq!(Method::of(made_up), Method { full: OTHER, service: None }, "{made_up:?}");
        }
    }
}
