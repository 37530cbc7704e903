//! The agent, or the Collector in its place: the same configuration files through both.

use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{BackEnd, free_port};

/// What tails, takes and forwards.
#[derive(Debug, Clone, Copy)]
pub enum Kind<'a> {
    /// Ours, a role of this program.
    Agent(&'a Path),
    /// The real one.
    Collector,
}

/// An agent or a Collector that runs.
#[derive(Debug)]
pub struct Relay {
    back_end: BackEnd,
    metrics_url: String,
    _folder: TempDir,
}

impl Kind<'_> {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::Collector => "collector",
        }
    }
}

impl Relay {
    /// Starts one on `configs`, merged in their order, and waits until it is ready. In each of them `STATE` is a folder of its
    /// own and `HEALTH_PORT` the port on which its `health_check` must answer; `METRICS_PORT` is where its own metrics may be.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start(kind: Kind<'_>, configs: &[String]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (health_port, metrics_port) = (free_port()?, free_port()?);
        let mut args = Vec::new();
        let program = match kind {
            Kind::Agent(program) => {
                args.push("spanline-agent".to_owned());
                program.to_owned()
            }
            Kind::Collector => BackEnd::built("collector")?,
        };
        let configs = configs.iter().filter(|config| !config.is_empty());
        for (number, config) in configs.enumerate() {
            let config = config
                .replace("STATE", &folder.path().display().to_string())
                .replace("HEALTH_PORT", &health_port.to_string())
                .replace("METRICS_PORT", &metrics_port.to_string());
            let file: PathBuf = folder.path().join(format!("config-{number}.yaml"));
            fs::write(&file, config)?;
            args.extend(["--config".to_owned(), file.display().to_string()]);
        }
        let ready = match kind {
            Kind::Agent(_) => format!("http://127.0.0.1:{health_port}/readyz"),
            Kind::Collector => format!("http://127.0.0.1:{health_port}/"),
        };
        let vars = vec![("MY_POD_IP", "127.0.0.1".to_owned())];
        let mut back_end = BackEnd::new(kind.name(), program, folder.path(), args, vars, ready);
        back_end.start().await?;
        let metrics_url = format!("http://127.0.0.1:{metrics_port}/metrics");
        Ok(Self { back_end, metrics_url, _folder: folder })
    }

    /// Where its own metrics are, if its configuration names `METRICS_PORT`.
    pub fn metrics_url(&self) -> &str {
        &self.metrics_url
    }
}

impl Deref for Relay {
    type Target = BackEnd;
    fn deref(&self) -> &BackEnd {
        &self.back_end
    }
}

impl DerefMut for Relay {
    fn deref_mut(&mut self) -> &mut BackEnd {
        &mut self.back_end
    }
}
