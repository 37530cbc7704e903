//! The agent's read API, as `curl` or Grafana would ask it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::StatusCode;
use serde_json::Value;

use crate::get;

/// More lines than any test writes.
const LIMIT: &str = "5000";

/// The read API at one address.
#[derive(Debug, Clone)]
pub struct ReadApi {
    web: String,
}

/// A span of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// 16 hexadecimal digits.
    pub id: String,
    /// The parent's id; empty for a root.
    pub parent: String,
    /// The `service.name` of its resource.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its kind without `SPAN_KIND_`.
    pub kind: String,
    /// Whether its status says that it failed.
    pub failed: bool,
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its labels, and what the agent found in it.
    pub labels: BTreeMap<String, String>,
    /// The line as it was written.
    pub text: String,
}

impl ReadApi {
    /// The read API whose page is at `web`.
    pub fn at(web: String) -> Self {
        Self { web }
    }

    /// The spans of a trace; none when it is not known.
    ///
    /// # Errors
    ///
    /// When the answer is not what Tempo would answer.
    pub async fn trace(&self, trace_id: &str) -> Result<Vec<Span>, String> {
        let (status, text) = get(&format!("{}/api/traces/{trace_id}", self.web), &[]).await?;
        match status {
            StatusCode::OK => spans(&json(&text)?),
            StatusCode::NOT_FOUND => Ok(Vec::new()),
            _ => Err(format!("{status}: {text}")),
        }
    }

    /// The lines that a LogQL query finds.
    ///
    /// # Errors
    ///
    /// When the answer is not what Loki would answer.
    pub async fn lines(&self, query: &str) -> Result<Vec<Line>, String> {
        let url = format!("{}/loki/api/v1/query_range", self.web);
        let (status, text) = get(&url, &[("query", query), ("limit", LIMIT)]).await?;
        if status != StatusCode::OK {
            return Err(format!("{status}: {text}"));
        }
        let answer = json(&text)?;
        let mut lines = Vec::new();
        for stream in array(&answer["data"]["result"])? {
            let labels: BTreeMap<String, String> =
                serde_json::from_value(stream["stream"].clone()).map_err(|e| e.to_string())?;
            for value in array(&stream["values"])? {
                lines.push(Line { labels: labels.clone(), text: string(&value[1])? });
            }
        }
        Ok(lines)
    }

    /// The text of all lines of a container, sorted.
    ///
    /// # Errors
    ///
    /// As [`ReadApi::lines`].
    pub async fn sorted_texts(&self, container: &str) -> Result<Vec<String>, String> {
        let lines = self.lines(&format!("{{container=\"{container}\"}}")).await?;
        let mut texts: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        texts.sort();
        Ok(texts)
    }
}

fn spans(trace: &Value) -> Result<Vec<Span>, String> {
    let mut spans = Vec::new();
    for batch in array(&trace["batches"])? {
        let service = array(&batch["resource"]["attributes"])?
            .iter()
            .find(|attribute| attribute["key"] == "service.name")
            .ok_or_else(|| format!("a resource without service.name: {batch}"))?;
        for scope in array(&batch["scopeSpans"])? {
            for span in array(&scope["spans"])? {
                spans.push(Span {
                    id: hex(&span["spanId"])?,
                    parent: hex(&span["parentSpanId"])?,
                    service: string(&service["value"]["stringValue"])?,
                    name: string(&span["name"])?,
                    kind: string(&span["kind"])?.trim_start_matches("SPAN_KIND_").to_owned(),
                    failed: span["status"]["code"] == "STATUS_CODE_ERROR",
                });
            }
        }
    }
    Ok(spans)
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("not an array: {value}"))
}

fn string(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("not a string: {value}"))
}

/// An id, which Tempo writes in base64; absent is empty.
fn hex(value: &Value) -> Result<String, String> {
    let id = BASE64_STANDARD
        .decode(value.as_str().unwrap_or_default())
        .map_err(|error| format!("{error}: {value}"))?;
    Ok(id.iter().map(|byte| format!("{byte:02x}")).collect())
}
