//! One request through both services, and the lines that they wrote for it.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::children::Written;
use super::error::LaunchError;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A line is written beside the request, so it may come after the answer.
const LINES_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// What came back, and the lines as the services wrote them.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What api-node answered.
    pub text: String,
    /// How long that took.
    pub took: Duration,
    /// The trace that both services' lines name.
    pub trace_id: String,
    /// Each line with the name of the service that wrote it.
    pub lines: Vec<(&'static str, String)>,
}

/// The ids that a line carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineIds {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
}

impl LineIds {
    /// Reads the bracket that the formats `winston` and `python` write.
    pub fn of(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("[trace_id=")?;
        let (trace_id, rest) = rest.split_once(" span_id=")?;
        let span_id = rest.split([' ', ']']).next()?;
        let is_id =
            |id: &str, digits| id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit());
        (is_id(trace_id, 32) && is_id(span_id, 16))
            .then(|| Self { trace_id: trace_id.to_owned(), span_id: span_id.to_owned() })
    }
}

/// A client for this machine's own servers: a proxy would not find them.
pub(super) fn client() -> Result<reqwest::Client, LaunchError> {
    let client = reqwest::Client::builder().no_proxy().build();
    client.map_err(|cause| LaunchError::Runtime(io::Error::other(cause)))
}

/// Asks `url`, then waits until every service has written a line of the same trace.
pub(super) async fn send(
    http: reqwest::Client,
    url: String,
    services: [(&'static str, Written); 2],
) -> Result<Answer, LaunchError> {
    let failed = |cause: reqwest::Error| LaunchError::Request(format!("GET {url} failed: {cause}"));
    let began = Instant::now();
    let answer = http.get(&url).timeout(ANSWER_TIMEOUT).send().await.map_err(failed)?;
    let status = answer.status();
    let text = answer.text().await.map_err(failed)?;
    let took = began.elapsed();
    if !status.is_success() {
        let text = text.trim_end();
        return Err(LaunchError::Request(format!("GET {url} was answered {status}: {text}")));
    }

    let deadline = Instant::now() + LINES_TIMEOUT;
    loop {
        let lines: Vec<_> = services
            .iter()
            .flat_map(|(name, written)| written.recent().into_iter().map(|line| (*name, line)))
            .filter_map(|(name, line)| Some((name, LineIds::of(&line)?.trace_id, line)))
            .collect();
        // This is the only request so far, so the first trace that a line names is its.
        if let Some((_, trace_id, _)) = lines.first().cloned() {
            let ours = lines.into_iter().filter(|(_, id, _)| *id == trace_id);
            let lines: Vec<_> = ours.map(|(name, _, line)| (name, line)).collect();
            if services.iter().all(|(name, _)| lines.iter().any(|(of, _)| of == name)) {
                return Ok(Answer { text, took, trace_id, lines });
            }
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::Request(format!(
                "GET {url} was answered, but the services did not both write a line with the ids of \
                 one trace within {} s",
                LINES_TIMEOUT.as_secs()
            )));
        }
        sleep(POLL_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_the_bracket_of_both_formats() {
        let ids = Some(LineIds {
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            span_id: "00f067aa0ba902b7".to_owned(),
        });
        let winston =
            "[INFO] [trace_id=0af7651916cd43dd8448eb211c80319c span_id=00f067aa0ba902b7] a {}";
        let python = "2026-11-23 17:28:00,123 INFO [a] [a.rs:4] \
            [trace_id=0af7651916cd43dd8448eb211c80319c span_id=00f067aa0ba902b7 \
            resource.service.name=a trace_sampled=True] - a";
        assert_eq!(LineIds::of(winston), ids);
        assert_eq!(LineIds::of(python), ids);
    }

    #[test]
    fn a_line_outside_a_request_has_no_ids() {
        assert_eq!(LineIds::of("[INFO] listening {}"), None);
        assert_eq!(LineIds::of("INFO [a] [trace_id=0 span_id=0 trace_sampled=False] - a"), None);
    }
}
