//! What the agent does: the OpenTelemetry Collector's YAML, a documented subset of it.
//!
//! ```text
//! files ─▶ yaml ─▶ merge ─▶ expand ─▶ a tree whose values know their places
//!   ─▶ component, service: every section is read key by key ─▶ typed settings, or every fault at once
//! ```
//!
//! Without a file it is the embedded default, which is such a file too.

mod auth;
mod component;
mod constant;
mod delivery;
mod expand;
mod exporters;
mod expr;
mod extensions;
mod fault;
mod field;
mod filelog;
mod glob;
mod http_client;
mod layout;
mod merge;
mod operators;
mod print;
mod processors;
mod receivers;
mod section;
mod service;
mod serving;
mod tls;
mod units;
mod yaml;

use std::collections::HashMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use self::auth::{Auth, Authenticator, Secret, Secrets};
pub use self::component::{Component, Signal};
pub use self::constant::Constant;
pub use self::delivery::{Counted, Delivery, QueueSettings, Retry};
pub use self::exporters::{
    DefaultLabels, Encoding, Exporter, File, Keepalive, Loki, OtlpExporter, OtlpHttp, Prometheus,
    Rotation, Store, Verbosity,
};
pub use self::expr::{Expr, Function, Literal, Node as ExprNode, Operation};
pub use self::extensions::Extension;
pub use self::fault::{ConfigError, Finding};
pub use self::field::{Field, Root};
pub use self::filelog::{Compression, CutAt, Cutting, Described, Filelog, Files, LineParser};
pub use self::glob::PathPattern;
pub use self::http_client::HttpClient;
pub use self::layout::Step;
pub use self::operators::{
    Added, Container, Format, Layout, OnError, Operator, OperatorKind, Parse, Recombine, Severity,
    Time, Trace,
};
pub use self::processors::{
    Action, BatchSettings, Change, MemoryBound, MemoryLimit, Processor, Source as ValueSource,
    Target,
};
pub use self::receivers::{GrpcReceiver, HttpReceiver, Otlp, Receiver};
pub use self::section::Setting;
pub use self::service::{Pipeline, Telemetry};
pub use self::serving::Serving;
pub use self::tls::{ClientTls, Pem, ServerTls, TlsVersion};

pub(crate) use self::operators::blocks::SEVERITIES;
pub(crate) use self::section::listen_address;

use self::component::Components;
use self::fault::Findings;
use self::section::Section;
use self::service::Everything;
use self::yaml::{Node, Value};

/// The configuration of an agent that is given none.
const DEFAULT: &str = include_str!("config/default.yaml");
/// What is laid over it where there are no pods.
const WITHOUT_PODS: &str = include_str!("config/without_pods.yaml");
/// Where the kubelet keeps the logs of pods.
const PODS_DIR: &str = "/var/log/pods";
/// Where root's agent keeps its checkpoints and its store.
const ROOT_STATE_DIR: &str = "/var/lib/spanline";
/// Bytes of one file; a configuration has a few thousand.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Where settings come from; tests pass a map.
pub trait Vars {
    /// The value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct Environment;

/// What the command line says.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Configuration in the Collector's YAML; several are merged, the later over the earlier
    #[arg(long = "config", value_name = "FILE", global = true)]
    pub files: Vec<PathBuf>,
    /// Without --config: folder of pod logs [default: /var/log/pods, if it is there]
    #[arg(long, value_name = "DIR", global = true)]
    pub pods: Option<PathBuf>,
    /// Without --config: folder for checkpoints and the store [default: /var/lib/spanline, or below
    /// $XDG_STATE_HOME]
    #[arg(long, value_name = "DIR", global = true)]
    pub state: Option<PathBuf>,
    /// Without --config: address on which OTLP is received [default: 127.0.0.1]
    #[arg(long, value_name = "HOST", global = true)]
    pub listen: Option<String>,
}

/// What the agent does. Every component in it is used.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// Where telemetry comes from.
    pub receivers: Vec<Component<Receiver>>,
    /// What is done with it.
    pub processors: Vec<Component<Processor>>,
    /// Where it goes.
    pub exporters: Vec<Component<Exporter>>,
    /// What stands beside the pipelines.
    pub extensions: Vec<Component<Extension>>,
    /// How they are joined.
    pub pipelines: Vec<Pipeline>,
    /// What the agent says about itself.
    pub telemetry: Telemetry,
    /// What is odd, but not wrong.
    pub warnings: Vec<Finding>,
    tree: Node,
}

/// A text, and what faults call it.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Config {
    /// What the files say that the command line names; the embedded default if it names none.
    ///
    /// # Errors
    /// Every fault at once, each with its keys, its file and line, what stands there, and what is supported.
    pub fn from_flags(flags: &Flags, vars: &dyn Vars) -> Result<Self, ConfigError> {
        if flags.files.is_empty() {
            return Self::embedded(flags, vars);
        }
        let findings = Findings::default();
        for (flag, is_given) in [
            ("--pods", flags.pods.is_some()),
            ("--state", flags.state.is_some()),
            ("--listen", flags.listen.is_some()),
        ] {
            if is_given {
                findings.fault(
                    flag,
                    None,
                    "changes the default configuration only; with --config, say it there",
                );
            }
        }
        let (mut texts, mut is_whole) = (Vec::new(), true);
        for file in &flags.files {
            match read(file) {
                Ok(text) => texts.push((file.to_string_lossy(), text)),
                Err(error) => {
                    is_whole = false;
                    let path = file.to_string_lossy();
                    findings.fault("--config", None, format!("cannot read {path}: {error}"));
                }
            }
        }
        let sources: Vec<_> =
            texts.iter().map(|(name, text)| Source { name: name.as_ref(), text }).collect();
        Self::from_sources(&sources, is_whole, vars, findings)
    }

    /// What one text says, in which `name` is what faults call it.
    ///
    /// # Errors
    /// As [`Self::from_flags`].
    pub fn from_yaml(text: &str, name: &str, vars: &dyn Vars) -> Result<Self, ConfigError> {
        Self::from_sources(&[Source { name, text }], true, vars, Findings::default())
    }

    fn embedded(flags: &Flags, vars: &dyn Vars) -> Result<Self, ConfigError> {
        let findings = Findings::default();
        let listen = flags.listen.as_deref().unwrap_or("127.0.0.1");
        let listen = match listen.trim_matches(['[', ']']).parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            Ok(IpAddr::V4(ip)) => ip.to_string(),
            Err(_) if listen == "localhost" => "127.0.0.1".to_owned(),
            Err(_) => {
                findings.fault(
                    "--listen",
                    None,
                    format!("{listen:?} is not an IP address, such as 0.0.0.0"),
                );
                "127.0.0.1".to_owned()
            }
        };
        let state = flags.state.clone().or_else(|| default_state_dir(vars)).unwrap_or_else(|| {
            let what = "there is no folder for state: set it, XDG_STATE_HOME or HOME";
            findings.fault("--state", None, what);
            PathBuf::from(ROOT_STATE_DIR)
        });
        let has_pods = flags.pods.is_some() || Path::new(PODS_DIR).is_dir();
        let pods = flags.pods.as_deref().unwrap_or(Path::new(PODS_DIR));
        let path = |flag: &str, path: &Path| {
            path.to_str().map(str::to_owned).unwrap_or_else(|| {
                findings.fault(flag, None, format!("{} is not UTF-8", path.display()));
                String::new()
            })
        };
        let (pods, state) = (path("--pods", pods), path("--state", &state));
        let vars = CommandLine { listen, pods, state, vars };
        let mut sources = vec![Source { name: "default", text: DEFAULT }];
        if !has_pods {
            sources.push(Source { name: "default without pods", text: WITHOUT_PODS });
        }
        Self::from_sources(&sources, true, &vars, findings)
    }

    fn from_sources(
        sources: &[Source<'_>],
        mut is_whole: bool,
        vars: &dyn Vars,
        findings: Findings,
    ) -> Result<Self, ConfigError> {
        let mut tree =
            yaml::parse("", sources.first().map_or("", |source| source.name)).unwrap_or_else(
                |error| Node { value: Value::Null, place: error.place, variables: Vec::new() },
            );
        let mut removed = Vec::new();
        for source in sources {
            match yaml::parse(source.text, source.name) {
                Ok(node) => merge::merge(&mut tree, node, "", &mut removed),
                Err(error) => {
                    is_whole = false;
                    findings.fault("", Some(&error.place), format!("not YAML: {}", error.what));
                }
            }
        }
        // A tree with a hole in it would tell of faults that are none.
        if !is_whole {
            return Err(ConfigError { faults: findings.faults().clone() });
        }
        expand::expand(&mut tree, "", vars, &findings);
        let parts = Parts::read(&tree, &removed, &findings);
        let Parts { receivers, processors, exporters, extensions, pipelines, telemetry } = parts;
        let warnings = findings.into_result()?;
        Ok(Self {
            receivers,
            processors,
            exporters,
            extensions,
            pipelines,
            telemetry,
            warnings,
            tree,
        })
    }

    /// What is in force, as YAML that gives the same configuration again, secrets aside.
    pub fn to_yaml(&self) -> String {
        print::yaml(&self.tree)
    }

    /// Where probes are answered, if they are.
    pub fn health(&self) -> Option<&str> {
        self.extensions.iter().find_map(|extension| match &extension.settings {
            Extension::HealthCheck { endpoint } => Some(endpoint.text.as_str()),
            _ => None,
        })
    }

    /// The text that `components` prints.
    pub fn components() -> String {
        fn section<T>(text: &mut String, title: &str, kinds: &[component::Kind<T>]) {
            *text += &format!("{title}:\n");
            for kind in kinds {
                let signals: Vec<_> = kind.signals.iter().map(|signal| signal.as_str()).collect();
                let mut line = format!("- {}", kind.name);
                if !kind.aliases.is_empty() {
                    line += &format!(" (also {})", kind.aliases.join(", "));
                }
                if !signals.is_empty() {
                    line += &format!(": {}", signals.join(", "));
                }
                *text += &(line + "\n");
            }
        }
        let mut text = String::new();
        section(&mut text, "receivers", receivers::KINDS);
        section(&mut text, "processors", processors::KINDS);
        section(&mut text, "exporters", exporters::KINDS);
        section(&mut text, "extensions", extensions::KINDS);
        text
    }
}

// The tree holds what nobody may read.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_yaml())
    }
}

/// What a tree says, faults aside.
struct Parts {
    receivers: Vec<Component<Receiver>>,
    processors: Vec<Component<Processor>>,
    exporters: Vec<Component<Exporter>>,
    extensions: Vec<Component<Extension>>,
    pipelines: Vec<Pipeline>,
    telemetry: Telemetry,
}

impl Parts {
    fn read(tree: &Node, removed: &[String], findings: &Findings) -> Self {
        let mut root = Section::new("", Some(tree), findings);
        let everything = Everything {
            receivers: Components::read(
                "receivers",
                root.raw("receivers"),
                receivers::KINDS,
                removed,
                findings,
            ),
            processors: Components::read(
                "processors",
                root.raw("processors"),
                processors::KINDS,
                removed,
                findings,
            ),
            exporters: Components::read(
                "exporters",
                root.raw("exporters"),
                exporters::KINDS,
                removed,
                findings,
            ),
            extensions: Components::read(
                "extensions",
                root.raw("extensions"),
                extensions::KINDS,
                removed,
                findings,
            ),
        };
        let (pipelines, started, telemetry) =
            service::read(&mut root.section("service"), &everything);
        drop(root);
        let Everything { receivers, processors, exporters, extensions } = everything;
        check_storage(&receivers, &extensions, &started, findings);
        let sending = exporters.ready.iter().filter_map(|exporter| exporter.settings.auth());
        let receiving = receivers.ready.iter().flat_map(|receiver| receiver.settings.auth());
        let beside = extensions.ready.iter().filter_map(|extension| extension.settings.auth());
        for named in sending.chain(receiving).chain(beside) {
            auth::check(named, &extensions, &started, findings);
        }

        let mut used = [Vec::new(), Vec::new(), Vec::new()];
        for pipeline in &pipelines {
            for (used, names) in used.iter_mut().zip([
                &pipeline.receivers,
                &pipeline.processors,
                &pipeline.exporters,
            ]) {
                used.extend(names);
            }
        }
        let [used_receivers, used_processors, used_exporters] = &mut used;
        for used in [&mut *used_receivers, used_processors, used_exporters] {
            used.sort_unstable();
            used.dedup();
        }
        let pipelines = pipelines
            .into_iter()
            .map(|pipeline| Pipeline {
                receivers: renumbered(&pipeline.receivers, used_receivers),
                processors: renumbered(&pipeline.processors, used_processors),
                exporters: renumbered(&pipeline.exporters, used_exporters),
                ..pipeline
            })
            .collect();
        let parts = Self {
            receivers: receivers.keep(used_receivers, findings),
            processors: processors.keep(used_processors, findings),
            exporters: exporters.keep(used_exporters, findings),
            extensions: extensions.keep(&started, findings),
            pipelines,
            telemetry,
        };
        parts.check_web(findings);
        parts.check_endpoints(findings);
        parts
    }

    /// An exporter over HTTP knows where to send what its pipelines carry.
    fn check_endpoints(&self, findings: &Findings) {
        for pipeline in &self.pipelines {
            for component in pipeline.exporters.iter().filter_map(|&at| self.exporters.get(at)) {
                let Exporter::OtlpHttp(settings) = &component.settings else { continue };
                let signal = pipeline.signal;
                if settings.url(signal).is_none() {
                    let what = format!(
                        "has neither endpoint nor {signal}_endpoint, and the pipeline {} sends it {signal}",
                        pipeline.id
                    );
                    findings.fault(&component.from, None, what);
                }
            }
        }
    }

    /// The page shows one store.
    fn check_web(&self, findings: &Findings) {
        let web = self.extensions.iter().find(|one| matches!(one.settings, Extension::Web(_)));
        let stores = self.exporters.iter().filter(|one| matches!(one.settings, Exporter::Store(_)));
        let (Some(web), count) = (web, stores.count()) else { return };
        if count != 1 && findings.faults().is_empty() {
            let what =
                format!("shows what the one spanline_store keeps, and the pipelines use {count}");
            findings.fault(&web.from, None, what);
        }
    }
}

/// A receiver's storage is an extension that is started.
fn check_storage(
    receivers: &Components<Receiver>,
    extensions: &Components<Extension>,
    started: &[usize],
    findings: &Findings,
) {
    for receiver in &receivers.ready {
        let Receiver::Filelog(filelog) = &receiver.settings else { continue };
        let Some(storage) = &filelog.storage else { continue };
        let found = extensions.ready.iter().position(|extension| extension.id == *storage);
        let is_storage = |at: &usize| {
            started.contains(at)
                && matches!(extensions.ready[*at].settings, Extension::FileStorage { .. })
        };
        if found.filter(is_storage).is_none() && !extensions.is_faulty(storage) {
            let what =
                format!("storage {storage:?} is no file_storage that service::extensions starts");
            findings.fault(&receiver.from, None, what);
        }
    }
}

/// Where the components stand once those that nothing uses are gone.
fn renumbered(names: &[usize], used: &[usize]) -> Vec<usize> {
    names.iter().filter_map(|name| used.binary_search(name).ok()).collect()
}

/// The environment, and what the command line says for the embedded default.
struct CommandLine<'a> {
    listen: String,
    pods: String,
    state: String,
    vars: &'a dyn Vars,
}

impl Vars for CommandLine<'_> {
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "LISTEN" => Some(self.listen.clone()),
            "PODS" => Some(self.pods.clone()),
            "STATE" => Some(self.state.clone()),
            name => self.vars.get(name),
        }
    }
}

impl Vars for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Vars for HashMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        Self::get(self, name).map(|value| (*value).to_owned())
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn default_state_dir(vars: &dyn Vars) -> Option<PathBuf> {
    let non_empty = |name| vars.get(name).filter(|value| !value.trim().is_empty());
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from(ROOT_STATE_DIR));
    }
    let below_home = || Some(PathBuf::from(non_empty("HOME")?).join(".local/state"));
    let state_home = non_empty("XDG_STATE_HOME").map(PathBuf::from).or_else(below_home)?;
    Some(state_home.join("spanline"))
}

#[cfg(test)]
mod tests;
