//! The three processes, their folder and their ports.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::children::{Child, Unsaved, Written};
use super::error::LaunchError;
use super::folder::Folder;
use super::plain_log::PlainLog;
use super::pod_log::PodLog;
use super::ports::Ports;
use super::request::{self, Answer};
use super::{Options, verdict};

/// How long a child may take until it answers that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the services have to end what they do and to flush, of the six seconds that a stop may take.
const SERVICES_STOP_TIMEOUT: Duration = Duration::from_millis(3_200);
/// When everything must have stopped.
const STOP_TIMEOUT: Duration = Duration::from_millis(5_700);
/// How often a child is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// What a child is, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The node agent.
    Agent,
    /// The service that is asked by the other one.
    Python,
    /// The service that is asked from outside.
    Node,
}

/// A running demo. What is dropped without [`Demo::stop`] is killed.
#[derive(Debug)]
pub struct Demo {
    exe: PathBuf,
    ports: Ports,
    http: reqwest::Client,
    children: BTreeMap<Role, Child>,
    /// Last, so that the folder stays locked until the children are gone.
    folder: Folder,
}

impl Role {
    /// All of them, first to start first.
    pub const ALL: [Self; 3] = [Self::Agent, Self::Python, Self::Node];
    const SERVICES: [Self; 2] = [Self::Python, Self::Node];

    /// The name of the program, and of its subcommand of `spanline-demo`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "spanline-agent",
            Self::Python => "api-python",
            Self::Node => "api-node",
        }
    }
}

impl Demo {
    /// Takes the folder and the ports; starts nothing yet. `exe` is the program that knows the roles.
    ///
    /// # Errors
    ///
    /// When a port is taken, or the folder cannot be used or belongs to another demo.
    pub fn prepare(exe: PathBuf, options: &Options) -> Result<Self, LaunchError> {
        let folder = Folder::open(&options.dir)?;
        let ports = options.ports.clone().claim()?;
        let http = request::client()?;
        Ok(Self { exe, ports, http, children: BTreeMap::new(), folder })
    }

    /// Starts one role; it is not ready yet.
    ///
    /// # Errors
    ///
    /// When its log cannot be written or the system refuses another process.
    pub fn start(&mut self, role: Role) -> Result<(), LaunchError> {
        let args = self.args(role);
        let vars = self.vars(role);
        let unusable = |cause| LaunchError::Folder { path: self.folder.root().to_owned(), cause };
        let child = if role == Role::Agent {
            let log = PlainLog::open(self.folder.agent_log()).map_err(unusable)?;
            Child::start(&self.exe, args, vars, log)
        } else {
            let log = PodLog::create(&self.folder.pods(), role.name()).map_err(unusable)?;
            Child::start(&self.exe, args, vars, log)
        };
        self.children.insert(role, child.map_err(LaunchError::Runtime)?);
        Ok(())
    }

    /// Waits until a started role says that it is ready.
    ///
    /// # Errors
    ///
    /// When it ends instead, or takes too long.
    pub async fn ready(&mut self, role: Role) -> Result<(), LaunchError> {
        let url = match role {
            Role::Agent => url(self.ports.health, "/readyz"),
            Role::Python => url(self.ports.api_python, "/healthz"),
            Role::Node => url(self.ports.api_node, "/healthz"),
        };
        let http = self.http.clone();
        let deadline = Instant::now() + READY_TIMEOUT;
        let ready = async {
            loop {
                let asked = http.get(&url).timeout(Duration::from_secs(1)).send().await;
                if asked.is_ok_and(|answer| answer.status().is_success()) {
                    return true;
                }
                if Instant::now() >= deadline {
                    return false;
                }
                sleep(POLL_INTERVAL).await;
            }
        };
        if self.unless_one_dies(ready).await? {
            return Ok(());
        }
        let last_lines = self.written(role).recent();
        Err(LaunchError::NotReady { name: role.name(), waited: READY_TIMEOUT, last_lines })
    }

    /// Starts all roles, each when the one before it is ready.
    ///
    /// # Errors
    ///
    /// As [`Demo::start`] and [`Demo::ready`].
    pub async fn start_all(&mut self) -> Result<(), LaunchError> {
        for role in Role::ALL {
            self.start(role)?;
            self.ready(role).await?;
        }
        Ok(())
    }

    /// Sends one request through both services, and finds the lines that they wrote for it.
    ///
    /// # Errors
    ///
    /// When a child ends, the answer is not the expected one, or no line with ids comes.
    pub async fn request(&mut self) -> Result<Answer, LaunchError> {
        let services = Role::SERVICES.map(|role| (role.name(), self.written(role)));
        let sent = request::send(self.http.clone(), self.something_url(), services);
        self.unless_one_dies(sent).await?
    }

    /// Checks through the agent's read API that the trace and the lines of `answer` found each other.
    ///
    /// # Errors
    ///
    /// When a child ends; inside, what is missing.
    pub async fn verify(
        &mut self,
        answer: &Answer,
    ) -> Result<Result<verdict::Traced, LaunchError>, LaunchError> {
        let verdict = verdict::reach(self.http.clone(), self.web_url(), answer.trace_id.clone());
        self.unless_one_dies(verdict).await
    }

    /// Does `work`, but stops when a child ends in the meantime.
    pub(super) async fn unless_one_dies<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, LaunchError> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            died = self.one_died() => Err(died),
        }
    }

    async fn one_died(&mut self) -> LaunchError {
        loop {
            for (role, child) in &mut self.children {
                match child.ended() {
                    Ok(None) => {}
                    Ok(Some(status)) => {
                        child.drained().await;
                        let last_lines = child.written().recent();
                        return LaunchError::Died { name: role.name(), status, last_lines };
                    }
                    Err(cause) => return LaunchError::Runtime(cause),
                }
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Asks one role to stop and waits until it has; does nothing if it does not run.
    pub async fn stop_one(&mut self, role: Role) {
        if let Some(mut child) = self.children.remove(&role) {
            child.terminate();
            child.end_by(Instant::now() + STOP_TIMEOUT).await;
        }
    }

    /// Kills one role outright; does nothing if it does not run.
    pub async fn kill_one(&mut self, role: Role) {
        if let Some(mut child) = self.children.remove(&role) {
            child.kill().await;
            child.drained().await;
        }
    }

    /// Stops the services, which flush, and then the agent, which reads and keeps what they left. Says
    /// which lines could not be kept.
    pub async fn stop(&mut self) -> Vec<(Role, Unsaved)> {
        let began = Instant::now();
        for role in Role::SERVICES {
            self.children.get(&role).inspect(|child| child.terminate());
        }
        for role in Role::SERVICES {
            if let Some(child) = self.children.get_mut(&role) {
                child.end_by(began + SERVICES_STOP_TIMEOUT).await;
            }
        }
        if let Some(agent) = self.children.get_mut(&Role::Agent) {
            agent.terminate();
            agent.end_by(began + STOP_TIMEOUT).await;
        }
        let stopped = std::mem::take(&mut self.children);
        stopped
            .into_iter()
            .filter_map(|(role, child)| Some((role, child.written().unsaved()?)))
            .collect()
    }

    /// Ends everything at once.
    pub async fn kill(&mut self) {
        for child in self.children.values_mut() {
            child.kill().await;
        }
        self.children.clear();
    }

    /// Where the demo keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// The ports, none of which is 0 any more.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    pub(super) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The route that goes through both services.
    pub fn something_url(&self) -> String {
        url(self.ports.api_node, "/something")
    }

    /// The agent's page and read API.
    pub fn web_url(&self) -> String {
        url(self.ports.web, "")
    }

    /// The latest lines that a role wrote, oldest first; empty when it does not run.
    pub fn recent_lines(&self, role: Role) -> Vec<String> {
        self.written(role).recent()
    }

    /// The process id of a role that runs.
    pub fn pid(&self, role: Role) -> Option<u32> {
        self.children.get(&role)?.pid()
    }

    fn written(&self, role: Role) -> Written {
        self.children.get(&role).map(|child| child.written().clone()).unwrap_or_default()
    }

    fn args(&self, role: Role) -> Vec<OsString> {
        let mut args = vec![role.name().into()];
        if role == Role::Agent {
            args.extend(["--pods".into(), self.folder.pods().into()]);
            args.extend(["--state".into(), self.folder.agent().into()]);
        }
        args
    }

    fn vars(&self, role: Role) -> Vec<(&'static str, String)> {
        let ports = &self.ports;
        match role {
            Role::Agent => vec![
                ("SPANLINE_OTLP_GRPC_PORT", ports.otlp_grpc.to_string()),
                ("SPANLINE_OTLP_HTTP_PORT", ports.otlp_http.to_string()),
                ("SPANLINE_WEB_PORT", ports.web.to_string()),
                ("SPANLINE_HEALTH_PORT", ports.health.to_string()),
                ("SPANLINE_SELF_METRICS_PORT", ports.self_metrics.to_string()),
                ("SPANLINE_PROMETHEUS_PORT", ports.prometheus.to_string()),
            ],
            Role::Python => {
                let mut vars = vec![("PORT", ports.api_python.to_string())];
                vars.extend(self.where_the_agent_is(ports.otlp_grpc));
                vars.extend(where_metrics_are(ports.api_python_metrics));
                vars
            }
            Role::Node => {
                let mut vars = vec![
                    ("PORT", ports.api_node.to_string()),
                    ("PYTHON_APP_URL", url(ports.api_python, "/")),
                ];
                vars.extend(self.where_the_agent_is(ports.otlp_http));
                vars.extend(where_metrics_are(ports.api_node_metrics));
                vars
            }
        }
    }

    /// As in a cluster, a service knows its node's address and nothing else, unless a port was moved.
    fn where_the_agent_is(&self, port: u16) -> Vec<(&'static str, String)> {
        let mut vars = vec![("NODE_IP", "127.0.0.1".to_owned())];
        if self.ports.otlp_moved() {
            vars.push(("OTEL_EXPORTER_OTLP_ENDPOINT", url(port, "")));
        }
        vars
    }
}

/// Both ways at once: a scraper finds them, and the agent gets them.
fn where_metrics_are(port: u16) -> [(&'static str, String); 4] {
    [
        ("OTEL_METRICS_EXPORTER", "prometheus,otlp".to_owned()),
        // Often enough to watch a graph grow; the specification's default is a minute.
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1".to_owned()),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", port.to_string()),
    ]
}

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}
