//! What the agent does: typed settings, made from the command line and the environment.
//!
//! All faults are found at once; each names its setting, what stands there and what would be accepted.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where the kubelet keeps the logs of pods.
const PODS_DIR: &str = "/var/log/pods";
/// Where root's agent keeps its checkpoints and its store.
const ROOT_STATE_DIR: &str = "/var/lib/spanline";
/// What the store may take on disk.
const STORE_MAX_BYTES: u64 = 512 * 1024 * 1024;

pub(crate) const OTLP_GRPC_PORT: Port = Port { variable: "SPANLINE_OTLP_GRPC_PORT", default: 4317 };
pub(crate) const OTLP_HTTP_PORT: Port = Port { variable: "SPANLINE_OTLP_HTTP_PORT", default: 4318 };
pub(crate) const HEALTH_PORT: Port = Port { variable: "SPANLINE_HEALTH_PORT", default: 13133 };
pub(crate) const SELF_METRICS_PORT: Port =
    Port { variable: "SPANLINE_SELF_METRICS_PORT", default: 8888 };
pub(crate) const PROMETHEUS_PORT: Port =
    Port { variable: "SPANLINE_PROMETHEUS_PORT", default: 8889 };
pub(crate) const WEB_PORT: Port = Port { variable: "SPANLINE_WEB_PORT", default: 9880 };
/// The cluster's name, a label of every line.
const CLUSTER: &str = "K8S_CLUSTER_NAME";

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
    /// Folder of pod logs [default: /var/log/pods, if it is there]
    #[arg(long, value_name = "DIR", global = true)]
    pub pods: Option<PathBuf>,
    /// Folder for checkpoints and the store [default: /var/lib/spanline, or below $XDG_STATE_HOME]
    #[arg(long, value_name = "DIR", global = true)]
    pub state: Option<PathBuf>,
    /// Address on which OTLP is received [default: 127.0.0.1]
    #[arg(long, value_name = "HOST", global = true)]
    pub listen: Option<String>,
}

/// What the agent does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where OTLP/gRPC is received.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP/HTTP is received.
    pub otlp_http: SocketAddr,
    /// Where `/`, `/livez` and `/readyz` are served.
    pub health: SocketAddr,
    /// Where the agent's own metrics are served.
    pub self_metrics: SocketAddr,
    /// Where scrapers read the metrics that came by OTLP.
    pub prometheus: SocketAddr,
    /// Where the page and the read API are served.
    pub web: SocketAddr,
    /// The folder of pod logs; `None` when there is none to tail.
    pub pods_dir: Option<PathBuf>,
    /// The folder for checkpoints and the store.
    pub state_dir: PathBuf,
    /// What the store may take on disk.
    pub store_max_bytes: u64,
    /// The cluster's name, a label of every line.
    pub cluster: Option<String>,
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<String>,
}

/// A port's setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port {
    pub(crate) variable: &'static str,
    default: u16,
}

impl Config {
    /// The settings of the embedded default, as the command line and the environment move them.
    ///
    /// # Errors
    /// Every fault at once: a port that is no number, a host that is no address, no folder for state.
    pub fn from_flags(flags: &Flags, vars: &dyn Vars) -> Result<Self, ConfigError> {
        let mut faults = Vec::new();
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = match flags.listen.as_deref() {
            None | Some("localhost") => loopback,
            Some(host) => host.trim_matches(['[', ']']).parse().unwrap_or_else(|_| {
                faults.push(format!("--listen {host:?} is not an IP address, such as 0.0.0.0"));
                loopback
            }),
        };
        let mut at = |host, port: &Port| {
            SocketAddr::new(
                host,
                port.read(vars).unwrap_or_else(|fault| {
                    faults.push(fault);
                    port.default
                }),
            )
        };
        let (otlp_grpc, otlp_http) = (at(listen, &OTLP_GRPC_PORT), at(listen, &OTLP_HTTP_PORT));
        let health = at(loopback, &HEALTH_PORT);
        let self_metrics = at(loopback, &SELF_METRICS_PORT);
        let prometheus = at(loopback, &PROMETHEUS_PORT);
        let web = at(loopback, &WEB_PORT);
        let pods_dir = match &flags.pods {
            Some(dir) => Some(dir.clone()),
            None => Some(PathBuf::from(PODS_DIR)).filter(|dir| dir.is_dir()),
        };
        let state_dir = flags.state.clone().or_else(|| default_state_dir(vars));
        if state_dir.is_none() {
            faults.push("there is no folder for state: set --state, XDG_STATE_HOME or HOME".into());
        }
        match state_dir {
            Some(state_dir) if faults.is_empty() => Ok(Self {
                otlp_grpc,
                otlp_http,
                health,
                self_metrics,
                prometheus,
                web,
                pods_dir,
                state_dir,
                store_max_bytes: STORE_MAX_BYTES,
                cluster: non_empty(vars, CLUSTER),
            }),
            _ => Err(ConfigError { faults }),
        }
    }

    /// Where the tailer keeps its checkpoints.
    pub fn checkpoint_dir(&self) -> PathBuf {
        self.state_dir.join("checkpoints")
    }

    /// Where the store keeps its slices.
    pub fn store_dir(&self) -> PathBuf {
        self.state_dir.join("store")
    }

    /// What is in force, in the shape of the Collector's configuration.
    pub fn to_yaml(&self) -> String {
        let mut yaml = String::new();
        let tailing = self.pods_dir.as_deref().map(|dir| self.filelog_yaml(dir));
        let receivers = if tailing.is_some() { "[otlp, filelog]" } else { "[otlp]" };
        // Writing to a string does not fail.
        let _ = write!(
            yaml,
            "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: {}\n      http:\n        \
             endpoint: {}\n{}exporters:\n  spanline_store:\n    directory: {}\n    max_bytes: {}\n  \
             prometheus:\n    endpoint: {}\n    enable_open_metrics: true\n\
             extensions:\n  health_check:\n    endpoint: {}\n  spanline_web:\n    endpoint: {}\n\
             service:\n  extensions: [health_check, spanline_web]\n  telemetry:\n    metrics:\n      \
             address: {}\n  pipelines:\n    traces:\n      receivers: [otlp]\n      exporters: \
             [spanline_store]\n    logs:\n      receivers: {receivers}\n      exporters: [spanline_store]\n    \
             metrics:\n      receivers: [otlp]\n      exporters: [spanline_store, prometheus]\n",
            self.otlp_grpc,
            self.otlp_http,
            tailing.unwrap_or_default(),
            quoted(&self.store_dir()),
            self.store_max_bytes,
            self.prometheus,
            self.health,
            self.web,
            self.self_metrics,
        );
        yaml
    }

    fn filelog_yaml(&self, pods_dir: &Path) -> String {
        let include = quoted(&pods_dir.join("*/*/*.log"));
        format!("  filelog:\n    include: [{include}]\n    start_at: beginning\n")
    }
}

/// A path as a YAML string; JSON's strings are YAML's.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

impl Port {
    fn read(&self, vars: &dyn Vars) -> Result<u16, String> {
        let Some(value) = non_empty(vars, self.variable) else { return Ok(self.default) };
        value.trim().parse().map_err(|_| {
            format!(
                "{} is {value:?}, which is not a port: a number from 0 (any) to 65535",
                self.variable
            )
        })
    }
}

fn non_empty(vars: &dyn Vars, name: &str) -> Option<String> {
    vars.get(name).filter(|value| !value.trim().is_empty())
}

fn default_state_dir(vars: &dyn Vars) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from(ROOT_STATE_DIR));
    }
    let below_home = || Some(PathBuf::from(non_empty(vars, "HOME")?).join(".local/state"));
    let state_home = non_empty(vars, "XDG_STATE_HOME").map(PathBuf::from).or_else(below_home)?;
    Some(state_home.join("spanline"))
}

impl Vars for Environment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    impl Vars for HashMap<&str, &str> {
        fn get(&self, name: &str) -> Option<String> {
            HashMap::get(self, name).map(|value| (*value).to_owned())
        }
    }

    fn flags() -> Flags {
        Flags { state: Some("state".into()), ..Flags::default() }
    }

    #[test]
    fn everything_listens_on_loopback_at_the_collectors_ports() {
        let config = Config::from_flags(&flags(), &HashMap::new()).unwrap();
        let all = [
            config.otlp_grpc,
            config.otlp_http,
            config.health,
            config.self_metrics,
            config.prometheus,
            config.web,
        ];
        assert!(all.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(all.map(|address| address.port()), [4317, 4318, 13133, 8888, 8889, 9880]);
    }

    #[test]
    fn listen_moves_the_otlp_listeners_and_no_other() {
        let flags = Flags { listen: Some("0.0.0.0".into()), ..flags() };
        let config = Config::from_flags(&flags, &HashMap::new()).unwrap();
        assert_eq!(config.otlp_grpc.to_string(), "0.0.0.0:4317");
        assert!(config.web.ip().is_loopback());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let vars =
            HashMap::from([("SPANLINE_WEB_PORT", "high"), ("SPANLINE_HEALTH_PORT", "70000")]);
        let flags = Flags { listen: Some("everywhere".into()), ..flags() };
        let told = Config::from_flags(&flags, &vars).unwrap_err().to_string();
        for part in ["--listen \"everywhere\"", "SPANLINE_WEB_PORT is \"high\"", "\"70000\""] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn what_is_in_force_is_shown_as_the_collectors_yaml() {
        let flags = Flags { pods: Some("pods dir".into()), ..flags() };
        let yaml = Config::from_flags(&flags, &HashMap::new()).unwrap().to_yaml();
        assert!(yaml.contains("include: [\"pods dir/*/*/*.log\"]"), "{yaml}");
        assert!(yaml.contains("endpoint: 127.0.0.1:4317"), "{yaml}");
    }
}
