//! The `loki` exporter: log records as lines, to Loki's push API.
//!
//! - **One push has one stream.** Loki's ingester tells of what it refuses in the last stream of a push only, and takes the
//!   other refusals with it into the grave (3.7: `instance.Push`). What is refused is to be counted.
//! - **Lines of a stream go in their order**, deliveries that wait are joined: Loki refuses what is older than the newest
//!   line of its stream by an hour.
//! - **What Loki refuses is dropped and counted** by its own reason; the rest of the push has arrived. What it may take
//!   later (429, 5xx, and 401 or 403, until the credentials are right) is tried again, and only that.

mod line;
mod logfmt;
mod push;
mod refusal;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode, Uri};

use self::push::{PushRequest, PushedEntry, PushedStream, Timestamp};
use self::streams::{Entry, Stream, Streams, streams};
use super::http::{HttpClient, Reply};
use super::{Answer, ExportError, Exporter, Exporting, Rest};
use crate::auth::Credentials;
use crate::config::{DefaultLabels, Loki as Settings};
use crate::record::{Batch, LogBatch};
use crate::reload::Unusable;

/// Bytes of lines in one push. Loki's parts send each other 4 MiB at most.
const MAX_PUSH_BYTES: usize = 1024 * 1024;
/// What waits is joined until it is so large.
const GATHER_BYTES: usize = 1024 * 1024;
/// Streams of one delivery that are pushed at a time.
const MAX_PUSHES: usize = 8;
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");
/// What Loki answers, unless it is told otherwise, when a tenant is blocked: a success by its number.
const BLOCKED: u16 = 260;

/// The exporter.
#[derive(Debug)]
pub struct Loki {
    client: HttpClient,
    endpoint: Uri,
    default_labels: DefaultLabels,
}

impl Loki {
    /// An exporter that connects when there is something to send.
    ///
    /// # Errors
    /// A certificate or key that cannot be used.
    pub fn new(
        settings: &Settings,
        credentials: Option<Arc<Credentials>>,
    ) -> Result<Self, Unusable> {
        let client = HttpClient::new(&settings.client, credentials)?;
        let (endpoint, default_labels) = (settings.endpoint.clone(), settings.default_labels);
        Ok(Self { client, endpoint, default_labels })
    }

    async fn deliver(&self, batches: &[LogBatch]) -> Answer {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let Streams { streams, unknown_format } = streams(batches, self.default_labels, now);
        // Once it is not there for one stream it is not asked for the others.
        let is_away = AtomicBool::new(false);
        let pushes = streams.into_iter().map(|stream| self.push_stream(stream, &is_away));
        let pushed: Vec<Pushed> = stream::iter(pushes).buffer_unordered(MAX_PUSHES).collect().await;

        let mut answer = Answer::default();
        if unknown_format > 0 {
            answer.refused.push(("unknown_format", unknown_format));
        }
        let (mut left, mut error) = (Vec::new(), None);
        for pushed in pushed {
            answer.refused.extend(pushed.refused);
            if !pushed.told.is_empty() {
                answer.told = pushed.told;
            }
            left.extend(pushed.left);
            error = error.or(pushed.error);
        }
        if let Some(error) = error {
            let batch = Arc::new(Batch::Logs(only(batches, left)));
            answer.rest = Some(Rest { batch, error });
        }
        answer
    }

    /// Pushes the lines of a stream, one push after the other.
    async fn push_stream(&self, stream: Stream, is_away: &AtomicBool) -> Pushed {
        let mut pushed = Pushed::default();
        let mut waiting = parts(&stream.entries);
        while let Some(part) = waiting.pop() {
            let told = match is_away.load(Ordering::Relaxed) {
                true => Told::NotAsked,
                false => self.push(&stream, part).await,
            };
            match told {
                Told::Taken => {}
                Told::Refused(refused, told) => {
                    pushed.refused.extend(refused);
                    pushed.told = told;
                }
                Told::TooLarge if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    waiting.extend([second, first]);
                }
                Told::TooLarge => pushed.refused.push(("too_large", 1)),
                // Those that come after it wait as well, so that the order stays.
                Told::Later(_) | Told::NotAsked => {
                    let left = std::iter::once(part).chain(waiting.drain(..)).flatten();
                    pushed.left.extend(left.map(|entry| entry.from));
                    if let Told::Later(error) = told {
                        is_away.fetch_or(!is_of_stream(&error), Ordering::Relaxed);
                        pushed.error = Some(error);
                    }
                }
            }
        }
        pushed
    }

    async fn push(&self, stream: &Stream, entries: &[Entry]) -> Told {
        let entry = |entry: &Entry| PushedEntry {
            timestamp: Some(Timestamp::from_unix_nanos(entry.time_unix_nano)),
            line: entry.line.clone(),
        };
        let entries = entries.iter().map(entry).collect::<Vec<_>>();
        let lines = entries.len() as u64;
        let pushed = PushedStream { labels: stream.labels.clone(), entries };
        let Ok(body) = push::body(&PushRequest { streams: vec![pushed] }) else {
            return Told::TooLarge;
        };
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, PROTOBUF)]);
        if let Some(tenant) = &stream.tenant {
            // What no header can hold is no tenant that Loki could have.
            let Ok(tenant) = HeaderValue::try_from(tenant) else {
                let told = "the tenant has a character that cannot be sent".to_owned();
                return Told::Refused(vec![("invalid_tenant", lines)], told);
            };
            headers.insert(TENANT, tenant);
        }
        match self.client.post(&self.endpoint, headers, Bytes::from(body)).await {
            Ok(reply) => self.told(&reply, lines),
            Err(error) => Told::Later(error),
        }
    }

    /// What Loki's answer to a push of so many lines means.
    fn told(&self, reply: &Reply, lines: u64) -> Told {
        let text = String::from_utf8_lossy(&reply.body);
        let refused = |refused| Told::Refused(refused, reply.why(&self.endpoint));
        match reply.status {
            status if status.as_u16() == BLOCKED => refused(vec![("blocked_ingestion", lines)]),
            status if status.is_success() => Told::Taken,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Told::Later(reply.denied(&self.endpoint))
            }
            StatusCode::PAYLOAD_TOO_LARGE => Told::TooLarge,
            // Other streams go on, and this one would wait for as long as they do.
            StatusCode::TOO_MANY_REQUESTS if refusal::is_stream_limit(&text) => {
                refused(vec![("stream_limit", lines)])
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Told::Later(reply.later(&self.endpoint))
            }
            status if status.is_server_error() => Told::Later(reply.later(&self.endpoint)),
            _ => refused(refusal::refused(&text, lines)),
        }
    }
}

/// How a push was answered.
enum Told {
    Taken,
    /// So many lines will never be taken, and the others were.
    Refused(Vec<(&'static str, u64)>, String),
    TooLarge,
    Later(ExportError),
    /// Another stream found that Loki is not there.
    NotAsked,
}

/// What became of the lines of a stream.
#[derive(Default)]
struct Pushed {
    refused: Vec<(&'static str, u64)>,
    told: String,
    /// The records to be tried again.
    left: Vec<(usize, usize)>,
    error: Option<ExportError>,
}

impl Exporter for Loki {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        Box::pin(async move {
            match &*batch {
                Batch::Logs(batches) => Ok(self.deliver(batches).await),
                _ => Ok(Answer::default()),
            }
        })
    }

    fn gather_bytes(&self) -> usize {
        GATHER_BYTES
    }
}

/// What an answer says of refused lines, if it is Loki's: its `/otlp` gives the same reasons.
pub(super) fn refused_lines(answer: &[u8], lines: u64) -> Option<Vec<(&'static str, u64)>> {
    refusal::known(&String::from_utf8_lossy(answer), lines)
}

/// Whether the failure is that of one stream, so that others may still be taken.
fn is_of_stream(error: &ExportError) -> bool {
    match error {
        ExportError::Unreachable(why) | ExportError::Busy { why, .. } => {
            why.contains("Per stream rate limit exceeded")
        }
        _ => false,
    }
}

/// Entries in parts that are small enough for a push, the last one first; a part has at least one.
fn parts(entries: &[Entry]) -> Vec<&[Entry]> {
    let (mut parts, mut rest) = (Vec::new(), entries);
    while !rest.is_empty() {
        let mut size_bytes = 0;
        let fits = |entry: &&Entry| {
            size_bytes += entry.line.len();
            size_bytes <= MAX_PUSH_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (part, after) = rest.split_at(count);
        parts.push(part);
        rest = after;
    }
    parts.reverse();
    parts
}

/// These records, given by the numbers of their batches and their numbers in them, and no others.
fn only(batches: &[LogBatch], mut records: Vec<(usize, usize)>) -> Vec<LogBatch> {
    records.sort_unstable();
    let of_batch = |part: &[(usize, usize)]| {
        let batch = batches.get(part.first()?.0)?;
        let records = part.iter().filter_map(|(_, at)| batch.records.get(*at).cloned()).collect();
        let (resource, scope) = (Arc::clone(&batch.resource), batch.scope.clone());
        Some(LogBatch { resource, scope, records })
    };
    records.chunk_by(|one, two| one.0 == two.0).filter_map(of_batch).collect()
}

#[cfg(test)]
mod tests;
