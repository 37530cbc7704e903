//! Log lines that know their trace, and spans to the agent on the same node.
//!
//! The smallest service:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let _telemetry = spanline::init("checkout");
//!
//!     let app = Router::new().route("/", get(hello)).layer(spanline::http::server());
//!
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//!     spanline::serve(listener, app).await
//! }
//!
//! async fn hello() -> &'static str {
//!     tracing::info!("hello");
//!     "Hello World!"
//! }
//! ```
//!
//! Each request is a trace, or part of its caller's; every line that it prints carries the ids of the active
//! span, whether it comes from [`tracing`](https://docs.rs/tracing) or the `log` crate:
//!
//! ```text
//! 2026-11-23T17:28:00.123456Z INFO [trace_id=0af7651916cd43dd8448eb211c80319c span_id=00f067aa0ba902b7] checkout: hello
//! ```
//!
//! # It never harms its host
//!
//! After [`init`] nothing blocks, panics or grows without bound, and nothing is lost silently (a thread that
//! panics waits up to 100 ms for its last line to be written, the one wait there is): lines and
//! spans wait in bounded queues, threads of their own carry them away, and [`Telemetry::ledger`] accounts for
//! each of them. [`serve`], [`Telemetry::shutdown`] and its drop deliver what waits within one deadline; a program
//! without `serve` asks for [`Telemetry::shutdown_on_signal`], or handles signals itself and lets `main` return.
//!
//! # Settings
//!
//! A call on the [`builder`] wins over the environment, and this over the default.
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `SPANLINE_LOG_FORMAT` | `text`, `winston`, `python`, `json`, `logfmt` | `text` |
//! | `SPANLINE_LOG_OUTPUT` | `stdout`, `stderr`, or a file's path (rotated at 10 MiB, 5 kept) | `stdout` |
//! | `SPANLINE_LOG_QUEUE_BYTES` | bytes of lines that may wait for the output | 8388608 |
//! | `SPANLINE_LOG_RESERVED_BYTES` | how many of these are kept for WARN and ERROR | 1048576 |
//! | `SPANLINE_LOG_FILE_BYTES`, `SPANLINE_LOG_FILES_KEPT` | when a log file is renamed, and how many of those are kept | 10485760, 5 |
//! | `RUST_LOG` | which events become lines; it never hides spans | `info` |
//! | `SPANLINE_TRACE_FILTER` | which `tracing` spans become OpenTelemetry spans | `info` |
//! | `OTEL_SERVICE_NAME` | `service.name`; wins over all other sources of it | the name given to `init` |
//! | `OTEL_RESOURCE_ATTRIBUTES` | further resource attributes, `key=value,key=value` | |
//! | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` | where spans go, used as it is | |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | where OTLP goes; `/v1/traces` is appended for HTTP | |
//! | `NODE_IP`, `OTEL_NODE_IP`, `HOST_IP` | the node whose agent gets the spans: port 4318 (HTTP) or 4317 (gRPC) | `localhost` |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` (or `…_TRACES_PROTOCOL`) | `http/protobuf`, `grpc` | `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_HEADERS` (or `…_TRACES_HEADERS`) | `name=value,name=value` | |
//! | `OTEL_EXPORTER_OTLP_COMPRESSION` (or `…_TRACES_…`) | `gzip`, `none` | `none` |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` (or `…_TRACES_…`) | for one try, in milliseconds | 3000 (specification: 10000; a pod has to stop in time) |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | spans that may wait (and at most 16 MiB of them) | 16384 (specification: 2048; bursts overflow it) |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | spans in a batch | 512 |
//! | `OTEL_BSP_SCHEDULE_DELAY` | how long a span waits for others, in milliseconds | 1000 (specification: 5000; the agent is near) |
//! | `OTEL_BSP_EXPORT_TIMEOUT` | for one try, in milliseconds, where it is shorter than `OTEL_EXPORTER_OTLP_TIMEOUT` | 3000 (specification: 30000; the same reason) |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | the specification's six samplers | `parentbased_always_on` |
//! | `OTEL_PROPAGATORS` | what the HTTP layers take from callers and tell others: `tracecontext`, `baggage`, or `none` | `tracecontext,baggage` |
//! | `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` | methods that are not recorded as `_OTHER`, in place of the conventions' nine | |
//! | `OTEL_TRACES_EXPORTER` | `otlp`, `none` | `otlp` |
//! | `OTEL_METRICS_EXPORTER` | a list of `prometheus` (serves `/metrics`), `none` | `prometheus` (specification: `otlp`; a scraper needs no agent) |
//! | `OTEL_EXPORTER_PROMETHEUS_HOST` | the IP address on which `/metrics` is served | `0.0.0.0` (specification: localhost; a pod is scraped from outside) |
//! | `OTEL_EXPORTER_PROMETHEUS_PORT` | its port | 9464 |
//! | `OTEL_METRICS_EXEMPLAR_FILTER` | which observations leave an exemplar: those in a sampled span (`trace_based`), in any span (`always_on`), none (`always_off`) | `trace_based` |
//! | `OTEL_SDK_DISABLED` | `true`: no spans are exported, no metrics served; lines are printed all the same | `false` |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_ATTRIBUTE_COUNT_LIMIT` | attributes of a span | 128 |
//! | `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` | characters of an attribute's value, in spans, events and links | no limit |
//! | `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT` | events and links of a span | 128 |
//! | `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT` | attributes of an event and of a link | 128 |
//! | `POD_NAME`, `POD_UID`, `POD_NAMESPACE`, `NODE_NAME`, `CONTAINER_NAME`, `K8S_CLUSTER_NAME` | resource attributes `k8s.…`, as manifests fill them from the downward API | |
//!
//! Not honoured yet: pushes of metrics (`otlp` in `OTEL_METRICS_EXPORTER`, the variables `OTEL_EXPORTER_OTLP_METRICS_…`), TLS to the agent
//! (`OTEL_EXPORTER_OTLP_CERTIFICATE` and the like; an `https://` endpoint is refused with a warning).
//!
//! # Features
//!
//! `reqwest`: [`http::SendTraced`] for requests of `reqwest`. `testing`: the module [`testing`], with which
//! a service's own tests see its lines and spans.

mod init;
mod serve;
mod spawn;

mod log;
mod trace;

pub mod http;
pub mod metrics;

#[cfg(feature = "testing")]
pub mod testing;

mod config;
mod context;
mod endpoint;
mod error;
mod otlp;
mod otlp_signal;
mod resource;
mod signals;
mod span;
mod vars;

pub use endpoint::OtlpProtocol;
pub use error::{Fault, InitError};
pub use http::grpc;
pub use init::{Builder, Ledger, Telemetry, builder, init};
pub use log::{LineDrops, LineLedger, LogFormat, LogOutput, ParseLogFormatError};
pub use metrics::{RegisterError, Registry};
pub use opentelemetry_sdk::trace::Sampler;
pub use serve::serve;
pub use spawn::spawn;
pub use trace::{SpanDrops, SpanLedger};
