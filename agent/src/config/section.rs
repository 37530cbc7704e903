//! One map of the configuration, read key by key.
//!
//! A component asks for every key that it knows; what is there and was not asked for is a fault when the section is
//! dropped. So no key is ever ignored, and the keys that are asked for are the table that the documentation has.

use std::net::SocketAddr;
use std::time::Duration;

use super::fault::Findings;
use super::units;
use super::yaml::{Node, Place, Value};

/// A map of the configuration, or one that is not there.
pub(super) struct Section<'a> {
    path: String,
    node: Option<&'a Node>,
    findings: &'a Findings,
    asked: Vec<&'static str>,
}

/// A value that was read, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub text: String,
    /// The keys that lead there, the place and the variables, for those who must change it.
    pub from: String,
}

impl<'a> Section<'a> {
    /// The map at `path`; nothing at all is an empty map.
    pub(super) fn new(
        path: impl Into<String>,
        node: Option<&'a Node>,
        findings: &'a Findings,
    ) -> Self {
        let path = path.into();
        if let Some(node) = node
            && !matches!(node.value, Value::Map(_) | Value::Null)
        {
            let what = format!("{}, where a map of keys is expected", shown(node));
            findings.fault(&path, Some(&node.place), what);
        }
        Self { path, node, findings, asked: Vec::new() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The section, as a fault says where it is.
    pub(super) fn place(&self) -> Option<&'a Place> {
        self.node.map(|node| &node.place)
    }

    /// The fault that something is wrong with the section as a whole.
    pub(super) fn fault(&self, what: impl Into<String>) {
        self.findings.fault(&self.path, self.place(), what);
    }

    /// Takes every key as asked for, where a fault of the whole makes them meaningless.
    pub(super) fn ask_for_all(&mut self) {
        self.node = None;
    }

    pub(super) fn findings(&self) -> &'a Findings {
        self.findings
    }

    /// The value of `key`, whatever it is; `null` is no value.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        #[cfg(test)]
        self.findings.asked_for(self.key_path(key));
        self.node?.get(key).filter(|node| node.value != Value::Null)
    }

    /// Whether `key` is there, also without a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.node.is_some_and(|node| node.get(key).is_some())
    }

    /// The map below `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'a> {
        let node = self.raw(key);
        Section::new(self.key_path(key), node, self.findings)
    }

    /// The maps in the list below `key`.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let path = self.key_path(key);
        let section = |(n, node)| Section::new(format!("{path}::{n}"), Some(node), self.findings);
        self.list(key).iter().enumerate().map(section).collect()
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.setting(key).map(|setting| setting.text)
    }

    /// A text, with where it stands.
    pub(super) fn setting(&mut self, key: &'static str) -> Option<Setting> {
        let node = self.raw(key)?;
        match &node.value {
            Value::Scalar { text, .. } => {
                Some(Setting { text: text.clone(), from: self.from(key, node) })
            }
            _ => self.wrong(key, node, "a text"),
        }
    }

    /// A text that must be there; the fault says what it is for.
    pub(super) fn required(&mut self, key: &'static str, what: &str) -> Option<Setting> {
        let is_missing = self.raw(key).is_none();
        if is_missing {
            self.findings.fault(
                &self.key_path(key),
                self.place(),
                format!("missing; it is {what}"),
            );
        }
        self.setting(key)
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let mut texts = Vec::new();
        for (n, node) in self.list(key).iter().enumerate() {
            match &node.value {
                Value::Scalar { text, .. } => texts.push(text.clone()),
                _ => {
                    let path = format!("{}::{n}", self.key_path(key));
                    let what = format!("{}, where a text is expected", shown(node));
                    self.findings.fault(&path, Some(&node.place), what);
                }
            }
        }
        texts
    }

    /// A map from texts to texts.
    pub(super) fn text_map(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(node) = self.raw(key) else { return Vec::new() };
        let Value::Map(entries) = &node.value else {
            return self.wrong(key, node, "a map of texts").unwrap_or_default();
        };
        let mut texts = Vec::with_capacity(entries.len());
        for (name, node) in entries {
            match &node.value {
                Value::Scalar { text, .. } => texts.push((name.name.clone(), text.clone())),
                Value::Null => texts.push((name.name.clone(), String::new())),
                _ => {
                    let path = format!("{}::{}", self.key_path(key), name.name);
                    let what = format!("{}, where a text is expected", shown(node));
                    self.findings.fault(&path, Some(&node.place), what);
                }
            }
        }
        texts
    }

    pub(super) fn bool(&mut self, key: &'static str, default: bool) -> bool {
        self.parsed(key, "true or false", boolean).unwrap_or(default)
    }

    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.parsed(key, "a duration such as 500ms, 5s or 1h30m", |text, _| units::duration(text))
            .unwrap_or(default)
    }

    pub(super) fn count(&mut self, key: &'static str, default: u64) -> u64 {
        self.parsed(key, "a whole number", |text, plain| plain.then(|| text.parse().ok()).flatten())
            .unwrap_or(default)
    }

    /// A number of bytes, with a unit or without.
    pub(super) fn bytes(&mut self, key: &'static str, default: u64) -> u64 {
        self.parsed(key, "a number of bytes such as 102400 or 1MiB", |text, _| units::bytes(text))
            .unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
        default: T,
    ) -> T {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let find = |text: &str, _| {
            choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice)
        };
        self.parsed(key, &words.join(", "), find).unwrap_or(default)
    }

    /// Host and port to listen on; without a host, on every address.
    pub(super) fn listen(&mut self, key: &'static str, default: &str) -> Setting {
        let default_setting = Setting { text: default.to_owned(), from: self.key_path(key) };
        let Some(setting) = self.setting(key) else { return default_setting };
        if listen_address(&setting.text).is_some() {
            return setting;
        }
        let node = self.raw(key);
        let what = "an address to listen on such as 127.0.0.1:4317 or [::1]:0, with a port from 0 (any) to 65535";
        node.and_then(|node| self.wrong(key, node, what)).unwrap_or(default_setting)
    }

    /// The value of `key` as `parse` reads it; the fault says that `expected` was expected.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str, bool) -> Option<T>,
    ) -> Option<T> {
        let node = self.raw(key)?;
        let parsed = match &node.value {
            Value::Scalar { text, plain } => parse(text, *plain),
            _ => None,
        };
        parsed.or_else(|| self.wrong(key, node, expected))
    }

    /// The fault that `key` is not what was expected.
    pub(super) fn wrong<T>(&self, key: &str, node: &Node, expected: &str) -> Option<T> {
        let mut what = shown(node);
        for variable in &node.variables {
            what += &format!(" (from {variable})");
        }
        let what = format!("{what}, where {expected} is expected");
        self.findings.fault(&self.key_path(key), Some(&node.place), what);
        None
    }

    fn list(&mut self, key: &'static str) -> &'a [Node] {
        match self.raw(key) {
            None => &[],
            Some(Node { value: Value::List(nodes), .. }) => nodes,
            Some(node) => self.wrong(key, node, "a list").unwrap_or_default(),
        }
    }

    pub(super) fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}::{key}", self.path) }
    }

    fn from(&self, key: &str, node: &Node) -> String {
        let mut from = format!("{} ({})", self.key_path(key), node.place);
        for variable in &node.variables {
            from += &format!(", set by {variable}");
        }
        from
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let Some(Node { value: Value::Map(entries), .. }) = self.node else { return };
        for (key, _) in entries {
            if self.asked.contains(&key.name.as_str()) {
                continue;
            }
            let mut known = self.asked.clone();
            known.sort_unstable();
            known.dedup();
            let supported = match known.as_slice() {
                [] => "it has no keys".to_owned(),
                known => format!("supported are {}", known.join(", ")),
            };
            let what = format!("not a key that is supported here; {supported}");
            self.findings.fault(&self.key_path(&key.name), Some(&key.place), what);
        }
    }
}

/// A boolean as the Collector's YAML reads one: no yes, no on.
pub(super) fn boolean(text: &str, plain: bool) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" if plain => Some(true),
        "false" | "False" | "FALSE" if plain => Some(false),
        _ => None,
    }
}

/// `host:port` as it is to be bound; without a host, every address of the machine.
pub(crate) fn listen_address(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    match host {
        "" => Some(format!("[::]:{port}")),
        _ if text.parse::<SocketAddr>().is_ok() => Some(text.to_owned()),
        host if host.contains([':', '/', '[', ']', ' ']) => None,
        _ => Some(text.to_owned()),
    }
}

/// What stands there, for a fault.
pub(super) fn shown(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, .. } => format!("{text:?}"),
        value => value.kind().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn with<T>(yaml: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> (T, Vec<String>) {
        let (node, findings) = (yaml::parse(yaml, "f").unwrap(), Findings::default());
        let read = read(&mut Section::new("s", Some(&node), &findings));
        let faults = findings.faults().iter().map(ToString::to_string).collect();
        (read, faults)
    }

    #[test]
    fn what_was_not_asked_for_is_a_fault_that_says_what_is_known() {
        let (_, faults) = with("a: 1\nb: 2\n", |section| section.count("a", 0));
        assert_eq!(faults, ["s::b (f:2): not a key that is supported here; supported are a"]);
    }

    #[test]
    fn yes_is_no_boolean_and_a_quoted_true_neither() {
        for (yaml, faults) in
            [("a: true", 0), ("a: True", 0), ("a: yes", 1), ("a: 'true'", 1), ("a: 1", 1)]
        {
            assert_eq!(with(yaml, |section| section.bool("a", false)).1.len(), faults, "{yaml}");
        }
    }

    #[test]
    fn a_fault_says_what_stands_there_and_what_is_expected() {
        let (_, faults) = with("a: soon\n", |section| section.duration("a", Duration::ZERO));
        assert_eq!(
            faults,
            ["s::a (f:1): \"soon\", where a duration such as 500ms, 5s or 1h30m is expected"]
        );
        let (_, faults) = with("a: [1]\n", |section| section.text("a"));
        assert_eq!(faults, ["s::a (f:1): a list, where a text is expected"]);
        let (_, faults) = with("[1]\n", |section| section.text("a"));
        assert_eq!(faults, ["s (f:1): a list, where a map of keys is expected"]);
    }

    #[test]
    fn listeners_have_a_host_or_none_and_a_port() {
        assert_eq!(listen_address(":4317").as_deref(), Some("[::]:4317"));
        for good in ["127.0.0.1:0", "[::1]:80", "localhost:4317"] {
            assert_eq!(listen_address(good).as_deref(), Some(good));
        }
        for wrong in ["", "4317", "127.0.0.1", "::1:80", "[::1]", "h:high", "h:70000", "http://h:1"]
        {
            assert_eq!(listen_address(wrong), None, "{wrong}");
        }
    }
}
