//! What Loki refuses is counted by its reason, and what it can take arrives.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use spanline_backends::{Kind, Loki, Relay, configuration, free_port, program};
use spanline_tests::{eventually, get};

#[tokio::test]
async fn lines_too_old_too_long_or_out_of_order_are_counted_and_the_others_arrive() {
    let scene = Scene::set(&[]).await.unwrap();
    scene.write("web", 0, "first").unwrap();
    scene.write("web", 10, &"x".repeat(300 * 1024)).unwrap();
    scene.write("web", 20, "second").unwrap();
    scene.has("web", 2).await;
    // Loki takes what is an hour behind its newest, and no more.
    scene.write("web", 30 * 60, "half an hour ago").unwrap();
    scene.write("web", 5 * 3_600, "five hours ago").unwrap();
    scene.counted("too_far_behind", 1).await;
    scene.write("web", 9 * 24 * 3_600, "nine days ago").unwrap();
    scene.counted("greater_than_max_sample_age", 1).await;
    scene.write("web", 0, "third").unwrap();
    scene.has("web", 4).await;
    scene.counted("line_too_long", 1).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_counted_and_the_others_arrive() {
    let scene = Scene::set(&["-ingester.max-global-streams-per-user=2"]).await.unwrap();
    for pod in ["one", "two"] {
        scene.write(pod, 0, "of the first two").unwrap();
        scene.has(pod, 1).await;
    }
    for _ in 0..3 {
        scene.write("three", 0, "one stream too many").unwrap();
    }
    scene.counted("stream_limit", 3).await;
    scene.write("one", 0, "still taken").unwrap();
    scene.has("one", 2).await;
    scene.has("three", 0).await;
}

#[tokio::test]
async fn what_comes_too_fast_comes_later() {
    let slow =
        ["-distributor.ingestion-rate-limit-mb=0.5", "-distributor.ingestion-burst-size-mb=1"];
    let scene = Scene::set(&slow).await.unwrap();
    // Several times what Loki takes at once; it answers 429 to the rest.
    for _ in 0..40 {
        scene.write("web", 0, &"y".repeat(50 * 1024)).unwrap();
    }
    scene.has("web", 40).await;
    let failures = scene.of_agent("spanline_agent_export_failures_total", "").await.unwrap();
    assert!(failures > 0, "Loki never answered 429, so nothing is shown");
    assert_eq!(scene.of_agent("spanline_agent_dropped_items_total", "").await.unwrap(), 0);
}

struct Scene {
    loki: Loki,
    agent: Relay,
    pods: tempfile::TempDir,
}

impl Scene {
    async fn set(flags: &[&str]) -> io::Result<Self> {
        let loki = Loki::start_with(flags).await?;
        let pods = tempfile::tempdir()?;
        let kind = Kind::Agent(program!());
        let (grpc, http) = (free_port()?, free_port()?);
        let seed = configuration::seed(kind, pods.path(), loki.url(), "127.0.0.1:1", grpc, http);
        let agent = Relay::start(kind, &[seed]).await?;
        Ok(Self { loki, agent, pods })
    }

    /// Appends a line of so many seconds ago to a pod's log.
    fn write(&self, pod: &str, seconds_ago: u64, text: &str) -> io::Result<()> {
        let folder = format!("shop_{pod}_0a1b2c3d-0000-4000-8000-00000000000a/app");
        let folder = self.pods.path().join(Path::new(&folder));
        fs::create_dir_all(&folder)?;
        let time = Timestamp::now() - Duration::from_secs(seconds_ago);
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.%9fZ");
        let mut file = fs::File::options().create(true).append(true).open(folder.join("0.log"))?;
        writeln!(file, "{time} stdout F {text}")
    }

    async fn has(&self, pod: &str, lines: usize) {
        eventually(&format!("Loki has {lines} lines of {pod}"), async || {
            let query = format!("{{pod=\"{pod}\"}}");
            match self.loki.entries("fake", &query).await?.len() {
                found if found == lines => Ok(()),
                found => Err(format!("{found}")),
            }
        })
        .await;
    }

    async fn counted(&self, reason: &str, count: u64) {
        let label = format!("reason=\"{reason}\"");
        eventually(&format!("{count} dropped, {reason}"), async || {
            match self.of_agent("spanline_agent_dropped_items_total", &label).await? {
                found if found == count => Ok(()),
                _ => Err(get(self.agent.metrics_url(), &[]).await?.1),
            }
        })
        .await;
    }

    async fn of_agent(&self, family: &str, label: &str) -> Result<u64, String> {
        let (_, text) = get(self.agent.metrics_url(), &[]).await?;
        Ok(spanline_backends::sum(&text, family, label))
    }
}
