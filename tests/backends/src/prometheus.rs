//! Prometheus, what it scrapes and what it holds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};
use spanline_tests::get;
use tempfile::TempDir;

use crate::tunnel::{Asker, Tunnel};
use crate::{BackEnd, free_port};

const CONFIG: &str = include_str!("../config/prometheus.yaml");

/// A Prometheus that runs alone.
#[derive(Debug)]
pub struct Prometheus {
    back_end: BackEnd,
    url: String,
    address: String,
    _tunnel: Option<Tunnel>,
    folder: TempDir,
}

/// A series and its newest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels, with `__name__`.
    pub labels: BTreeMap<String, String>,
    /// The value, as Prometheus writes it.
    pub value: String,
}

impl Prometheus {
    /// Starts one that scrapes nobody yet and takes OTLP.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start() -> io::Result<Self> {
        Self::start_with("", "", None).await
    }

    /// The same behind a web configuration, asked as that demands, with further scrape jobs; both files as YAML.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start_secured(web: &str, jobs: &str, asker: Asker<'_>) -> io::Result<Self> {
        Self::start_with(web, jobs, Some(asker)).await
    }

    async fn start_with(web: &str, jobs: &str, asker: Option<Asker<'_>>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let (url, tunnel) = Tunnel::to(port, asker).await?;
        let config = folder.path().join("prometheus.yaml");
        fs::write(&config, CONFIG)?;
        fs::create_dir(folder.path().join("targets"))?;
        fs::write(folder.path().join("jobs.yaml"), jobs)?;
        let web_config = folder.path().join("web.yaml");
        fs::write(&web_config, web)?;
        let args = vec![
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
            format!("--web.config.file={}", web_config.display()),
            "--web.enable-otlp-receiver".to_owned(),
            "--enable-feature=exemplar-storage".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        let program = BackEnd::built("prometheus")?;
        let ready = format!("{url}/-/ready");
        let mut back_end =
            BackEnd::new("prometheus", program, folder.path(), args, Vec::new(), ready);
        back_end.start().await?;
        Ok(Self { back_end, url, address, _tunnel: tunnel, folder })
    }

    /// Where it is asked; without TLS, where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port on which it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Scrapes `address` from now on, and gives what it finds there `labels`.
    ///
    /// # Errors
    /// The target cannot be written.
    pub fn scrape(&self, address: &str, labels: &[(&str, &str)]) -> io::Result<()> {
        let targets = self.folder.path().join("targets");
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let text = json!([{ "targets": [address], "labels": labels }]).to_string();
        // Renamed, so that it is never seen half-written.
        let number = fs::read_dir(&targets)?.count();
        fs::write(targets.join("next"), text)?;
        fs::rename(targets.join("next"), targets.join(format!("{number}.json")))
    }

    /// What `query` finds now.
    ///
    /// # Errors
    /// It does not answer, or not so.
    pub async fn query(&self, query: &str) -> Result<Vec<Series>, String> {
        let answer = self.ask("query", &[("query", query)]).await?;
        let found = answer["data"]["result"].as_array().ok_or_else(|| answer.to_string())?;
        let series = |found: &Value| {
            let labels = found["metric"].as_object()?.iter();
            let labels =
                labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
            Some(Series {
                labels: labels.collect::<Option<_>>()?,
                value: found["value"][1].as_str()?.to_owned(),
            })
        };
        found.iter().map(|found| series(found).ok_or_else(|| found.to_string())).collect()
    }

    /// The ids of the traces that are examples of `query`.
    ///
    /// # Errors
    /// It does not answer, or not so.
    pub async fn exemplars(&self, query: &str) -> Result<Vec<String>, String> {
        let parameters = [("query", query), ("start", "0"), ("end", "9999999999")];
        let answer = self.ask("query_exemplars", &parameters).await?;
        let series = answer["data"].as_array().ok_or_else(|| answer.to_string())?;
        let exemplars = series.iter().filter_map(|series| series["exemplars"].as_array()).flatten();
        let id = |exemplar: &Value| Some(exemplar["labels"]["trace_id"].as_str()?.to_owned());
        Ok(exemplars.filter_map(id).collect())
    }

    async fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let (_, text) = get(&format!("{}/api/v1/{what}", self.url), parameters).await?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }
}

impl Deref for Prometheus {
    type Target = BackEnd;
    fn deref(&self) -> &BackEnd {
        &self.back_end
    }
}

impl DerefMut for Prometheus {
    fn deref_mut(&mut self) -> &mut BackEnd {
        &mut self.back_end
    }
}
