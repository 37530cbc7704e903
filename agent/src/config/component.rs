//! Components by name: which kinds there are, and what the configuration makes of them.

use std::fmt;

use super::fault::Findings;
use super::section::Section;
use super::yaml::{Key, Node, Value};

/// A signal, as pipelines are named after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

/// All of them.
pub(super) const ALL_SIGNALS: &[Signal] = &[Signal::Traces, Signal::Metrics, Signal::Logs];

/// A kind of component: its names, what it is for, and how its settings are read.
pub(super) struct Kind<T: 'static> {
    /// The name that the Collector gives it.
    pub(super) name: &'static str,
    /// Earlier and later names of the same.
    pub(super) aliases: &'static [&'static str],
    /// The signals that it can be in a pipeline of.
    pub(super) signals: &'static [Signal],
    /// Reads its settings; `None` when they are faulty, which has then been noted.
    pub(super) read: fn(&mut Section<'_>) -> Option<T>,
    /// The least that it needs, with every list that holds maps: from it a test learns its keys.
    #[cfg_attr(not(test), allow(dead_code, reason = "read by the test of the documented tables"))]
    pub(super) sample: &'static str,
}

/// A configured component.
#[derive(Debug, Clone, PartialEq)]
pub struct Component<T> {
    /// `type` or `type/name`, as the configuration writes it.
    pub id: String,
    /// Its settings.
    pub settings: T,
    pub(super) signals: &'static [Signal],
    /// The keys and the place where it is configured.
    pub(super) from: String,
}

/// The components of one section of the configuration.
pub(super) struct Components<T> {
    /// Those without a fault.
    pub(super) ready: Vec<Component<T>>,
    /// Those with one; nothing more is said of them.
    faulty: Vec<String>,
    /// Those that were taken away by `null`.
    removed: Vec<String>,
    section: &'static str,
}

impl Signal {
    /// Its name, as pipelines and metrics spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T> Components<T> {
    /// Reads every component of `section`.
    pub(super) fn read(
        section: &'static str,
        node: Option<&Node>,
        kinds: &'static [Kind<T>],
        removed: &[String],
        findings: &Findings,
    ) -> Self {
        let prefix = format!("{section}::");
        let removed = removed.iter().filter_map(|path| path.strip_prefix(&prefix));
        let removed = removed.filter(|id| !id.contains("::")).map(str::to_owned).collect();
        let mut components = Self { ready: Vec::new(), faulty: Vec::new(), removed, section };
        match node.map(|node| &node.value) {
            None | Some(Value::Null) => {}
            Some(Value::Map(entries)) => {
                for (key, node) in entries {
                    components.component(key, node, kinds, findings);
                }
            }
            Some(value) => {
                let what = format!("{}, where a map of {section} is expected", value.kind());
                findings.fault(section, node.map(|node| &node.place), what);
            }
        }
        components
    }

    fn component(&mut self, key: &Key, node: &Node, kinds: &[Kind<T>], findings: &Findings) {
        let (path, id) = (format!("{}::{}", self.section, key.name), key.name.clone());
        let kind = id.split('/').next().unwrap_or_default();
        let known = kinds.iter().find(|known| known.name == kind || known.aliases.contains(&kind));
        let Some(known) = known else {
            if node.value == Value::Null {
                // Taken away before it was ever there.
                return self.removed.push(id);
            }
            let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            let what =
                format!("the type {kind:?} is not supported; supported are {}", names.join(", "));
            findings.fault(&path, Some(&key.place), what);
            return self.faulty.push(id);
        };
        if id.split_once('/').is_some_and(|(_, name)| name.is_empty()) {
            findings.fault(&path, Some(&key.place), "a name is missing after the slash");
        }
        let settings = (known.read)(&mut Section::new(path.as_str(), Some(node), findings));
        match settings {
            Some(settings) => {
                let from = format!("{path} ({})", key.place);
                self.ready.push(Component { id, settings, signals: known.signals, from });
            }
            None => self.faulty.push(id),
        }
    }

    /// The components that are named in the list below `key`; what cannot be found is a fault.
    pub(super) fn named(
        &self,
        section: &mut Section<'_>,
        key: &'static str,
        signal: Option<Signal>,
    ) -> Vec<usize> {
        let singular = self.section.trim_end_matches('s');
        let mut found = Vec::new();
        for id in section.texts(key) {
            if let Some(at) = self.ready.iter().position(|component| component.id == id) {
                let component = &self.ready[at];
                match signal {
                    Some(signal) if !component.signals.contains(&signal) => {
                        section.fault(format!("{singular} {id:?} is not for {signal}"));
                    }
                    _ if found.contains(&at) => {
                        section.fault(format!("references {singular} {id:?} more than once"));
                    }
                    _ => found.push(at),
                }
            } else if self.removed.contains(&id) {
                let what = format!("{singular} {id:?} was removed with null, and is left out here");
                section.findings().warn(section.path(), section.place(), what);
            } else if !self.faulty.contains(&id) {
                section.fault(format!("references {singular} {id:?} which is not configured"));
            }
        }
        found
    }

    /// Warns of those that nothing uses, and keeps the others.
    pub(super) fn keep(self, used: &[usize], findings: &Findings) -> Vec<Component<T>> {
        let mut kept = Vec::with_capacity(used.len());
        for (at, component) in self.ready.into_iter().enumerate() {
            if used.contains(&at) {
                kept.push(component);
            } else {
                findings.warn(&component.from, None, "nothing uses it; it is not started");
            }
        }
        kept
    }

    /// Whether nothing is named here, or only what was removed.
    pub(super) fn has_none_of(&self, ids: &[String]) -> bool {
        ids.iter().all(|id| self.removed.contains(id))
    }

    /// Whether something is configured as `id` that has a fault.
    pub(super) fn is_faulty(&self, id: &str) -> bool {
        self.faulty.iter().any(|faulty| faulty == id)
    }
}
