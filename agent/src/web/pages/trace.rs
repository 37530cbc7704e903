//! One trace: its spans as a waterfall, its lines at their times.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;

use super::assets::{ICON, STYLE};
use super::colours::Colours;
use super::own_time::Logged;
use super::scale::{Scale, Tick};
use super::search::Search;
use super::span::{Mark, Source, SpanRow, attribute_texts, has_failed};
use super::text::{Room, shown};
use super::time::{Moment, duration_text, offset_text};
use super::tree::places;
use super::{Notice, render, unreadable};
use crate::record::{TraceId, find_text};
use crate::store::{Direction, Line, LineQuery, ReadError, Store, Trace};

/// Rows of the waterfall; a browser handles more, a reader does not.
const MAX_ROWS: usize = 1_000;

/// Lines beneath the waterfall; all of them are a link away.
const MAX_LINES: usize = 500;

/// A mark's title is the beginning of its line; the whole is in the table.
const MARK_CHARS: usize = 160;

/// Senders whose attributes are listed.
const MAX_SENDERS: usize = 50;

#[derive(Template)]
#[template(path = "trace.html")]
struct TracePage {
    id: TraceId,
    title: String,
    start: Moment,
    duration: String,
    services: Vec<String>,
    colours: Colours,
    senders: Vec<Sender>,
    span_count: usize,
    error_count: usize,
    is_truncated: bool,
    ticks: [Tick; 3],
    spans: Vec<SpanRow>,
    lines: Vec<LineRow>,
    has_more_lines: bool,
    all_lines_url: String,
}

/// Who sent spans: a process of a service.
struct Sender {
    service: usize,
    attributes: Vec<(String, String)>,
}

struct LineRow {
    unix_nano: i64,
    offset: String,
    exact_time: String,
    level: &'static str,
    service: String,
    /// The id and name of its span, when that is here.
    span: Option<(String, String)>,
    text: String,
}

/// Serves `/trace/{id}`.
pub(super) async fn page(State(store): State<Store>, Path(id): Path<String>) -> Response {
    let Some(id) = TraceId::from_hex(id.as_bytes()) else {
        let text = "A trace id has 32 hex digits and is not zero.";
        return not_found("This is no trace id", text, ("/", "Newest lines"));
    };
    match answer(&store, id).await {
        Ok(Some(page)) => render(StatusCode::OK, &page),
        Ok(None) => {
            let title = format!("No trace {id} yet");
            let text = "Spans arrive about a second after their request has ended: load this page \
                        again. A trace that stays away was not sampled, or retention has deleted \
                        it. Its log lines may be here all the same.";
            not_found(&title, text, (&lines_url(id), "All lines of this trace"))
        }
        Err(error) => unreadable(&error),
    }
}

fn not_found(title: &str, text: &str, onward: (&str, &str)) -> Response {
    render(StatusCode::NOT_FOUND, &Notice { title, text, onward })
}

async fn answer(store: &Store, id: TraceId) -> Result<Option<TracePage>, ReadError> {
    let Some(trace) = store.trace(id).await? else { return Ok(None) };
    let query = LineQuery {
        trace_id: Some(id),
        limit: MAX_LINES + 1,
        direction: Direction::Forward,
        ..LineQuery::default()
    };
    let lines = store.lines(query).await?;
    let mut services = Vec::new();
    for sender in &trace.spans.resource_spans {
        index_of(&mut services, service_of(sender));
    }
    let colours = Colours::of(store, &services).await?;
    Ok(Some(TracePage::new(id, &trace, lines, services, colours)))
}

fn lines_url(id: TraceId) -> String {
    Search { trace_id: id.to_string(), ..Search::default() }.newest_url()
}

impl TracePage {
    fn new(
        id: TraceId,
        trace: &Trace,
        mut lines: Vec<Line>,
        mut services: Vec<String>,
        colours: Colours,
    ) -> Self {
        let mut sources = Vec::with_capacity(trace.spans.span_count());
        let mut senders = Vec::new();
        let mut room = Room::new();
        for sender in &trace.spans.resource_spans {
            let service = index_of(&mut services, service_of(sender));
            let spans = sender.scope_spans.iter().flat_map(|scope| &scope.spans);
            sources.extend(spans.map(|span| Source { span, service }));
            if let Some(resource) = sender.resource.as_ref().filter(|_| senders.len() < MAX_SENDERS)
            {
                let attributes = attribute_texts(&resource.attributes, &mut room);
                senders.push(Sender { service, attributes });
            }
        }
        let all: Vec<_> = sources.iter().map(|source| source.span).collect();
        let scale = Scale::over(
            all.iter().map(|span| (span.start_time_unix_nano, span.end_time_unix_nano)),
        );
        let places = places(&all);
        let mut spans: Vec<_> = places
            .iter()
            .take(MAX_ROWS)
            .map(|place| SpanRow::new(sources[place.index], place, &scale, &mut room))
            .collect();
        let has_more_lines = lines.len() > MAX_LINES;
        lines.truncate(MAX_LINES);
        let start = i64::try_from(scale.start_unix_nano()).unwrap_or(i64::MAX);
        Self {
            id,
            title: spans.first().map(|span| span.name.clone()).unwrap_or_default(),
            start: Moment::from_unix_nano(start),
            duration: duration_text(scale.nanos()),
            lines: place_lines(&lines, &mut spans, &scale),
            services,
            colours,
            senders,
            span_count: all.len(),
            error_count: all.iter().filter(|span| has_failed(span)).count(),
            is_truncated: trace.truncated || all.len() > MAX_ROWS || room.was_refused(),
            ticks: scale.ticks(),
            spans,
            has_more_lines,
            all_lines_url: lines_url(id),
        }
    }
}

/// The lines' rows, in the order in which they were logged; each line that belongs to a shown span leaves a mark on it.
fn place_lines(lines: &[Line], spans: &mut [SpanRow], scale: &Scale) -> Vec<LineRow> {
    // Backwards, so that of an id that comes twice the first row counts: a link leads there, too.
    let by_id: HashMap<String, usize> =
        spans.iter().enumerate().rev().map(|(index, span)| (span.id.clone(), index)).collect();
    let mut rows = Vec::with_capacity(lines.len());
    for line in lines {
        let span = line.span_id.and_then(|id| by_id.get(&id.to_string()).copied());
        let logged = Logged::of(&line.body, line.key.time_unix_nano);
        let unix_nano = span.map_or(logged.last, |index| logged.within(spans[index].unix_nanos));
        let time = u64::try_from(unix_nano).unwrap_or(0);
        let offset = offset_text(scale.offset(time));
        let text = shown(&line.body);
        if let Some(index) = span {
            let text: String = text.chars().take(MARK_CHARS).collect();
            let title = format!("{offset} {}: {text}", line.level());
            spans[index].marks.push(Mark { x: scale.x(time), level: line.level(), title });
        }
        rows.push(LineRow {
            unix_nano,
            offset,
            exact_time: Moment::from_unix_nano(unix_nano).exact,
            level: line.level(),
            service: line.labels.get("service_name").cloned().unwrap_or_default(),
            span: span.map(|index| (spans[index].id.clone(), spans[index].name.clone())),
            text,
        });
    }
    // Of two at the same time the one that was written first stays first.
    rows.sort_by_key(|row| row.unix_nano);
    rows
}

fn service_of(sender: &ResourceSpans) -> &str {
    let attributes = sender.resource.as_ref().map(|resource| resource.attributes.as_slice());
    attributes
        .and_then(|attributes| find_text(attributes, "service.name"))
        .unwrap_or("unknown_service")
}

/// The place of `name` among `names`, where it is added when it is new.
fn index_of(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}
