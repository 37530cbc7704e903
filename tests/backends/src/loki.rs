//! Loki, and what it holds.

use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::tunnel::{Asker, Tunnel};
use crate::{BackEnd, free_port};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docker/loki/loki.yaml");
/// How far back it is asked.
const PAST: Duration = Duration::from_secs(3600);
const MOST_ENTRIES: &str = "1000000";

/// A Loki that runs alone.
#[derive(Debug)]
pub struct Loki {
    back_end: BackEnd,
    url: String,
    address: String,
    _tunnel: Option<Tunnel>,
    http: Client,
    _folder: TempDir,
}

/// One line that it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The labels of its stream.
    pub labels: BTreeMap<String, String>,
    /// Nanoseconds since 1970.
    pub nanos: String,
    /// The line.
    pub line: String,
}

impl Loki {
    /// Starts one that takes what it gets, and knows tenants.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, with flags of its own.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start_with(flags: &[&str]) -> io::Result<Self> {
        Self::start_asked(flags, None).await
    }

    /// The same, with flags that make it listen by TLS, asked as they demand.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start_secured(flags: &[&str], asker: Asker<'_>) -> io::Result<Self> {
        Self::start_asked(flags, Some(asker)).await
    }

    async fn start_asked(flags: &[&str], asker: Option<Asker<'_>>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (http_port, grpc_port) = (free_port()?, free_port()?);
        let address = format!("127.0.0.1:{http_port}");
        let (url, tunnel) = Tunnel::to(http_port, asker).await?;
        let mut args = vec![format!("-config.file={CONFIG}"), "-config.expand-env=true".to_owned()];
        args.push(format!("-validation.max-entries-limit={MOST_ENTRIES}"));
        args.extend(flags.iter().map(|&flag| flag.to_owned()));
        let vars = vec![
            ("LOKI_FOLDER", folder.path().display().to_string()),
            ("LOKI_HTTP_ADDRESS", "127.0.0.1".to_owned()),
            ("LOKI_HTTP_PORT", http_port.to_string()),
            ("LOKI_GRPC_PORT", grpc_port.to_string()),
        ];
        let program = BackEnd::built("loki")?;
        let ready = format!("{url}/ready");
        let mut back_end = BackEnd::new("loki", program, folder.path(), args, vars, ready);
        back_end.start().await?;
        let http = Client::builder().no_proxy().build().map_err(io::Error::other)?;
        Ok(Self { back_end, url, address, _tunnel: tunnel, http, _folder: folder })
    }

    /// Where it is asked; without TLS, where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Host and port on which it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What `tenant` has that `query` finds, oldest first.
    ///
    /// # Errors
    /// It does not answer, or not so.
    pub async fn entries(&self, tenant: &str, query: &str) -> Result<Vec<Entry>, String> {
        let now = SystemTime::now();
        let nanos = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
        };
        let (start, end) = (nanos(now - PAST), nanos(now + Duration::from_secs(60)));
        let parameters = [
            ("query", query),
            ("start", &start),
            ("end", &end),
            ("limit", MOST_ENTRIES),
            ("direction", "forward"),
        ];
        let answer = self.ask("query_range", tenant, &parameters).await?;
        let streams = answer["data"]["result"].as_array().ok_or("no streams")?;
        let mut entries: Vec<Entry> = streams.iter().flat_map(entries_of).collect();
        entries.sort_by(|one, other| (&one.nanos, &one.labels).cmp(&(&other.nanos, &other.labels)));
        Ok(entries)
    }

    /// How many lines `query` finds of the last hour.
    ///
    /// # Errors
    /// It does not answer, or not so.
    pub async fn count(&self, query: &str) -> Result<u64, String> {
        let query = format!("sum(count_over_time({query}[1h]))");
        let answer = self.ask("query", "fake", &[("query", &query)]).await?;
        // Without a line there is no sum.
        let count = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0");
        count.parse().map_err(|_| answer.to_string())
    }

    async fn ask(
        &self,
        what: &str,
        tenant: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Value, String> {
        let address = format!("{}/loki/api/v1/{what}", self.url);
        let address = reqwest::Url::parse_with_params(&address, parameters)
            .map_err(|error| error.to_string())?;
        let asked = async {
            let answer = self.http.get(address).header("X-Scope-OrgID", tenant).send().await?;
            Ok((answer.status(), answer.text().await?))
        };
        match asked.await.map_err(|error: reqwest::Error| format!("{error:?}"))? {
            (StatusCode::OK, text) => {
                serde_json::from_str(&text).map_err(|error| error.to_string())
            }
            (status, text) => Err(format!("{status}: {text}")),
        }
    }
}

fn entries_of(stream: &Value) -> impl Iterator<Item = Entry> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let labels: BTreeMap<_, _> = stream["stream"]
        .as_object()
        .map(|labels| labels.iter().map(|(name, value)| (name.clone(), text(value))).collect())
        .unwrap_or_default();
    stream["values"].as_array().into_iter().flatten().map(move |entry| Entry {
        labels: labels.clone(),
        nanos: text(&entry[0]),
        line: text(&entry[1]),
    })
}

impl Deref for Loki {
    type Target = BackEnd;
    fn deref(&self) -> &BackEnd {
        &self.back_end
    }
}

impl DerefMut for Loki {
    fn deref_mut(&mut self) -> &mut BackEnd {
        &mut self.back_end
    }
}
