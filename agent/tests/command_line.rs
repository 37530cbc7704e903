//! The binary as an operator meets it: exit codes, one clear line, signals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helper may unwrap as a test may"
)]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes, on however busy a machine.
const DEADLINE: Duration = Duration::from_secs(30);
const PORTS: [&str; 6] = [
    "SPANLINE_OTLP_GRPC_PORT",
    "SPANLINE_OTLP_HTTP_PORT",
    "SPANLINE_HEALTH_PORT",
    "SPANLINE_SELF_METRICS_PORT",
    "SPANLINE_PROMETHEUS_PORT",
    "SPANLINE_WEB_PORT",
];

/// An agent on free ports, with `state` for its state and no pods.
fn agent(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanline-agent"));
    command.arg("--state").arg(state).envs(PORTS.map(|port| (port, "0"))).stderr(Stdio::piped());
    command.arg("--pods").arg(state.join("no-pods"));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait(mut child: Child) -> Output {
    let asked = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if asked.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("still running: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_taken_port_ends_the_start_with_one_line_and_code_2() {
    let state = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = agent(state.path()).env("SPANLINE_WEB_PORT", &port).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(&port) && told.contains("SPANLINE_WEB_PORT"), "{told}");
}

#[test]
fn wrong_settings_are_told_together() {
    let state = tempfile::tempdir().unwrap();
    let mut agent = agent(state.path());
    agent.env("SPANLINE_WEB_PORT", "web").args(["--listen", "everywhere"]);
    let output = agent.output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("everywhere") && told.contains("SPANLINE_WEB_PORT"), "{told}");
}

#[test]
fn a_running_agent_is_healthy_and_ends_with_code_0_on_sigterm() {
    let state = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let child = agent(state.path()).env("SPANLINE_HEALTH_PORT", &port).spawn().unwrap();
    let asked = Instant::now();
    loop {
        let mut health = agent(state.path());
        let health = health.env("SPANLINE_HEALTH_PORT", &port).arg("health").output().unwrap();
        if health.status.success() {
            break;
        }
        assert!(asked.elapsed() < DEADLINE, "{}", text(&health.stderr));
        std::thread::sleep(Duration::from_millis(10));
    }
    let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    let output = wait(child);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn health_says_so_when_nobody_answers() {
    let state = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let mut health = agent(state.path());
    let output = health.env("SPANLINE_HEALTH_PORT", port).arg("health").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
}

#[test]
fn what_is_in_force_is_printed() {
    let state = tempfile::tempdir().unwrap();
    let output = agent(state.path()).arg("print-config").output().unwrap();
    assert!(output.status.success());
    let yaml = text(&output.stdout);
    assert!(yaml.contains("spanline_store:") && yaml.contains("127.0.0.1:0"), "{yaml}");
}

/// A folder with a configuration in it.
fn with_file(yaml: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agent.yaml");
    std::fs::write(&file, yaml).unwrap();
    (dir, file)
}

fn with_config(command: &str, file: &Path) -> Command {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_spanline-agent"));
    agent.arg(command).arg("--config").arg(file);
    agent
}

const RIGHT: &str = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}
exporters: {spanline_store: {directory: '${env:STORE}'}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [spanline_store]}}}
";

#[test]
fn a_right_configuration_is_valid_and_nothing_is_said_about_it() {
    let (_dir, file) = with_file(RIGHT);
    let output = with_config("validate", &file).env("STORE", "somewhere").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
}

#[test]
fn every_fault_of_a_wrong_configuration_is_told_with_code_2() {
    let (_dir, file) =
        with_file(&RIGHT.replace("protocols", "protcols").replace("traces", "spans"));
    let output = with_config("validate", &file).env("STORE", "somewhere").output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in ["receivers::otlp::protcols", "agent.yaml:2", "service::pipelines::spans"] {
        assert!(told.contains(part), "{told}");
    }
    let missing = with_config("validate", Path::new("/no/such/file.yaml")).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("/no/such/file.yaml"), "{}", text(&missing.stderr));
}

#[test]
fn several_configurations_are_merged_and_what_is_given_moves_no_default() {
    let (_dir, file) = with_file(RIGHT);
    let (_over, over) =
        with_file("receivers: {otlp: {protocols: {grpc: {endpoint: ':4317'}, http: null}}}");
    let mut print = with_config("print-config", &file);
    let output = print.arg("--config").arg(&over).env("STORE", "somewhere").output().unwrap();
    let yaml = text(&output.stdout);
    assert!(
        yaml.contains("grpc:") && !yaml.contains("http:") && yaml.contains("somewhere"),
        "{yaml}"
    );
    let output = with_config("validate", &file).args(["--state", "elsewhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--state"), "{}", text(&output.stderr));
}

#[test]
fn the_components_are_listed_without_a_configuration() {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_spanline-agent"));
    let output = agent.arg("components").env_remove("HOME").output().unwrap();
    assert!(output.status.success());
    let listed = text(&output.stdout);
    for part in ["receivers:\n", "- filelog (also file_log): logs\n", "- spanline_store"] {
        assert!(listed.contains(part), "{listed}");
    }
}
