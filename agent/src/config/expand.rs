//! `${env:X}`, `${env:X:-default}` and `$$`, as the Collector expands them.

use super::Vars;
use super::fault::Findings;
use super::yaml::{self, Node, Place, Value};

/// Expands every value below `node`, whose path is `path`.
pub(super) fn expand(node: &mut Node, path: &str, vars: &dyn Vars, findings: &Findings) {
    match &mut node.value {
        Value::Null => {}
        Value::List(nodes) => {
            for (n, node) in nodes.iter_mut().enumerate() {
                expand(node, &format!("{path}::{n}"), vars, findings);
            }
        }
        Value::Map(entries) => {
            for (key, node) in entries {
                let path = if path.is_empty() {
                    key.name.clone()
                } else {
                    format!("{path}::{}", key.name)
                };
                expand(node, &path, vars, findings);
            }
        }
        Value::Scalar { text, .. } if !text.contains('$') => {}
        Value::Scalar { text, plain } => {
            let expansion = Expansion { path, place: &node.place, vars, findings };
            let (text, plain) = (std::mem::take(text), *plain);
            (node.value, node.variables) = expansion.of(&text, plain);
        }
    }
}

struct Expansion<'a> {
    path: &'a str,
    place: &'a Place,
    vars: &'a dyn Vars,
    findings: &'a Findings,
}

/// `${env:X:-default}`, taken apart.
struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
}

impl Expansion<'_> {
    fn of(&self, text: &str, plain: bool) -> (Value, Vec<String>) {
        let mut variables = Vec::new();
        if let Some(inner) = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'))
            && !inner.contains(['{', '}'])
        {
            let Some(value) = self.value(inner, &mut variables) else {
                return (Value::Null, variables);
            };
            return (self.typed(value), variables);
        }
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some((inner, after)) =
                rest.strip_prefix('{').and_then(|inner| inner.split_once('}'))
            {
                expanded.push_str(&self.value(inner, &mut variables).unwrap_or_default());
                rest = after;
            } else {
                expanded.push('$');
            }
        }
        expanded.push_str(rest);
        (yaml::scalar(expanded, plain), variables)
    }

    /// A value that is nothing but a reference has the type that its text has in YAML.
    fn typed(&self, text: String) -> Value {
        match yaml::parse(&text, &self.place.file) {
            Ok(Node { value: Value::Scalar { plain, .. }, .. }) => Value::Scalar { text, plain },
            Ok(node) => node.value,
            Err(_) => Value::Scalar { text, plain: false },
        }
    }

    fn value(&self, inner: &str, variables: &mut Vec<String>) -> Option<String> {
        let Some(Reference { name, default }) = reference(inner) else {
            self.findings.fault(
                self.path,
                Some(self.place),
                format!("\"${{{inner}}}\" is not understood; supported are ${{env:NAME}} and ${{env:NAME:-default}}, and $$ for a dollar sign"),
            );
            return None;
        };
        variables.push(name.to_owned());
        match (self.vars.get(name), default) {
            (Some(value), None) => Some(value),
            (Some(value), Some(_)) if !value.is_empty() => Some(value),
            (_, Some(default)) => Some(default.to_owned()),
            (None, None) => {
                self.findings.warn(
                    self.path,
                    Some(self.place),
                    format!("the variable {name} is not set; it stands for nothing"),
                );
                None
            }
        }
    }
}

fn reference(inner: &str) -> Option<Reference<'_>> {
    let inner = inner.strip_prefix("env:").unwrap_or(inner);
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(Reference { name, default })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn expanded(yaml: &str) -> (Value, Findings) {
        let vars =
            HashMap::from([("IP", "10.0.0.7"), ("LIST", "[a, b]"), ("N", "5"), ("EMPTY", "")]);
        let (mut node, findings) = (yaml::parse(yaml, "f").unwrap(), Findings::default());
        expand(&mut node, "", &vars, &findings);
        (node.value, findings)
    }

    fn plain(text: &str) -> Value {
        Value::Scalar { text: text.to_owned(), plain: true }
    }

    #[test]
    fn references_stand_for_the_environment() {
        assert_eq!(expanded("${env:IP}:4317").0, plain("10.0.0.7:4317"));
        assert_eq!(expanded("${IP}").0, plain("10.0.0.7"));
        assert_eq!(expanded("${env:NONE:-1}${env:EMPTY:-2}").0, plain("12"));
        assert_eq!(expanded("${env:N}").0, plain("5"));
        assert!(matches!(expanded("${env:LIST}").0, Value::List(items) if items.len() == 2));
    }

    #[test]
    fn a_dollar_that_begins_nothing_is_a_dollar() {
        assert_eq!(expanded("'^a$'").0, Value::Scalar { text: "^a$".to_owned(), plain: false });
        assert_eq!(expanded("$$x $${env:IP}").0, plain("$x ${env:IP}"));
    }

    #[test]
    fn what_is_not_set_is_warned_of_and_what_is_not_supported_is_a_fault() {
        let (value, findings) = expanded("${env:NONE}");
        assert_eq!(value, Value::Null);
        assert_eq!((findings.warnings().len(), findings.faults().len()), (1, 0));
        let (_, findings) = expanded("a: x${file:/etc/passwd}\nb: ${env:A-B}");
        assert_eq!(findings.faults().len(), 2);
    }
}
