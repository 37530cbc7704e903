//! Tempo, and the traces that it holds.

use std::collections::BTreeSet;
use std::io;
use std::ops::{Deref, DerefMut};

use reqwest::StatusCode;
use serde_json::Value;
use spanline_tests::get;
use tempfile::TempDir;

use crate::{BackEnd, free_port};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/tempo.yaml");

/// A Tempo that runs alone.
#[derive(Debug)]
pub struct Tempo {
    back_end: BackEnd,
    url: String,
    otlp_grpc: String,
    _folder: TempDir,
}

impl Tempo {
    /// Starts one.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start() -> io::Result<Self> {
        // Empty, it is no setting.
        Self::start_secured("").await
    }

    /// The same, whose gRPC receiver has these settings as its `tls`.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn start_secured(tls: &str) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (http_port, otlp_grpc_port) = (free_port()?, free_port()?);
        let url = format!("http://127.0.0.1:{http_port}");
        let args = vec![format!("-config.file={CONFIG}"), "-config.expand-env=true".to_owned()];
        let vars = vec![
            ("TEMPO_FOLDER", folder.path().display().to_string()),
            ("TEMPO_HTTP_PORT", http_port.to_string()),
            ("TEMPO_GRPC_PORT", free_port()?.to_string()),
            ("TEMPO_OTLP_GRPC_PORT", otlp_grpc_port.to_string()),
            ("TEMPO_OTLP_GRPC_TLS", tls.to_owned()),
            ("TEMPO_OTLP_HTTP_PORT", free_port()?.to_string()),
            ("TEMPO_MEMBERLIST_PORT", free_port()?.to_string()),
        ];
        let program = BackEnd::built("tempo")?;
        let ready = format!("{url}/ready");
        let mut back_end = BackEnd::new("tempo", program, folder.path(), args, vars, ready);
        back_end.start().await?;
        let otlp_grpc = format!("127.0.0.1:{otlp_grpc_port}");
        Ok(Self { back_end, url, otlp_grpc, _folder: folder })
    }

    /// Host and port on which it takes spans.
    pub fn otlp_grpc(&self) -> &str {
        &self.otlp_grpc
    }

    /// Who has spans in the trace, by the names of services.
    ///
    /// # Errors
    /// It does not have the trace.
    pub async fn services(&self, trace_id: &str) -> Result<BTreeSet<String>, String> {
        let batches = self.batches(trace_id).await?;
        let attributes =
            batches.iter().filter_map(|batch| batch["resource"]["attributes"].as_array());
        let name = attributes.flatten().filter(|attribute| attribute["key"] == "service.name");
        Ok(name
            .filter_map(|name| Some(name["value"]["stringValue"].as_str()?.to_owned()))
            .collect())
    }

    async fn batches(&self, trace_id: &str) -> Result<Vec<Value>, String> {
        match get(&format!("{}/api/traces/{trace_id}", self.url), &[]).await? {
            (StatusCode::OK, text) => {
                let trace: Value =
                    serde_json::from_str(&text).map_err(|error| error.to_string())?;
                trace["batches"].as_array().cloned().ok_or(text)
            }
            (status, text) => Err(format!("{status}: {text}")),
        }
    }

    /// How many spans it has taken since it was started.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn spans_received(&self) -> Result<u64, String> {
        let (_, text) = get(&format!("{}/metrics", self.url), &[]).await?;
        let lines =
            text.lines().filter(|line| line.starts_with("tempo_distributor_spans_received_total"));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
            as u64)
    }
}

impl Deref for Tempo {
    type Target = BackEnd;
    fn deref(&self) -> &BackEnd {
        &self.back_end
    }
}

impl DerefMut for Tempo {
    fn deref_mut(&mut self) -> &mut BackEnd {
        &mut self.back_end
    }
}
