//! Configurations of the Collector, with the addresses and folders of this machine.

use std::io;
use std::path::Path;

use crate::{Kind, free_port};

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

/// The ports between two of them, one before the other.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    grpc_port: u16,
    http_port: u16,
}

impl Between {
    /// Free ones.
    ///
    /// # Errors
    /// There are none.
    pub fn any() -> io::Result<Self> {
        Ok(Self { grpc_port: free_port()?, http_port: free_port()? })
    }

    /// Where the one behind takes OTLP over gRPC.
    pub fn grpc_port(self) -> u16 {
        self.grpc_port
    }

    /// Takes what services send and write, and hands all of it on by `exporter`.
    pub fn before(
        self,
        kind: Kind<'_>,
        pods: &Path,
        grpc_port: u16,
        http_port: u16,
        exporter: &str,
    ) -> String {
        let pods = pods.display();
        let endpoint = match exporter {
            "otlp" => format!("127.0.0.1:{}", self.grpc_port),
            _ => format!("http://127.0.0.1:{}", self.http_port),
        };
        let own_metrics = own_metrics(kind);
        format!(
            "
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: '127.0.0.1:{grpc_port}' }}
      http: {{ endpoint: '127.0.0.1:{http_port}' }}
  filelog:
    include: ['{pods}/*/*/*.log']
    start_at: beginning
    include_file_path: true
    operators: [{{ type: container }}]
exporters:
  {exporter}:
    endpoint: {endpoint}
    tls: {{ insecure: true }}
extensions:
  health_check: {{ endpoint: '127.0.0.1:HEALTH_PORT' }}
service:
  extensions: [health_check]
  telemetry: {{ metrics: {own_metrics} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [{exporter}] }}
    metrics: {{ receivers: [otlp], exporters: [{exporter}] }}
    logs: {{ receivers: [filelog], exporters: [{exporter}] }}
"
        )
    }

    /// Takes what the other one hands on, and sends it to the back ends.
    pub fn behind(self, kind: Kind<'_>, loki: &str, tempo: &str) -> String {
        let (grpc_port, http_port) = (self.grpc_port, self.http_port);
        let own_metrics = own_metrics(kind);
        format!(
            "
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: '127.0.0.1:{grpc_port}' }}
      http: {{ endpoint: '127.0.0.1:{http_port}' }}
processors:
  resource:
    attributes:
      - {{ action: insert, key: loki.format, value: json }}
      - action: insert
        key: loki.resource.labels
        value: k8s.namespace.name, k8s.pod.name, k8s.container.name
exporters:
  loki: {{ endpoint: '{loki}/loki/api/v1/push' }}
  otlp:
    endpoint: {tempo}
    tls: {{ insecure: true }}
  debug: {{ verbosity: basic }}
extensions:
  health_check: {{ endpoint: '127.0.0.1:HEALTH_PORT' }}
service:
  extensions: [health_check]
  telemetry: {{ metrics: {own_metrics} }}
  pipelines:
    traces: {{ receivers: [otlp], exporters: [otlp] }}
    metrics: {{ receivers: [otlp], exporters: [debug] }}
    logs: {{ receivers: [otlp], processors: [resource], exporters: [loki] }}
"
        )
    }
}

/// What `service::telemetry::metrics` says: the Collector's own metrics would take a port.
pub fn own_metrics(kind: Kind<'_>) -> &'static str {
    match kind {
        Kind::Agent(_) => "{}",
        Kind::Collector => "{ level: none }",
    }
}
