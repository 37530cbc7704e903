//! The three processes, each of which a test can stop and start.

use std::path::Path;

use reqwest::StatusCode;
use spanline_demo::launcher::{Demo, LaunchError, Options, Ports, Role};
use tempfile::TempDir;

use crate::{PodLog, ReadApi, get};

/// A demo on free ports in a folder of its own. What still runs when it is dropped is killed.
#[derive(Debug)]
pub struct Chain {
    demo: Demo,
    /// Last, so that it is removed when nobody writes to it any more.
    _folder: TempDir,
}

impl Chain {
    /// Takes a folder and ports; starts nothing yet.
    ///
    /// # Errors
    ///
    /// As [`Demo::prepare`].
    pub fn prepare(program: &Path) -> Result<Self, LaunchError> {
        let folder = tempfile::tempdir().map_err(LaunchError::Runtime)?;
        let options = Options {
            once: false,
            load: None,
            dir: folder.path().join("demo"),
            ports: Ports::any(),
        };
        let demo = Demo::prepare(program.to_owned(), &options)?;
        Ok(Self { demo, _folder: folder })
    }

    /// The whole chain, ready.
    ///
    /// # Errors
    ///
    /// As [`Demo::prepare`] and [`Demo::start_all`].
    pub async fn start(program: &Path) -> Result<Self, LaunchError> {
        let mut chain = Self::prepare(program)?;
        chain.demo.start_all().await?;
        Ok(chain)
    }

    /// Starts one role and waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Demo::start`] and [`Demo::ready`].
    pub async fn start_one(&mut self, role: Role) -> Result<(), LaunchError> {
        self.demo.start(role)?;
        self.demo.ready(role).await
    }

    /// The demo itself.
    pub fn demo(&mut self) -> &mut Demo {
        &mut self.demo
    }

    /// The agent's read API.
    pub fn read_api(&self) -> ReadApi {
        ReadApi::at(self.demo.web_url())
    }

    /// What `service` wrote, if it was started once.
    ///
    /// # Errors
    ///
    /// As [`PodLog::of`].
    pub fn pod_log(&self, service: Role) -> Result<PodLog, String> {
        PodLog::of(self.demo.folder(), service)
    }

    /// Sends `count` requests through both services, one after the other.
    ///
    /// # Errors
    ///
    /// With the first answer that is not the right one.
    pub async fn send(&self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            match get(&self.demo.something_url(), &[]).await? {
                (StatusCode::OK, text) if text == "Hello From Python App!" => {}
                other => return Err(format!("not the answer of api-python: {other:?}")),
            }
        }
        Ok(())
    }
}
