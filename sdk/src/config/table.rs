//! The table of the docs says what the settings do: each row is held to it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::*;
use crate::error::Fault;
use crate::resource::{self, Speaker};
use crate::vars::Vars;

const DOCS: &str = include_str!("../docs/settings.md");

/// One variable at most.
struct One<'a>(Option<(&'a str, &'a str)>);

impl Vars for One<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let (set, value) = self.0?;
        // The push's own variables are read where something is pushed.
        let is_of_push = set.contains("_OTLP_METRICS_") || set.starts_with("OTEL_METRIC_EXPORT_");
        if is_of_push && name == "OTEL_METRICS_EXPORTER" {
            return Some("otlp".to_owned());
        }
        (set == name).then(|| value.to_owned())
    }
}

/// What is in force when a variable is set.
struct InForce {
    config: Config,
    speaker: Speaker,
    faults: Vec<Fault>,
}

fn in_force(variable: Option<(&str, &str)>) -> InForce {
    let vars = One(variable);
    let mut reader = Reader::new(&vars);
    let config = Config::read(&Overrides::default(), &mut reader);
    let speaker = resource::speaker("given", &[], &mut reader);
    InForce { config, speaker, faults: reader.into_faults() }
}

type Show = fn(&InForce) -> String;

/// A variable, a value of it, what shows that it is honoured, and what that says without it and with it.
type Proof = (&'static str, &'static str, Show, &'static str, &'static str);

fn otlp(of: &InForce) -> &OtlpConfig {
    &of.config.export.as_ref().unwrap().otlp
}

fn push(of: &InForce) -> &PushConfig {
    of.config.metrics.push.as_ref().unwrap()
}

fn attribute(of: &InForce, key: &'static str) -> String {
    let value = of.speaker.resource.get(&opentelemetry::Key::from_static_str(key));
    value.map(|value| value.to_string()).unwrap_or_default()
}

const ENDPOINT: Show = |of| otlp(of).endpoint.uri.to_string();
const PROTOCOL: Show = |of| format!("{:?}", otlp(of).protocol);
const HEADERS: Show = |of| {
    let text = |(name, value): &(::http::HeaderName, ::http::HeaderValue)| {
        format!("{name}: {}", value.to_str().unwrap())
    };
    otlp(of).headers.iter().map(text).collect()
};
const GZIP: Show = |of| otlp(of).gzip.to_string();
const TIMEOUT: Show = |of| otlp(of).timeout.as_millis().to_string();
const FAULTS: Show = |of| of.faults.iter().map(|fault| fault.setting).collect();
const SAMPLER: Show = |of| format!("{:?}", of.config.sampler);
const POD: Show = |of| attribute(of, "k8s.pod.name");
const POD_UID: Show = |of| attribute(of, "k8s.pod.uid");
const NAMESPACE: Show = |of| attribute(of, "k8s.namespace.name");
const NODE: Show = |of| attribute(of, "k8s.node.name");
const CONTAINER: Show = |of| attribute(of, "k8s.container.name");
const ATTRIBUTES: Show = |of| of.config.span_limits.max_attributes_per_span.to_string();
const VALUE_LENGTH: Show = |of| format!("{:?}", of.config.span_value_length);
const LISTEN: Show = |of| format!("{:?}", of.config.metrics.listen);

const LOCAL: &str = "http://localhost:4318/v1/traces";
const PARENT_ON: &str = "ParentBased(AlwaysOn)";

#[rustfmt::skip]
const PROOFS: &[Proof] = &[
    ("SPANLINE_LOG_FORMAT", "JSON", |of| of.config.log_format.to_string(), "text", "json"),
    ("SPANLINE_LOG_OUTPUT", "stderr", |of| of.config.log_output.to_string(), "stdout", "stderr"),
    ("SPANLINE_LOG_QUEUE_BYTES", "2097152", |of| of.config.log_queue_bytes.to_string(), "8388608", "2097152"),
    ("SPANLINE_LOG_RESERVED_BYTES", "5", |of| of.config.log_reserved_bytes.to_string(), "1048576", "5"),
    ("SPANLINE_LOG_FILE_BYTES", "50000", |of| of.config.log_file_bytes.to_string(), "10485760", "50000"),
    ("SPANLINE_LOG_FILES_KEPT", "2", |of| of.config.log_files_kept.to_string(), "5", "2"),
    ("SPANLINE_LOG_TEMPLATE", "{message}", |of| of.config.line_options.template.is_some().to_string(), "false", "true"),
    ("SPANLINE_LOG_TIME", "local", |of| format!("{:?}", of.config.line_options.time), "None", "Some(Local)"),
    ("SPANLINE_LOG_TARGET", "false", |of| format!("{:?}", of.config.line_options.target), "None", "Some(false)"),
    ("SPANLINE_LOG_LOCATION", "true", |of| format!("{:?}", of.config.line_options.location), "None", "Some(true)"),
    ("SPANLINE_LOG_THREAD", "true", |of| format!("{:?}", of.config.line_options.thread), "None", "Some(true)"),
    ("SPANLINE_LOG_SPAN_FIELDS", "true", |of| format!("{:?}", of.config.line_options.span_fields), "None", "Some(true)"),
    ("SPANLINE_LOG_FIELDS", "a=b", |of| of.config.line_options.fields.len().to_string(), "0", "1"),
    ("SPANLINE_LOG_MAX_LINE_BYTES", "8000", |of| format!("{:?}", of.config.line_options.max_line_bytes), "None", "Some(8000)"),
    ("NO_COLOR", "1", |of| format!("{:?}", of.config.line_options.colors), "None", "Some(false)"),
    ("RUST_LOG", "debug", |of| of.config.log_filter.clone(), "info", "debug"),
    ("SPANLINE_TRACE_FILTER", "warn", |of| of.config.trace_filter.clone(), "info", "warn"),
    ("OTEL_SERVICE_NAME", "named", |of| of.speaker.service_name.clone(), "given", "named"),
    ("OTEL_RESOURCE_ATTRIBUTES", "team=a%20b", |of| attribute(of, "team"), "", "a b"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:1/in", ENDPOINT, LOCAL, "http://a:1/in"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1", ENDPOINT, LOCAL, "http://a:1/v1/traces"),
    ("NODE_IP", "10.0.0.3", ENDPOINT, LOCAL, "http://10.0.0.3:4318/v1/traces"),
    ("OTEL_NODE_IP", "10.0.0.3", ENDPOINT, LOCAL, "http://10.0.0.3:4318/v1/traces"),
    ("HOST_IP", "10.0.0.3", ENDPOINT, LOCAL, "http://10.0.0.3:4318/v1/traces"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC", PROTOCOL, "HttpProtobuf", "Grpc"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", PROTOCOL, "HttpProtobuf", "Grpc"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%20c", HEADERS, "", "a: b c"),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=b", HEADERS, "", "a: b"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZip", GZIP, "false", "true"),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip", GZIP, "false", "true"),
    // These four act on an endpoint without a scheme, or on https; what they do there is tested with the senders.
    ("OTEL_EXPORTER_OTLP_INSECURE", "yes", FAULTS, "", "OTEL_EXPORTER_OTLP_INSECURE"),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "yes", FAULTS, "", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"),
    #[cfg(feature = "tls")]
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/a", FAULTS, "", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    #[cfg(feature = "tls")]
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/a", FAULTS, "", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
    #[cfg(feature = "tls")]
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/a", FAULTS, "", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
    #[cfg(feature = "tls")]
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/a", FAULTS, "", "OTEL_EXPORTER_OTLP_CLIENT_KEY"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "700", TIMEOUT, "3000", "700"),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0", TIMEOUT, "3000", "3600000"),
    ("OTEL_BSP_EXPORT_TIMEOUT", "800", TIMEOUT, "3000", "800"),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "600", |of| of.config.export.as_ref().unwrap().queue_spans.to_string(), "16384", "600"),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "7", |of| of.config.export.as_ref().unwrap().batch_spans.to_string(), "512", "7"),
    ("OTEL_BSP_SCHEDULE_DELAY", "0", |of| of.config.export.as_ref().unwrap().delay.as_millis().to_string(), "1000", "0"),
    ("OTEL_TRACES_SAMPLER", "ALWAYS_OFF", SAMPLER, PARENT_ON, "AlwaysOff"),
    // It means nothing without a ratio to set; see `the_argument_of_a_sampler_is_its_ratio`.
    ("OTEL_TRACES_SAMPLER_ARG", "0.5", SAMPLER, PARENT_ON, PARENT_ON),
    ("OTEL_PROPAGATORS", "Baggage", |of| format!("{:?}", of.config.http.propagation),
        "Propagation { trace_context: true, baggage: true }", "Propagation { trace_context: false, baggage: true }"),
    ("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,QUERY", |of| format!("{:?}", of.config.http.known_methods),
        "None", r#"Some(["GET", "QUERY"])"#),
    ("SPANLINE_SLOW_POLL_THRESHOLD", "25", |of| of.config.http.slow_poll.as_millis().to_string(), "10", "25"),
    ("OTEL_TRACES_EXPORTER", "otlp, Console", |of| format!("{:?}", of.config.export.as_ref().unwrap().ways),
        "Ways { otlp: true, console: false }", "Ways { otlp: true, console: true }"),
    ("OTEL_LOGS_EXPORTER", "syslog", FAULTS, "", "OTEL_LOGS_EXPORTER"),
    ("OTEL_LOG_LEVEL", "WARN", |of| format!("{:?}", of.config.diagnostics), "None", "Some(LevelFilter::WARN)"),
    ("OTEL_METRICS_EXPORTER", "None", LISTEN, "Some(0.0.0.0:9464)", "None"),
    ("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.0.1", LISTEN, "Some(0.0.0.0:9464)", "Some(127.0.0.1:9464)"),
    ("OTEL_EXPORTER_PROMETHEUS_PORT", "80", LISTEN, "Some(0.0.0.0:9464)", "Some(0.0.0.0:80)"),
    ("SPANLINE_METRICS_CERTIFICATE", "/none", FAULTS, "", "SPANLINE_METRICS_CERTIFICATE"),
    ("SPANLINE_METRICS_KEY", "/none", FAULTS, "", "SPANLINE_METRICS_KEY"),
    ("SPANLINE_METRICS_CLIENT_CA", "/none", FAULTS, "", "SPANLINE_METRICS_CLIENT_CA"),
    ("SPANLINE_METRICS_TOKEN_FILE", "/none", FAULTS, "", "SPANLINE_METRICS_TOKEN_FILE"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "Always_Off", |of| format!("{:?}", of.config.metrics.exemplars), "TraceBased", "AlwaysOff"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "5000", |of| push(of).interval.as_millis().to_string(), "60000", "5000"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "9000", |of| push(of).timeout.as_millis().to_string(), "30000", "9000"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta", |of| format!("{:?}", push(of).temporality), "Cumulative", "Delta"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://a:1/in", |of| push(of).otlp.endpoint.uri.to_string(),
        "http://localhost:4318/v1/metrics", "http://a:1/in"),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", |of| format!("{:?}", push(of).otlp.protocol), "HttpProtobuf", "Grpc"),
    ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=b", |of| push(of).otlp.headers.len().to_string(), "0", "1"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "900", |of| push(of).otlp.timeout.as_millis().to_string(), "3000", "900"),
    ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip", |of| push(of).otlp.gzip.to_string(), "false", "true"),
    ("OTEL_SDK_DISABLED", "True", |of| format!("{} {}", of.config.is_disabled, of.config.export.is_some()), "false true", "true false"),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3", ATTRIBUTES, "128", "3"),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", "3", ATTRIBUTES, "128", "3"),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3", VALUE_LENGTH, "None", "Some(3)"),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "0", VALUE_LENGTH, "None", "Some(0)"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "3", |of| of.config.span_limits.max_events_per_span.to_string(), "128", "3"),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", "3", |of| of.config.span_limits.max_links_per_span.to_string(), "128", "3"),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "3", |of| of.config.span_limits.max_attributes_per_event.to_string(), "128", "3"),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "3", |of| of.config.span_limits.max_attributes_per_link.to_string(), "128", "3"),
    ("POD_NAME", "a", POD, "", "a"),
    ("K8S_POD_NAME", "a", POD, "", "a"),
    ("MY_POD_NAME", "a", POD, "", "a"),
    ("OTEL_RESOURCE_ATTRIBUTES_POD_NAME", "a", POD, "", "a"),
    ("POD_UID", "a", POD_UID, "", "a"),
    ("K8S_POD_UID", "a", POD_UID, "", "a"),
    ("MY_POD_UID", "a", POD_UID, "", "a"),
    ("OTEL_RESOURCE_ATTRIBUTES_POD_UID", "a", POD_UID, "", "a"),
    ("POD_NAMESPACE", "a", NAMESPACE, "", "a"),
    ("K8S_NAMESPACE", "a", NAMESPACE, "", "a"),
    ("MY_POD_NAMESPACE", "a", NAMESPACE, "", "a"),
    ("NODE_NAME", "a", NODE, "", "a"),
    ("K8S_NODE_NAME", "a", NODE, "", "a"),
    ("MY_NODE_NAME", "a", NODE, "", "a"),
    ("OTEL_RESOURCE_ATTRIBUTES_NODE_NAME", "a", NODE, "", "a"),
    ("CONTAINER_NAME", "a", CONTAINER, "", "a"),
    ("K8S_CONTAINER_NAME", "a", CONTAINER, "", "a"),
    ("K8S_CLUSTER_NAME", "a", |of| attribute(of, "k8s.cluster.name"), "", "a"),
];

#[cfg(feature = "tls")]
const PROVEN_ELSEWHERE: &[&str] = &["SPANLINE_OTLP_SERVER_NAME"];
#[cfg(not(feature = "tls"))]
const PROVEN_ELSEWHERE: &[&str] = &[
    "SPANLINE_OTLP_SERVER_NAME",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
];

fn is_variable(text: &str) -> bool {
    let is_of_names = |byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
    text.contains('_') && !text.starts_with('_') && text.bytes().all(is_of_names)
}

/// The variables of the rows of a part of the page.
fn variables(part: &str) -> BTreeSet<&str> {
    let rows = part.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| row.split('`')).filter(|text| is_variable(text)).collect()
}

fn parts() -> (&'static str, &'static str) {
    let (honoured, rest) = DOCS.split_once("# What is not honoured").unwrap();
    (honoured, rest.split_once("\n# ").map_or(rest, |(part, _)| part))
}

#[test]
fn each_row_of_the_table_does_what_it_says() {
    for (variable, value, show, without, with) in PROOFS {
        // A variable that is empty counts as not set.
        assert_eq!(show(&in_force(Some((variable, " ")))), *without, "the default of {variable}");
        let set = in_force(Some((variable, value)));
        assert_eq!(show(&set), *with, "{variable}={value}");
    }
    let proven: BTreeSet<_> = PROOFS.iter().map(|(variable, ..)| *variable).collect();
    for variable in variables(parts().0) {
        let is_proven = proven.contains(variable) || PROVEN_ELSEWHERE.contains(&variable);
        assert!(is_proven, "{variable} is in the table, and nothing shows that it is honoured");
    }
}

/// The variables that the code names in quotes, tests aside.
fn named_in(folder: &Path, names: &mut BTreeSet<String>) {
    const PREFIXES: [&str; 10] = [
        "CONTAINER_",
        "HOST_",
        "K8S_",
        "MY_",
        "NODE_",
        "NO_COLOR",
        "OTEL_",
        "POD_",
        "RUST_",
        "SPANLINE_",
    ];
    /// What the build script tells the compiler.
    const OF_THE_BUILD: &str = "SPANLINE_RUSTC_VERSION";
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_test = matches!(
            path.file_stem().and_then(OsStr::to_str),
            Some("tests" | "table" | "fixtures")
        );
        if is_test {
            continue;
        }
        if path.is_dir() {
            named_in(&path, names);
        } else if path.extension() == Some(OsStr::new("rs")) {
            let source = std::fs::read_to_string(&path).unwrap();
            let code =
                source.split_once("#[cfg(test)]\nmod tests {").map_or(&*source, |(code, _)| code);
            let is_setting = |text: &&str| {
                is_variable(text)
                    && *text != OF_THE_BUILD
                    && PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            };
            names.extend(code.split('"').filter(is_setting).map(str::to_owned));
        }
    }
}

#[test]
fn every_variable_that_the_code_names_has_a_row() {
    let mut named = BTreeSet::new();
    named_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    assert!(named.len() > 80, "{named:?}");
    let rows = variables(parts().0);
    for name in named {
        // A row names the variable of all signals, and how one signal's is made of it.
        let of_all = name.replace("_OTLP_TRACES_", "_OTLP_").replace("_OTLP_METRICS_", "_OTLP_");
        let has_row = rows.contains(name.as_str()) || rows.contains(of_all.as_str());
        assert!(has_row, "{name} is in no row");
    }
}

#[test]
fn the_default_that_a_row_names_is_the_one_in_force() {
    let rows = parts().0.lines().filter(|line| line.starts_with("| `"));
    let mut compared = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let default = cells[2].split(" (").next().unwrap().trim_matches('`');
        let variables: Vec<_> = cells[0].split('`').filter(|text| is_variable(text)).collect();
        let number = default.parse::<u64>().is_ok();
        for (variable, _, _, without, _) in
            PROOFS.iter().filter(|(name, ..)| variables.contains(name))
        {
            if number && without.parse::<u64>().is_ok() {
                assert_eq!(*without, default, "{variable}");
                compared += 1;
            }
        }
    }
    assert!(compared > 12, "{compared}");
}

#[test]
fn what_is_not_honoured_changes_nothing() {
    let default = in_force(None);
    let unheard = variables(parts().1);
    assert!(unheard.len() > 10, "{unheard:?}");
    for variable in unheard {
        let set = in_force(Some((variable, "1")));
        assert_eq!(format!("{:?}", set.config), format!("{:?}", default.config), "{variable}");
        assert_eq!(set.faults, [], "{variable}");
    }
}

#[test]
fn the_argument_of_a_sampler_is_its_ratio() {
    let read = |ratio| {
        let vars = std::collections::HashMap::from([
            ("OTEL_TRACES_SAMPLER", "ParentBased_TraceIdRatio"),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
        ]);
        let mut reader = Reader::new(&vars);
        let config = Config::read(&Overrides::default(), &mut reader);
        (format!("{:?}", config.sampler), reader.into_faults().len())
    };
    assert_eq!(read("0.25"), ("ParentBased(TraceIdRatioBased(0.25))".to_owned(), 0));
    for wrong in ["1.5", "-0.1", "NaN", "half"] {
        assert_eq!(read(wrong), (PARENT_ON.to_owned(), 1), "{wrong}");
    }
}
