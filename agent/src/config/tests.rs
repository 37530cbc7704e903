use std::collections::HashMap;

use super::component::Kind;
use super::*;

fn flags() -> Flags {
    Flags { state: Some("state".into()), ..Flags::default() }
}

fn embedded(flags: &Flags) -> String {
    Config::from_flags(flags, &HashMap::new()).unwrap().to_yaml()
}

#[test]
fn everything_listens_on_loopback_at_the_collectors_ports() {
    let yaml = embedded(&flags());
    for port in [4317, 4318, 13133, 8888, 8889, 9880] {
        assert!(yaml.contains(&format!(": 127.0.0.1:{port}\n")), "{yaml}");
    }
}

#[test]
fn listen_moves_the_otlp_listeners_and_no_other() {
    let yaml = embedded(&Flags { listen: Some("0.0.0.0".into()), ..flags() });
    assert!(yaml.contains("0.0.0.0:4317") && yaml.contains("127.0.0.1:9880"), "{yaml}");
    let yaml = embedded(&Flags { listen: Some("::1".into()), ..flags() });
    assert!(yaml.contains("\"[::1]:4317\""), "{yaml}");
}

#[test]
fn all_faults_of_the_settings_are_told_at_once() {
    let vars = HashMap::from([("SPANLINE_WEB_PORT", "high"), ("SPANLINE_HEALTH_PORT", "70000")]);
    let told = Config::from_flags(&flags(), &vars).unwrap_err().to_string();
    for part in ["\"127.0.0.1:high\" (from SPANLINE_WEB_PORT)", "\"127.0.0.1:70000\""] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn what_is_in_force_is_shown_as_the_collectors_yaml_and_gives_the_same_again() {
    let flags = Flags { pods: Some("pods dir".into()), ..flags() };
    let config = Config::from_flags(&flags, &HashMap::new()).unwrap();
    let yaml = config.to_yaml();
    assert!(yaml.contains("- \"pods dir/*/*/*.log\""), "{yaml}");
    let again = Config::from_yaml(&yaml, "printed", &HashMap::new()).unwrap();
    assert_eq!(again.to_yaml(), yaml);
    assert_eq!(again.pipelines, config.pipelines);
}

const SMALL: &str = "
receivers: {otlp: {protocols: {grpc:}}}
exporters: {spanline_store: {directory: d}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [spanline_store]}}}
";

fn faults(yaml: &str) -> Vec<String> {
    let error = Config::from_yaml(yaml, "c.yaml", &HashMap::new()).unwrap_err();
    error.faults.iter().map(ToString::to_string).collect()
}

fn over(first: &str, second: &str) -> Result<Config, ConfigError> {
    let sources = [Source { name: "1.yaml", text: first }, Source { name: "2.yaml", text: second }];
    Config::from_sources(&sources, true, &HashMap::new(), Findings::default())
}

#[test]
fn a_protocol_without_settings_has_its_defaults_and_one_that_is_not_named_is_not_served() {
    let config = Config::from_yaml(SMALL, "c.yaml", &HashMap::new()).unwrap();
    let Receiver::Otlp(otlp) = &config.receivers[0].settings else { panic!("{config:?}") };
    assert_eq!(otlp.grpc.as_ref().unwrap().serving.endpoint.text, "localhost:4317");
    assert_eq!(otlp.http, None);
    assert_eq!(config.telemetry.metrics, None, "nothing is added to what is named");
}

#[test]
fn every_fault_is_told_with_its_path_and_its_place() {
    let told = faults(
        "receivers:
  otlp:
    protocols:
      grpc: {endpoint: 4317}
  tcplog: {}
exporters:
  spanline_store:
    directry: d
processors: []
service:
  pipelines:
    traces/1:
      receivers: [otlp, kafka]
      exporters: [spanline_store]
    spans:
      receivers: [otlp]
    metrics:
      receivers: [otlp]
",
    );
    let expected = [
        "receivers::otlp::protocols::grpc::endpoint (c.yaml:4): \"4317\", where an address",
        "receivers::tcplog (c.yaml:5): the type \"tcplog\" is not supported; supported are filelog, otlp",
        "processors (c.yaml:9): a list, where a map of processors",
        "exporters::spanline_store::directory (c.yaml:8): missing",
        "exporters::spanline_store::directry (c.yaml:8): not a key that is supported here; supported are cluster, \
         directory, max_age, max_bytes",
        "service::pipelines::traces/1 (c.yaml:13): references receiver \"kafka\" which is not configured",
        "service::pipelines::spans (c.yaml:15): \"spans\" is no signal",
        "service::pipelines::metrics (c.yaml:18): must have at least one exporter",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn a_component_that_null_removes_is_gone_from_its_pipelines() {
    let config = over(
        &SMALL.replace("receivers: [otlp]", "receivers: [otlp, otlp/2]"),
        "receivers: {otlp/2: {protocols: {http: {}}}}\n",
    );
    assert_eq!(config.unwrap().receivers.len(), 2);
    let jaeger = SMALL
        .replace("receivers: [otlp]", "receivers: [otlp, jaeger]")
        .replace("receivers: {", "receivers: {jaeger: {protocols: {}}, ");
    let told = over(&jaeger, "").unwrap_err().to_string();
    assert!(told.contains("\"jaeger\" is not supported"), "{told}");
    let config = over(&jaeger, "receivers: {jaeger: null}").unwrap();
    assert_eq!(config.pipelines[0].receivers.len(), 1);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    let told = over(SMALL, "receivers: {otlp: null}").unwrap_err().to_string();
    assert!(told.contains("must have at least one receiver"), "{told}");
}

#[test]
fn what_nothing_uses_is_warned_of_and_not_started() {
    let config = over(SMALL, "exporters: {spanline_store/2: {directory: e}}").unwrap();
    assert_eq!(config.exporters.len(), 1);
    assert!(
        config.warnings[0].to_string().starts_with("exporters::spanline_store/2"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn storage_and_page_must_have_what_they_stand_on() {
    let tailing = SMALL.replace(
        "receivers: {",
        "receivers: {filelog: {include: ['/p/*/*/*.log'], start_at: beginning, \
        storage: file_storage, operators: [{type: container}, {type: spanline_parser}]}, ",
    );
    let told = over(&tailing, "extensions: {file_storage: {}}").unwrap_err().to_string();
    assert!(
        told.contains("storage \"file_storage\" is no file_storage that service::extensions"),
        "{told}"
    );
    over(&tailing, "{extensions: {file_storage: {}}, service: {extensions: [file_storage]}}")
        .unwrap();
    let two = "{exporters: {spanline_store/2: {directory: e}}, extensions: {spanline_web: {}}, service: {\
        extensions: [spanline_web], pipelines: {logs: {receivers: [otlp], exporters: [spanline_store/2]}}}}";
    let told = over(SMALL, two).unwrap_err().to_string();
    assert!(told.contains("the pipelines use 2"), "{told}");
}

const DOCUMENTATION: &str = include_str!("../../../docs/agent-configuration.md");

/// The keys that the table below `heading` lists.
fn documented(heading: &str) -> Vec<String> {
    let heading = format!("\n### {heading}\n");
    let (_, section) =
        DOCUMENTATION.split_once(&heading).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n#").next().unwrap();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
    let mut keys: Vec<_> = section.lines().filter_map(row).collect();
    keys.sort_unstable();
    keys
}

/// The keys that a component asks for; those of maps in lists have `[]` for the number.
fn asked<T>(kind: &Kind<T>) -> Vec<String> {
    let (node, findings) = (yaml::parse(kind.sample, "sample").unwrap(), Findings::default());
    let settings = (kind.read)(&mut Section::new("", Some(&node), &findings));
    assert!(
        settings.is_some() && findings.faults().is_empty(),
        "{}: {:?}",
        kind.name,
        findings.faults()
    );
    asked_keys(&findings)
}

fn asked_keys(findings: &Findings) -> Vec<String> {
    let number =
        |part: &str| if part.parse::<usize>().is_ok() { "[]".to_owned() } else { part.to_owned() };
    let path = |path: &String| path.split("::").map(number).collect::<Vec<_>>().join("::");
    let mut keys: Vec<String> = findings.asked().iter().map(path).collect();
    let all = keys.clone();
    keys.retain(|key| !all.iter().any(|other| other.starts_with(&format!("{key}::"))));
    // What several components have has a table of its own; the receiver's `retry_on_failure` is another.
    let has_queue = all.iter().any(|key| key.starts_with("sending_queue::"));
    let shared = ["tls", "sending_queue", "retry_on_failure"];
    let shared = if has_queue { &shared[..] } else { &shared[..1] };
    for key in &mut keys {
        for shared in shared {
            if let Some((before, _)) = key.split_once(&format!("{shared}::")) {
                *key = format!("{before}{shared}");
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The keys that a part of components asks for.
fn asked_of<T>(sample: &str, read: fn(&mut Section<'_>) -> T) -> Vec<String> {
    let (node, findings) = (yaml::parse(sample, "sample").unwrap(), Findings::default());
    read(&mut Section::new("", Some(&node), &findings));
    assert!(findings.faults().is_empty(), "{:?}", findings.faults());
    let asked = findings.asked();
    let mut keys: Vec<_> = asked.iter().filter(|key| key.contains("::")).cloned().collect();
    keys.iter_mut().for_each(|key| *key = key.trim_start_matches("tls::").to_owned());
    keys.sort_unstable();
    keys
}

fn assert_documented<T>(section: &str, kinds: &[Kind<T>]) {
    for kind in kinds {
        assert_eq!(asked(kind), documented(&format!("{section} `{}`", kind.name)));
    }
}

#[test]
fn every_key_is_in_the_documented_table_of_its_component_and_no_other() {
    assert_documented("receiver", receivers::KINDS);
    assert_documented("processor", processors::KINDS);
    assert_documented("exporter", exporters::KINDS);
    assert_documented("extension", extensions::KINDS);
    let client = asked_of("{}", |section| tls::grpc_client(section, true));
    assert_eq!(client, documented("`tls` of exporters"));
    assert_eq!(client, asked_of("{}", |section| tls::http_client(section, true)));
    let server = asked_of("tls: {cert_file: a, key_file: b}", tls::server);
    assert_eq!(server, documented("`tls` of what listens"));
    let delivery = asked_of("{}", delivery::usual_delivery);
    assert_eq!(delivery, documented("`sending_queue` and `retry_on_failure`"));
    for kind in &operators::KINDS {
        let (node, findings) = (yaml::parse(kind.sample, "sample").unwrap(), Findings::default());
        let mut section = Section::new("", Some(&node), &findings);
        assert!((kind.read)(&mut section).is_some(), "{}", kind.name);
        if kind.name == "router" {
            section.ask_for_all();
        }
        drop(section);
        assert_eq!(asked_keys(&findings), documented(&format!("operator `{}`", kind.name)));
    }
}

const SEED_2026: &str =
    include_str!("../../../tests/fixtures/collector-config/collector-rendered-2026.yaml");

#[test]
fn what_the_chart_makes_today_runs_without_the_receivers_that_are_not_there() {
    let without = "receivers: {jaeger: null, prometheus: null, zipkin: null}";
    let vars = HashMap::from([("MY_POD_IP", "10.1.2.3"), ("OTEL_K8S_NODE_NAME", "node-1")]);
    let sources = [
        Source { name: "2026.yaml", text: SEED_2026 },
        Source { name: "without.yaml", text: without },
    ];
    let config = Config::from_sources(&sources, true, &vars, Findings::default()).unwrap();
    assert_eq!(config.pipelines.len(), 3);
    let host = ("host.name".to_owned(), "node-1".to_owned());
    assert!(config.telemetry.resource.contains(&host), "{:?}", config.telemetry);
    let alone = faults(SEED_2026);
    let mut paths: Vec<_> = alone.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
    paths.sort_unstable();
    paths.dedup();
    let unsupported = ["receivers::jaeger", "receivers::prometheus", "receivers::zipkin"];
    assert!(unsupported.iter().all(|path| paths.contains(path)), "{alone:#?}");
}

const SEED_2023: &str =
    include_str!("../../../tests/fixtures/collector-config/collector-rendered-2023.yaml");

#[test]
fn what_the_seeds_collector_ran_is_accepted_as_it_is() {
    let vars = HashMap::from([("MY_POD_IP", "127.0.0.1")]);
    let config = Config::from_yaml(SEED_2023, "c.yaml", &vars).unwrap();
    assert_eq!(config.exporters.len(), 3, "{config:?}");
}

#[test]
fn operators_are_checked_before_anything_runs() {
    let told = |operators: &str| {
        let yaml = SMALL.replace(
            "receivers: {",
            &format!("receivers: {{filelog: {{include: ['/p/*/*/*.log'], start_at: beginning, operators: {operators}}}, "),
        );
        faults(&yaml).join("\n")
    };
    for (operators, expected) in [
        (
            "[{type: csv_parser, header: a}]",
            "the operator \"csv_parser\" is not supported; supported are add, ",
        ),
        (
            "[{type: move, from: a, to: body}]",
            "operators::0::from (c.yaml:2): \"a\", where a field such as",
        ),
        ("[{type: move, from: body}]", "operators::0::to (c.yaml:2): missing"),
        ("[{type: regex_parser, regex: '(?P<a'}]", "is no pattern"),
        ("[{type: regex_parser, regex: '^a$'}]", "no named group"),
        ("[{type: noop, output: x}]", "there is no operator \"x\""),
        (
            "[{type: noop, id: a, output: b}, {type: noop, id: b, output: a}]",
            "\"a\" leads back to itself",
        ),
        ("[{type: noop, id: a}, {type: noop, id: a}]", "a second operator \"a\""),
        (
            "[{type: router, routes: [{expr: 'body == 1', output: a}]}]",
            "there is no operator \"a\"",
        ),
        ("[{type: router, routes: [{expr: '1 + 1.5 - 1', output: a}]}]", "neither true nor false"),
        ("[{type: add, field: body, value: EXPR(1 + )}]", "ends where a value is expected"),
        (
            "[{type: json_parser, timestamp: {parse_from: body, layout: '%Q'}}]",
            "%Q is not supported",
        ),
        ("[{type: noop, if: '('}]", "the condition \"(\" in if is not understood"),
        ("[{type: noop, on_error: stop}]", "where send, drop, send_quiet, drop_quiet is expected"),
        (
            "[{type: recombine, combine_field: body}]",
            "exactly one of is_first_entry and is_last_entry",
        ),
        ("[{type: filter, expr: 'true', drop_ratio: 2}]", "a number from 0 to 1"),
        ("[{type: container}]", "include_file_path is false"),
        (
            "[{type: time_parser, parse_from: body, layout: x, layout_type: epoch}]",
            "s, ms, us, ns, s.ms",
        ),
        (
            "[{type: severity_parser, parse_from: body, mapping: {bad: x}}]",
            "\"bad\" in mapping is no severity",
        ),
        ("[{type: key_value_parser, delimiter: ' '}]", "delimiter must not be empty"),
    ] {
        let told = told(operators);
        assert!(told.contains(expected), "{operators}:\n{told}");
    }
}

#[test]
fn settings_of_tls_that_would_do_nothing_or_harm_are_refused() {
    let told = |endpoint: &str, tls: &str| {
        let yaml = SMALL.replace(
            "exporters: {",
            &format!("exporters: {{otlp: {{endpoint: '{endpoint}', tls: {tls}}}, "),
        );
        match Config::from_yaml(&yaml, "c.yaml", &HashMap::new()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    };
    for (endpoint, tls, expected) in [
        ("tempo:4317", "{}", ""),
        ("tempo:4317", "{insecure: true}", ""),
        ("tempo:4317", "{insecure: true, reload_interval: 1s}", ""),
        ("https://tempo:4317", "{insecure: false, min_version: '1.3', ca_file: a}", ""),
        ("https://tempo:4317", "{insecure: true}", "begins with https://"),
        ("tempo:4317", "{insecure: true, ca_file: a}", "in which nothing else here acts"),
        ("tempo:4317", "{insecure_skip_verify: true}", "must be false: whoever stands between"),
        ("tempo:4317", "{ca_file: a, ca_pem: b}", "stand for the same"),
        ("tempo:4317", "{cert_file: a}", "go together, and one is missing"),
        ("tempo:4317", "{min_version: '1.1'}", "\"1.1\", where 1.2, 1.3 is expected"),
        ("tempo:4317", "{min_version: 1.3, max_version: 1.2}", "newer than max_version"),
        ("tempo:4317", "{server_name_override: 'a b'}", "a DNS name or an IP address"),
        ("tempo:4317", "{include_system_ca_certs_pool: true}", "beside ca_file or ca_pem only"),
        ("tempo:4317", "{curve_preferences: [X25519]}", "not a key that is supported here"),
    ] {
        let told = told(endpoint, tls);
        assert_eq!(told.is_empty(), expected.is_empty(), "{tls}: {told}");
        assert!(told.contains(expected), "{tls}: {told}");
    }
}

/// The small configuration with an exporter that names `authenticator`, and these extensions.
fn with_auth(authenticator: &str, extensions: &str, started: &str) -> Result<Config, ConfigError> {
    let yaml = SMALL
        .replace("exporters: {", &format!("extensions: {extensions}\nexporters: {{otlp: {{endpoint: 'a:1', headers: {{a: hidden}}, auth: {authenticator}}}, "))
        .replace("exporters: [", "exporters: [otlp, ")
        .replace("service: {", &format!("service: {{extensions: {started}, "));
    Config::from_yaml(&yaml, "c.yaml", &HashMap::from([("SET", "hidden")]))
}

#[test]
fn an_authenticator_is_an_extension_that_is_started_and_has_something_to_show() {
    let named = "{authenticator: bearertokenauth/a}";
    with_auth(named, "{bearertokenauth/a: {token: hidden}}", "[bearertokenauth/a]").unwrap();
    with_auth(
        "{authenticator: basicauth}",
        "{basicauth: {client_auth: {username: a, password_file: b}}}",
        "[basicauth]",
    )
    .unwrap();
    for (authenticator, extensions, started, expected) in [
        (named, "{bearertokenauth/a: {token: hidden}}", "[]", "is not in service::extensions"),
        (
            named,
            "{}",
            "[]",
            "exporters::otlp::auth::authenticator (c.yaml:4): \"bearertokenauth/a\" is no extension that is configured",
        ),
        ("{authenticator: health_check}", "{health_check: {}}", "[health_check]", "authenticates"),
        ("{}", "{}", "[]", "exporters::otlp::auth::authenticator (c.yaml:4): missing"),
        (
            named,
            "{bearertokenauth/a: {}}",
            "[bearertokenauth/a]",
            "exactly one of token, tokens and filename",
        ),
        (
            named,
            "{bearertokenauth/a: {token: hidden, filename: b}}",
            "[bearertokenauth/a]",
            "exactly one of",
        ),
        (
            named,
            "{bearertokenauth/a: {token: '${env:UNSET}'}}",
            "[bearertokenauth/a]",
            "exactly one of token",
        ),
        (
            named,
            "{bearertokenauth/a: {token: \"hid\\nden\"}}",
            "[bearertokenauth/a]",
            "cannot be sent",
        ),
        (
            named,
            "{bearertokenauth/a: {tokens: []}}",
            "[bearertokenauth/a]",
            "::tokens (c.yaml:3): empty",
        ),
        (
            "{authenticator: basicauth}",
            "{basicauth: {}}",
            "[basicauth]",
            "exactly one of client_auth",
        ),
        (
            "{authenticator: basicauth}",
            "{basicauth: {client_auth: {username: 'a:b', password: hidden}}}",
            "[basicauth]",
            "cannot be sent",
        ),
        (
            "{authenticator: basicauth}",
            "{basicauth: {client_auth: {username: a}}}",
            "[basicauth]",
            "one of password and password_file",
        ),
    ] {
        let told = with_auth(authenticator, extensions, started).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains("hid"), "{told}");
    }
}

#[test]
fn nobody_reads_a_secret_in_what_is_printed() {
    let extensions = "{bearertokenauth: {tokens: [hidden, '${env:SET}']}, basicauth: {client_auth: {username: a, password: hidden}}}";
    let config =
        with_auth("{authenticator: basicauth}", extensions, "[basicauth, bearertokenauth]")
            .unwrap();
    let all =
        format!("{config:?}{:?}{:?}{}", config.extensions, config.exporters, config.to_yaml());
    assert!(all.contains("***") && !all.contains("hidden"), "{all}");
}

#[test]
fn actions_of_processors_are_checked_before_anything_runs() {
    for (action, expected) in [
        ("{action: insert, key: a}", "has neither value nor from_attribute"),
        ("{action: insert, value: b}", "key is missing"),
        ("{action: insert, key: a, value: b, pattern: c}", "without a use for a pattern"),
        ("{action: insert, key: a, from_context: c}", "not a key that is supported here"),
        ("{action: delete}", "key is missing"),
        ("{action: delete, key: a, value: b}", "without a use for a value"),
        ("{action: hash, pattern: '('}", "\"(\" is no pattern"),
        ("{action: extract, key: a}", "pattern is missing"),
        ("{action: extract, key: a, pattern: '(a)'}", "each needs a name"),
        ("{action: convert, key: a}", "converted_type is missing"),
        ("{action: convert, key: a, converted_type: bool}", "string, int, double is expected"),
        ("{action: upsert, key: a, value: b, converted_type: int}", "use for converted_type"),
    ] {
        let yaml = SMALL.replace(
            "exporters: {spanline",
            &format!("processors: {{resource: {{attributes: [{action}]}}}}\nexporters: {{spanline"),
        );
        let told = faults(
            &yaml.replace("[spanline_store]}}}", "[spanline_store], processors: [resource]}}}"),
        )
        .join("\n");
        assert!(told.contains(expected), "{action}:\n{told}");
    }
}
