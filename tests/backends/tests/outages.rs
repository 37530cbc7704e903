//! Each back end in turn is away for a while, under load: no line is lost, every span arrives or is counted as dropped, and the
//! others notice nothing.
//!
//! `SPANLINE_OUTAGE_SECONDS` and `SPANLINE_OUTAGE_RATE` say how long and at how many requests a second; `tests/backends/run
//! --outages` takes a minute and 1,000.

use std::time::Duration;

use spanline_backends::{Kind, Load, Loki, Prometheus, Relay, Tempo, configuration, program, sum};
use spanline_demo::launcher::Role;
use spanline_tests::{Chain, eventually, get};
use tokio::time::sleep;

/// Of load before and after an outage.
const AROUND: Duration = Duration::from_secs(3);
/// How many traces are looked for in the end.
const SAMPLES: u64 = 100;
const REQUESTS: &str = "http_server_request_duration_seconds_count{http_route=\"/something\"}";
/// A minute's lines come at once when it is over.
const GENEROUS: [&str; 4] = [
    "-distributor.ingestion-rate-limit-mb=1000",
    "-distributor.ingestion-burst-size-mb=1000",
    "-ingester.per-stream-rate-limit=1GB",
    "-ingester.per-stream-rate-limit-burst=1GB",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    Loki,
    Tempo,
    Prometheus,
}

#[tokio::test]
async fn loki_is_away() {
    Scene::set().await.unwrap().play(Away::Loki).await;
}

#[tokio::test]
async fn tempo_is_away() {
    Scene::set().await.unwrap().play(Away::Tempo).await;
}

#[tokio::test]
async fn prometheus_is_away() {
    Scene::set().await.unwrap().play(Away::Prometheus).await;
}

struct Scene {
    loki: Loki,
    tempo: Tempo,
    prometheus: Prometheus,
    agent: Relay,
    chain: Chain,
}

impl Scene {
    async fn set() -> Result<Self, String> {
        let (loki, tempo, prometheus) =
            tokio::join!(Loki::start_with(&GENEROUS), Tempo::start(), Prometheus::start());
        let text = |error: std::io::Error| error.to_string();
        let (loki, tempo) = (loki.map_err(text)?, tempo.map_err(text)?);
        let prometheus = prometheus.map_err(text)?;
        let mut chain = Chain::prepare(program!()).map_err(|error| error.to_string())?;
        let pods = chain.demo().folder().join("pods");
        let ports = chain.demo().ports().clone();
        let kind = Kind::Agent(program!());
        let (loki_url, tempo_at) = (loki.url(), tempo.otlp_grpc());
        let (grpc, http) = (ports.otlp_grpc, ports.otlp_http);
        let seed = configuration::seed(kind, &pods, loki_url, tempo_at, grpc, http);
        let metrics = format!(
            "exporters:\n  otlphttp:\n    endpoint: {}/api/v1/otlp\n\
             service:\n  pipelines:\n    metrics:\n      exporters: [otlphttp]\n",
            prometheus.url()
        );
        let agent = Relay::start(kind, &[seed, metrics]).await.map_err(text)?;
        for role in [Role::Python, Role::Node] {
            chain.start_one(role).await.map_err(|error| error.to_string())?;
        }
        Ok(Self { loki, tempo, prometheus, agent, chain })
    }

    async fn play(mut self, away: Away) {
        let (outage, per_second) =
            (setting("SPANLINE_OUTAGE_SECONDS", 8), setting("SPANLINE_OUTAGE_RATE", 200));
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        let url = self.chain.demo().something_url();
        let load = Load::start(url, per_second).unwrap_or_else(|error| panic!("{error}"));
        sleep(AROUND).await;
        match away {
            Away::Loki => self.loki.stop().await,
            Away::Tempo => self.tempo.stop().await,
            Away::Prometheus => self.prometheus.stop().await,
        }
        // How long it is away is what is tested.
        sleep(Duration::from_secs(outage)).await;
        self.others_are_undisturbed(away, load.answered()).await;
        let started = match away {
            Away::Loki => self.loki.start().await,
            Away::Tempo => self.tempo.start().await,
            Away::Prometheus => self.prometheus.start().await,
        };
        started.unwrap_or_else(|error| panic!("{error}"));
        sleep(AROUND).await;
        let (answered, failed) = load.stop().await;
        assert_eq!(failed, 0, "of {answered} requests");
        let lines = self.no_line_is_lost().await;
        let (ended, dropped) = self.every_span_arrives_or_is_counted().await;
        self.traces_are_whole(answered, dropped).await;
        self.requests_are_counted(answered).await;
        println!(
            "| {away:?} away for {outage} s at {per_second}/s | {answered} requests | {lines} lines, 0 lost | \
             {ended} spans, {dropped} dropped and counted |"
        );
    }

    /// What was answered a moment ago has arrived everywhere else.
    async fn others_are_undisturbed(&self, away: Away, answered: u64) {
        let recent = Load::trace_id(answered - 1);
        if away != Away::Loki {
            eventually("Loki has a recent line", async || {
                let query = format!("{{container=\"api-node\"}} |= `{recent}`");
                match self.loki.entries("fake", &query).await?.len() {
                    0 => Err("it has none".to_owned()),
                    _ => Ok(()),
                }
            })
            .await;
        }
        if away != Away::Tempo {
            eventually("Tempo has a recent trace", async || self.tempo.services(&recent).await)
                .await;
        }
        if away != Away::Prometheus {
            self.requests_are_counted(answered).await;
        }
    }

    /// Every line that a service has written is one of Loki's, once; how many there are.
    async fn no_line_is_lost(&mut self) -> u64 {
        let mut lines = 0;
        for service in [Role::Node, Role::Python] {
            let written = self.of_service(service, "spanline_lines_written_total").await;
            assert_eq!(self.of_service(service, "spanline_lines_dropped_total").await, 0);
            let query = format!("{{container=\"{}\"}}", service.name());
            eventually("Loki has every line, once", async || {
                match self.loki.count(&query).await? {
                    count if count == written => Ok(()),
                    count => Err(format!("{count} of {written} of {}", service.name())),
                }
            })
            .await;
            lines += written;
        }
        lines
    }

    /// How many have ended, and how many of them were dropped.
    async fn every_span_arrives_or_is_counted(&mut self) -> (u64, u64) {
        let [mut ended, mut exported, mut dropped] = [0; 3];
        for service in [Role::Node, Role::Python] {
            eventually("no span waits in a service", async || {
                match self.of_service(service, "spanline_spans_queued").await {
                    0 => Ok(()),
                    queued => Err(format!("{queued} wait")),
                }
            })
            .await;
            ended += self.of_service(service, "spanline_spans_ended_total").await;
            exported += self.of_service(service, "spanline_spans_exported_total").await;
            dropped += self.of_service(service, "spanline_spans_dropped_total").await;
        }
        assert_eq!(ended, exported + dropped);
        let (delivered, given_up) =
            eventually("every span of the agent's has an end", async || {
                let delivered = self.of_agent("exported_items", "traces").await?;
                let given_up = self.of_agent("dropped_items", "traces").await?;
                // One that was sent again after a receiver's silence is there twice.
                if delivered + given_up >= exported {
                    Ok((delivered, given_up))
                } else {
                    Err(format!("{delivered} delivered, {given_up} given up, of {exported}"))
                }
            })
            .await;
        assert_eq!((delivered, given_up), (exported, 0));
        if dropped > 0 {
            let refused = self.of_agent("refused_requests", "traces").await;
            let refused = refused.unwrap_or_else(|error| panic!("{error}"));
            assert!(refused > 0, "{dropped} spans were dropped before the agent's queue was full");
        }
        (ended, dropped)
    }

    async fn traces_are_whole(&self, answered: u64, dropped: u64) {
        if dropped > 0 {
            return;
        }
        for sample in 0..SAMPLES {
            let trace_id = Load::trace_id(sample * answered / SAMPLES);
            eventually("Tempo has the whole trace", async || {
                let services = self.tempo.services(&trace_id).await?;
                if services.len() == 2 { Ok(()) } else { Err(format!("{trace_id}: {services:?}")) }
            })
            .await;
        }
    }

    async fn requests_are_counted(&self, at_least: u64) {
        eventually("Prometheus has counted the requests", async || {
            let series = self.prometheus.query(REQUESTS).await?;
            let counted: f64 =
                series.iter().filter_map(|series| series.value.parse::<f64>().ok()).sum();
            if counted >= at_least as f64 {
                Ok(())
            } else {
                Err(format!("{counted} of {at_least}"))
            }
        })
        .await;
    }

    async fn of_service(&mut self, service: Role, family: &str) -> u64 {
        let ports = self.chain.demo().ports().clone();
        let port = match service {
            Role::Node => ports.api_node_metrics,
            _ => ports.api_python_metrics,
        };
        let url = format!("http://127.0.0.1:{port}/metrics");
        let (_, text) = get(&url, &[]).await.unwrap_or_else(|error| panic!("{error}"));
        sum(&text, family, "")
    }

    async fn of_agent(&self, family: &str, signal: &str) -> Result<u64, String> {
        let family = format!("spanline_agent_{family}_total");
        let (_, text) = get(self.agent.metrics_url(), &[]).await?;
        Ok(sum(&text, &family, &format!("signal=\"{signal}\"")))
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
