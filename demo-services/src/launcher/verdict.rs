//! Whether a trace and its lines found each other, as anyone can ask the agent.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::error::LaunchError;

/// How long the trace and its lines have to arrive.
pub const VERDICT_TIMEOUT: Duration = Duration::from_secs(15);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const SERVICES: [&str; 2] = ["api-node", "api-python"];

/// A trace that holds server spans of both services, and that lines of both name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The trace.
    pub trace_id: String,
    /// How many spans it has.
    pub spans: usize,
    /// How many lines carry its id and the id of one of its spans.
    pub lines: usize,
}

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "trace {} has server spans of both services ({} spans in all), and {} log lines of both lead \
             to it",
            self.trace_id, self.spans, self.lines
        )
    }
}

/// Asks the agent's read API at `web` until everything is there.
pub(super) async fn reach(
    http: reqwest::Client,
    web: String,
    trace_id: String,
) -> Result<Traced, LaunchError> {
    let deadline = Instant::now() + VERDICT_TIMEOUT;
    loop {
        match look(&http, &web, &trace_id).await {
            Ok(traced) => return Ok(traced),
            Err(missing) if Instant::now() >= deadline => {
                let waited = VERDICT_TIMEOUT.as_secs();
                return Err(LaunchError::Verdict(format!(
                    "trace {trace_id} is not whole after {waited} s: {missing}"
                )));
            }
            Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
}

/// One look; the error says what is missing.
async fn look(http: &reqwest::Client, web: &str, trace_id: &str) -> Result<Traced, String> {
    let trace = get(http, &format!("{web}/api/traces/{trace_id}"), &[]).await?;
    let spans = Spans::of(&trace);
    for service in SERVICES {
        if !spans.servers.contains(service) {
            return Err(format!("it has no server span of {service}"));
        }
    }

    let mut lines = 0;
    for service in SERVICES {
        let query = format!("{{container=\"{service}\"}} |= \"{trace_id}\"");
        let found =
            get(http, &format!("{web}/loki/api/v1/query_range"), &[("query", &query)]).await?;
        let of_service = lines_of(&found, trace_id, &spans.ids);
        if of_service == 0 {
            return Err(format!(
                "no line of {service} carries its id and that of one of its spans"
            ));
        }
        lines += of_service;
    }
    Ok(Traced { trace_id: trace_id.to_owned(), spans: spans.ids.len(), lines })
}

async fn get(http: &reqwest::Client, url: &str, query: &[(&str, &str)]) -> Result<Value, String> {
    let url = reqwest::Url::parse_with_params(url, query).map_err(|error| error.to_string())?;
    let ask = async {
        let answer = http.get(url.clone()).timeout(ASK_TIMEOUT).send().await?;
        Ok((answer.status(), answer.text().await?))
    };
    let (status, text) = ask.await.map_err(|error: reqwest::Error| error.to_string())?;
    if !status.is_success() {
        return Err(format!("{} answered {status}: {}", url.path(), text.trim_end()));
    }
    serde_json::from_str(&text).map_err(|error| format!("{} answered no JSON: {error}", url.path()))
}

/// What the verdict needs of a trace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spans {
    ids: BTreeSet<String>,
    /// The services that have a server span in it.
    servers: BTreeSet<String>,
}

impl Spans {
    /// Reads Tempo's JSON, in which ids are base64.
    fn of(trace: &Value) -> Self {
        let mut spans = Self::default();
        for batch in items(&trace["batches"]) {
            let attributes = items(&batch["resource"]["attributes"]);
            let service = attributes
                .filter(|attribute| attribute["key"] == "service.name")
                .find_map(|attribute| attribute["value"]["stringValue"].as_str());
            for span in items(&batch["scopeSpans"]).flat_map(|scope| items(&scope["spans"])) {
                let id = span["spanId"].as_str().and_then(|id| BASE64_STANDARD.decode(id).ok());
                spans
                    .ids
                    .extend(id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()));
                if span["kind"] == "SPAN_KIND_SERVER" {
                    spans.servers.extend(service.map(str::to_owned));
                }
            }
        }
        spans
    }
}

/// How many lines of Loki's answer carry `trace_id` and one of `span_ids`, as the agent found them.
fn lines_of(found: &Value, trace_id: &str, span_ids: &BTreeSet<String>) -> usize {
    items(&found["data"]["result"])
        .filter(|stream| stream["stream"]["trace_id"] == trace_id)
        .filter(|stream| {
            stream["stream"]["span_id"].as_str().is_some_and(|id| span_ids.contains(id))
        })
        .map(|stream| items(&stream["values"]).count())
        .sum()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn batch(service: &str, kind: &str, span_id: &str) -> Value {
        json!({
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": service}}
            ]},
            "scopeSpans": [{"spans": [{"spanId": span_id, "kind": kind}]}]
        })
    }

    #[test]
    fn spans_are_read_from_tempos_json() {
        let spans = Spans::of(&json!({"batches": [
            batch("api-node", "SPAN_KIND_SERVER", "APBnqgupArc="),
            batch("api-python", "SPAN_KIND_CLIENT", "AAAAAAAAAAE="),
        ]}));
        assert_eq!(spans.ids, ["0000000000000001", "00f067aa0ba902b7"].map(str::to_owned).into());
        assert_eq!(spans.servers, ["api-node".to_owned()].into());
        assert_eq!(Spans::of(&json!({"batches": null})), Spans::default());
    }

    #[test]
    fn only_lines_with_the_traces_id_and_a_spans_id_count() {
        let stream = |trace_id: &str, span_id: &str| {
            json!({
                "stream": {"trace_id": trace_id, "span_id": span_id},
                "values": [["1", "a line"], ["2", "another"]]
            })
        };
        let spans = ["5".to_owned()].into();
        let count =
            |streams: &[Value]| lines_of(&json!({"data": {"result": streams}}), "7", &spans);
        assert_eq!(count(&[stream("7", "5")]), 2);
        assert_eq!(count(&[stream("7", "6"), stream("8", "5")]), 0);
        assert_eq!(count(&[]), 0);
    }
}
