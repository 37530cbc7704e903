//! The exporters' settings.

use std::path::PathBuf;
use std::time::Duration;

use super::auth::{self, Authenticator};
use super::component::{ALL_SIGNALS, Kind, Signal};
use super::delivery::{Delivery, QueueSettings, delivery, usual_delivery};
use super::http_client::{HttpClient, headers, http_client, http_url};
use super::section::{Section, Setting, listen_address};
use super::serving::{Serving, serving};
use super::tls::{self, ClientTls};

/// An exporter and its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum Exporter {
    /// The agent's own log.
    Debug(Verbosity),
    /// OTLP's messages in a file.
    File(File),
    /// Log records for Loki.
    Loki(Loki),
    /// OTLP over gRPC.
    Otlp(OtlpExporter),
    /// OTLP over HTTP.
    OtlpHttp(OtlpHttp),
    /// The embedded store.
    Store(Store),
    /// Metrics for a scraper.
    Prometheus(Prometheus),
}

/// How much the `debug` exporter tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// How many items came.
    Basic,
    /// A line for each.
    Normal,
    /// A line for each, with everything that is known of it.
    Detailed,
}

/// The `otlp` exporter.
#[derive(Clone, PartialEq)]
pub struct OtlpExporter {
    /// Host and port.
    pub endpoint: String,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Whether requests are compressed.
    pub gzip: bool,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How the connection is secured, if it is.
    pub tls: Option<ClientTls>,
    /// What is shown to be let in.
    pub auth: Option<Authenticator>,
    /// The name that requests are for, if it is not the endpoint's.
    pub authority: Option<http::uri::Authority>,
    /// How a silent connection is probed.
    pub keepalive: Keepalive,
    /// How its queue is emptied.
    pub delivery: Delivery,
}

/// How a server that went away without a word is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing may come until the server is asked for a sign of life.
    pub time: Duration,
    /// How long that may take.
    pub timeout: Duration,
    /// Whether it is asked while nothing is under way, too.
    pub permit_without_stream: bool,
}

// Headers carry tokens.
impl std::fmt::Debug for OtlpExporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, tls, auth, .. } = self;
        f.debug_struct("OtlpExporter")
            .field("endpoint", endpoint)
            .field("tls", tls)
            .field("auth", auth)
            .finish_non_exhaustive()
    }
}

/// The `otlphttp` exporter.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpHttp {
    /// Where each signal goes, in the order of [`ALL_SIGNALS`].
    urls: [Option<http::Uri>; 3],
    /// How.
    pub client: HttpClient,
    /// In which form.
    pub encoding: Encoding,
    /// How far it is compressed, if it is: from 1, the quickest, to 9.
    pub gzip: Option<u32>,
    /// How its queue is emptied.
    pub delivery: Delivery,
}

/// The forms of OTLP's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf.
    Proto,
    /// JSON.
    Json,
}

/// The `file` exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The file.
    pub path: PathBuf,
    /// The keys and the place that name it.
    pub from: String,
    /// In which form messages are written.
    pub encoding: Encoding,
    /// Whether what is there already stays.
    pub append: bool,
    /// What is done with a full file, if one is ever full.
    pub rotation: Option<Rotation>,
}

/// When a file is full, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// What a file may hold.
    pub max_bytes: u64,
    /// How many full files are kept; 0 is all.
    pub max_backups: u32,
    /// For how many days; 0 is for ever.
    pub max_days: u32,
    /// Whether their names have the local time, in place of UTC.
    pub localtime: bool,
}

/// The `loki` exporter.
#[derive(Debug, Clone, PartialEq)]
pub struct Loki {
    /// Where lines are pushed to.
    pub endpoint: http::Uri,
    /// How.
    pub client: HttpClient,
    /// Which labels every line has, if there is something to make them of.
    pub default_labels: DefaultLabels,
    /// How its queue is emptied.
    pub delivery: Delivery,
}

/// The labels that the `loki` exporter adds by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultLabels {
    /// `exporter`, which is `OTLP`.
    pub exporter: bool,
    /// `job`: the service's namespace and name.
    pub job: bool,
    /// `instance`: the service's instance.
    pub instance: bool,
    /// `level`: the severity.
    pub level: bool,
}

/// The `spanline_store` exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Where it keeps its slices.
    pub directory: PathBuf,
    /// What it may take on disk.
    pub max_bytes: u64,
    /// How long what has arrived is kept.
    pub max_age: Option<Duration>,
    /// The cluster's name, a label of every line.
    pub cluster: Option<String>,
}

/// The `prometheus` exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prometheus {
    /// Where scrapers find `/metrics`, and which of them are let in.
    pub serving: Serving,
    /// Stands before every name, with `_` between.
    pub namespace: String,
    /// Labels of every series.
    pub const_labels: Vec<(String, String)>,
    /// Whether samples carry the time that their sender gave them.
    pub send_timestamps: bool,
    /// How long a sender may be silent until its series are no longer shown.
    pub metric_expiration: Duration,
    /// Whether a scraper that asks for OpenMetrics gets it.
    pub enable_open_metrics: bool,
    /// Whether names get their unit and type.
    pub add_metric_suffixes: bool,
    /// Whether every series gets all of its resource's attributes.
    pub resource_to_telemetry: bool,
}

impl Exporter {
    /// How its queue is emptied.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Loki(loki) => loki.delivery,
            Self::Otlp(otlp) => otlp.delivery,
            Self::OtlpHttp(otlp) => otlp.delivery,
            Self::File(_) => {
                // One after the other, in their order.
                let queue = QueueSettings { consumers: 1, ..Delivery::default().queue };
                Delivery { queue, ..Delivery::default() }
            }
            Self::Debug(_) | Self::Store(_) | Self::Prometheus(_) => Delivery::default(),
        }
    }

    /// What it shows to be let in, or whom it lets in.
    pub(super) fn auth(&self) -> Option<&Authenticator> {
        match self {
            Self::Loki(loki) => loki.client.auth.as_ref(),
            Self::Otlp(otlp) => otlp.auth.as_ref(),
            Self::OtlpHttp(otlp) => otlp.client.auth.as_ref(),
            Self::Prometheus(prometheus) => prometheus.serving.auth.as_ref(),
            Self::Debug(_) | Self::File(_) | Self::Store(_) => None,
        }
    }
}

impl OtlpHttp {
    /// Where a signal goes.
    pub fn url(&self, signal: Signal) -> Option<&http::Uri> {
        let at = ALL_SIGNALS.iter().position(|known| *known == signal)?;
        self.urls[at].as_ref()
    }
}

/// What the store may take on disk.
const STORE_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// How long a server may take to answer over HTTP, as in the Collector.
const HTTP_TIMEOUT: Duration = Duration::from_secs(30);
/// What gzip takes for a good measure.
const GZIP_LEVEL: u32 = 6;
/// Pushes of one stream under way at a time: lines that overtake each other by more than Loki allows are refused.
const LOKI_CONSUMERS: usize = 1;

pub(super) const KINDS: &[Kind<Exporter>] = &[
    Kind { name: "debug", aliases: &["logging"], signals: ALL_SIGNALS, read: debug, sample: "{}" },
    Kind {
        name: "file",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: file,
        sample: "{path: /f, rotation: {}}",
    },
    Kind {
        name: "loki",
        aliases: &[],
        signals: &[Signal::Logs],
        read: loki,
        sample: "endpoint: 'http://loki:3100/loki/api/v1/push'",
    },
    Kind {
        name: "otlp",
        aliases: &["otlp_grpc"],
        signals: ALL_SIGNALS,
        read: otlp,
        sample: "endpoint: 'tempo:4317'",
    },
    Kind {
        name: "otlphttp",
        aliases: &["otlp_http"],
        signals: ALL_SIGNALS,
        read: otlp_http,
        sample: "endpoint: 'http://collector:4318'",
    },
    Kind {
        name: "prometheus",
        aliases: &[],
        signals: &[Signal::Metrics],
        read: prometheus,
        sample: "endpoint: ':8889'",
    },
    Kind {
        name: "spanline_store",
        aliases: &[],
        signals: ALL_SIGNALS,
        read: store,
        sample: "directory: /s",
    },
];

fn debug(section: &mut Section<'_>) -> Option<Exporter> {
    let choices = [
        ("basic", Verbosity::Basic),
        ("normal", Verbosity::Normal),
        ("detailed", Verbosity::Detailed),
    ];
    Some(Exporter::Debug(section.choice("verbosity", &choices, Verbosity::Basic)))
}

fn otlp(section: &mut Section<'_>) -> Option<Exporter> {
    let expected = "a host and a port such as tempo:4317";
    section.required("endpoint", expected);
    let mut is_https = false;
    let endpoint = section.parsed("endpoint", expected, |text, _| {
        is_https = text.starts_with("https://");
        let bare = text.strip_prefix("http://").or(text.strip_prefix("https://"));
        let endpoint = bare.unwrap_or(text).trim_end_matches('/');
        let has_host = !endpoint.starts_with(':') && !endpoint.is_empty();
        (has_host && listen_address(endpoint).is_some()).then(|| endpoint.to_owned())
    });
    let headers = headers(section);
    let gzip = section.choice("compression", &[("gzip", true), ("none", false)], true);
    let timeout = section.duration("timeout", Duration::from_secs(5));
    let tls = tls::grpc_client(section, is_https);
    let auth = auth::of_client(section);
    let authority = section.parsed("authority", "a host, with a port or without", |text, _| {
        text.parse().ok().filter(|_: &http::uri::Authority| !text.contains('@'))
    });
    let mut probes = section.section("keepalive");
    let keepalive = Keepalive {
        time: probes.duration("time", Duration::from_secs(10)),
        timeout: probes.duration("timeout", Duration::from_secs(5)),
        permit_without_stream: probes.bool("permit_without_stream", false),
    };
    if keepalive.time < Duration::from_secs(1) || keepalive.timeout.is_zero() {
        probes.fault("time must be a second at least, and timeout more than 0");
    }
    drop(probes);
    let delivery = usual_delivery(section);
    Some(Exporter::Otlp(OtlpExporter {
        endpoint: endpoint?,
        headers,
        gzip,
        timeout,
        tls,
        auth,
        authority,
        keepalive,
        delivery,
    }))
}

fn otlp_http(section: &mut Section<'_>) -> Option<Exporter> {
    let base = http_url(section, "endpoint", false);
    let own = ["traces_endpoint", "metrics_endpoint", "logs_endpoint"]
        .map(|key| http_url(section, key, false));
    let client = {
        let [traces, metrics, logs] = &own;
        let all = [base.as_ref(), traces.as_ref(), metrics.as_ref(), logs.as_ref()];
        http_client(section, &all, HTTP_TIMEOUT)
    };
    let mut urls = own;
    for (url, signal) in urls.iter_mut().zip(ALL_SIGNALS) {
        if url.is_none()
            && let Some(base) = &base
        {
            let joined = format!("{}/v1/{signal}", base.to_string().trim_end_matches('/'));
            *url = joined.parse().ok();
        }
    }
    let encodings = [("proto", Encoding::Proto), ("json", Encoding::Json)];
    let encoding = section.choice("encoding", &encodings, Encoding::Proto);
    let gzip = section.choice("compression", &[("gzip", true), ("none", false)], true);
    let mut parameters = section.section("compression_params");
    let level =
        parameters.parsed("level", "a number from 1 (quick) to 9 (small)", |text, plain| {
            plain.then(|| text.parse().ok()).flatten().filter(|level| (1..=9).contains(level))
        });
    if level.is_some() && !gzip {
        parameters.fault("level acts on compression: gzip only");
    }
    drop(parameters);
    let gzip = gzip.then(|| level.unwrap_or(GZIP_LEVEL));
    let delivery = usual_delivery(section);
    Some(Exporter::OtlpHttp(OtlpHttp { urls, client, encoding, gzip, delivery }))
}

fn file(section: &mut Section<'_>) -> Option<Exporter> {
    let path = section.required("path", "the file that is written");
    let encoding = section.choice(
        "format",
        &[("json", Encoding::Json), ("proto", Encoding::Proto)],
        Encoding::Json,
    );
    let append = section.bool("append", false);
    let rotation = section.has("rotation").then(|| rotation(&mut section.section("rotation")));
    if append && rotation.is_some() {
        section
            .fault("append and rotation exclude each other: a file that is rotated always goes on");
    }
    let Setting { text, from } = path?;
    Some(Exporter::File(File { path: text.into(), from, encoding, append, rotation }))
}

fn rotation(section: &mut Section<'_>) -> Rotation {
    const MEGABYTE: u64 = 1024 * 1024;
    let megabytes = section.parsed("max_megabytes", "a whole number from 1", |text, plain| {
        plain.then(|| text.parse::<u32>().ok()).flatten().filter(|number| *number > 0)
    });
    let mut number = |key, default: u32| {
        u32::try_from(section.count(key, u64::from(default))).unwrap_or(u32::MAX)
    };
    let (max_backups, max_days) = (number("max_backups", 100), number("max_days", 0));
    Rotation {
        max_bytes: u64::from(megabytes.unwrap_or(100)) * MEGABYTE,
        max_backups,
        max_days,
        localtime: section.bool("localtime", false),
    }
}

fn loki(section: &mut Section<'_>) -> Option<Exporter> {
    let endpoint = http_url(section, "endpoint", true);
    let client = http_client(section, &[endpoint.as_ref()], HTTP_TIMEOUT);
    let mut labels = section.section("default_labels_enabled");
    let default_labels = DefaultLabels {
        exporter: labels.bool("exporter", true),
        job: labels.bool("job", true),
        instance: labels.bool("instance", true),
        level: labels.bool("level", true),
    };
    drop(labels);
    let delivery = delivery(section, LOKI_CONSUMERS);
    Some(Exporter::Loki(Loki { endpoint: endpoint?, client, default_labels, delivery }))
}

fn prometheus(section: &mut Section<'_>) -> Option<Exporter> {
    section.required(
        "endpoint",
        "the address on which scrapers find /metrics, such as 0.0.0.0:8889",
    )?;
    let serving = serving(section, ":8889");
    Some(Exporter::Prometheus(Prometheus {
        serving,
        namespace: section.text("namespace").unwrap_or_default(),
        const_labels: section.text_map("const_labels"),
        send_timestamps: section.bool("send_timestamps", false),
        metric_expiration: section.duration("metric_expiration", Duration::from_secs(5 * 60)),
        enable_open_metrics: section.bool("enable_open_metrics", false),
        add_metric_suffixes: section.bool("add_metric_suffixes", true),
        resource_to_telemetry: section
            .section("resource_to_telemetry_conversion")
            .bool("enabled", false),
    }))
}

fn store(section: &mut Section<'_>) -> Option<Exporter> {
    let directory = section.required("directory", "the folder in which lines and spans are kept");
    let max_bytes = section.bytes("max_bytes", STORE_MAX_BYTES);
    let max_age = Some(section.duration("max_age", Duration::ZERO)).filter(|age| !age.is_zero());
    let cluster = section.text("cluster").filter(|cluster| !cluster.trim().is_empty());
    let directory = directory?.text.into();
    Some(Exporter::Store(Store { directory, max_bytes, max_age, cluster }))
}
