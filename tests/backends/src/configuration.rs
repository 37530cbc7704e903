//! Configurations of the Collector, with the addresses and folders of this machine.

use std::path::Path;

use crate::Kind;

const SEED: &str = include_str!("../../fixtures/collector-config/collector-rendered-2023.yaml");

/// What the project that Spanline began from really ran, for `kind`; unchanged but for addresses and folders, which are loopback,
/// the pods in `pods`, and the two back ends at `loki` (a URL) and `tempo` (host and port). Its OTLP receivers are at the given ports.
pub fn seed(
    kind: Kind<'_>,
    pods: &Path,
    loki: &str,
    tempo: &str,
    grpc_port: u16,
    http_port: u16,
) -> String {
    let config = SEED
        .replace("/var/log/pods", &pods.display().to_string())
        .replace("/var/lib/otelcol", "STATE")
        .replace("http://loki.default.svc.cluster.local:3100", loki)
        .replace("tempo.default.svc.cluster.local:4317", tempo)
        .replace("${env:MY_POD_IP}:4317", &format!("${{env:MY_POD_IP}}:{grpc_port}"))
        .replace("${env:MY_POD_IP}:4318", &format!("${{env:MY_POD_IP}}:{http_port}"))
        .replace("health_check: {}", "health_check: { endpoint: 127.0.0.1:HEALTH_PORT }");
    match kind {
        Kind::Agent(_) => config.replace("${env:MY_POD_IP}:8888", "${env:MY_POD_IP}:METRICS_PORT"),
        // Two things of 2023 that the Collector of today refuses.
        Kind::Collector => config
            .replace("  logging: {}\n", "")
            .replace("address: ${env:MY_POD_IP}:8888", "level: none"),
    }
}
