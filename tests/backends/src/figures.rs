//! What the agent and the real Collector take for the same work, one after the other in one run: CPU time for each line and each
//! span, and the most memory.
//!
//! `tests/backends/run --figures` builds the demo's program for release and hands it over; this prints one markdown table.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use spanline_backends::{Kind, Loki, Relay, Tempo, configuration, free_port};
use spanline_tests::eventually;

const FILES: usize = 40;
const LINES_EACH: usize = 2_500;
/// An hour's lines at most, which is as far as Loki is asked.
const APART: Duration = Duration::from_millis(1_000);
const REQUESTS: usize = 200;
const SPANS_EACH: usize = 500;
const GENEROUS: [&str; 4] = [
    "-distributor.ingestion-rate-limit-mb=1000",
    "-distributor.ingestion-burst-size-mb=1000",
    "-ingester.per-stream-rate-limit=1GB",
    "-ingester.per-stream-rate-limit-burst=1GB",
];

fn main() -> ExitCode {
    let Some(program) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: tests/backends/run --figures");
        return ExitCode::from(64);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map(|runtime| runtime.block_on(measure(&program))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) | Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::from(70)
        }
    }
}

async fn measure(program: &Path) -> io::Result<()> {
    println!("| work | by | items | CPU for each | items for each CPU second | most memory |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for kind in [Kind::Agent(program), Kind::Collector] {
        lines(kind).await?;
    }
    for kind in [Kind::Agent(program), Kind::Collector] {
        spans(kind).await?;
    }
    Ok(())
}

/// Files to Loki, on the configuration of 2023.
async fn lines(kind: Kind<'_>) -> io::Result<()> {
    let pods = tempfile::tempdir()?;
    write_logs(pods.path())?;
    let loki = Loki::start_with(&GENEROUS).await?;
    let (grpc, http) = (free_port()?, free_port()?);
    let seed = configuration::seed(kind, pods.path(), loki.url(), "127.0.0.1:1", grpc, http);
    let relay = Relay::start(kind, &[seed]).await?;
    let expected = (FILES * LINES_EACH) as u64;
    eventually("Loki has every line", async || match loki.count("{exporter=\"OTLP\"}").await? {
        count if count == expected => Ok(()),
        count => Err(format!("{count} of {expected}")),
    })
    .await;
    row("lines of 250 B of 40 files to Loki, configuration of 2023", kind, &relay, expected)
}

/// OTLP over HTTP to Tempo's gRPC.
async fn spans(kind: Kind<'_>) -> io::Result<()> {
    let pods = tempfile::tempdir()?;
    let tempo = Tempo::start().await?;
    let (grpc, http) = (free_port()?, free_port()?);
    let nowhere = "http://127.0.0.1:1";
    let seed = configuration::seed(kind, pods.path(), nowhere, tempo.otlp_grpc(), grpc, http);
    let relay = Relay::start(kind, &[seed]).await?;
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    let url = format!("http://127.0.0.1:{http}/v1/traces");
    for number in 0..REQUESTS {
        let body = request_of(number);
        // Who is told to come back does.
        eventually("the spans are taken", async || {
            let request = client.post(&url).header("content-type", "application/x-protobuf");
            let answer = request.body(body.clone()).send().await.map_err(|e| e.to_string())?;
            if answer.status().is_success() {
                Ok(())
            } else {
                answer.text().await.map_or_else(|e| Err(e.to_string()), Err)
            }
        })
        .await;
    }
    let expected = (REQUESTS * SPANS_EACH) as u64;
    eventually("Tempo has every span", async || match tempo.spans_received().await? {
        count if count >= expected => Ok(()),
        count => Err(format!("{count} of {expected}")),
    })
    .await;
    row(
        "spans by OTLP/HTTP, to Tempo by gRPC with gzip, configuration of 2023",
        kind,
        &relay,
        expected,
    )
}

fn row(work: &str, kind: Kind<'_>, relay: &Relay, items: u64) -> io::Result<()> {
    let pid = relay.pid().ok_or_else(|| io::Error::other("it has ended"))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may hold anything: user and system time are the 12th and 13th.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    let micros = seconds * 1e6 / items as f64;
    let by = kind.name();
    println!(
        "| {work} | {by} | {items} | {micros:.1} µs | {:.0} | {most} |",
        items as f64 / seconds
    );
    Ok(())
}

fn write_logs(pods: &Path) -> io::Result<()> {
    let span = APART * u32::try_from(LINES_EACH).unwrap_or(u32::MAX);
    let oldest = Timestamp::now().checked_sub(span).map_err(io::Error::other)?;
    for file in 0..FILES {
        let folder = format!("shop_web-{file}_0a1b2c3d-0000-4000-8000-{file:012}/app");
        fs::create_dir_all(pods.join(&folder))?;
        let mut log = BufWriter::new(File::create(pods.join(folder).join("0.log"))?);
        for line in 0..LINES_EACH {
            let after = APART * u32::try_from(line).unwrap_or(u32::MAX);
            let time = oldest.checked_add(after).map_err(io::Error::other)?;
            let time = time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ");
            writeln!(
                log,
                "{time} stdout F [INFO] [trace_id={file:016x}{line:016x} span_id={line:016x}] added item \
                 {{\"context\":\"shop::cart\",\"level\":\"info\",\"message\":\"added item\",\"ms\":\"+12ms\",\
                 \"sku\":{line},\"of\":\"{:060}\"}}",
                0
            )?;
        }
        log.flush()?;
    }
    Ok(())
}

fn request_of(number: usize) -> Vec<u8> {
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
        ..KeyValue::default()
    };
    let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default();
    let span = |index: usize| Span {
        trace_id: ((number * SPANS_EACH + index + 1) as u128).to_be_bytes().to_vec(),
        span_id: ((number * SPANS_EACH + index + 1) as u64).to_be_bytes().to_vec(),
        name: "GET /something".to_owned(),
        kind: 2,
        start_time_unix_nano: now - 1_000_000,
        end_time_unix_nano: now,
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", "/something"),
            text("url.scheme", "http"),
            text("server.address", "api-node.default.svc.cluster.local"),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)"),
        ],
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "api-node")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: (0..SPANS_EACH).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
    .encode_to_vec()
}
