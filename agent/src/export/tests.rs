use std::sync::Mutex;

use super::*;
use crate::ack::{Ack, Outcome};
use crate::config::Retry;
use crate::queue::bounded;
use crate::record::SpanBatch;

/// Answers what it is told, in that order, and then takes everything.
struct Scripted(Mutex<Vec<Result<Answer, ExportError>>>);

impl Exporter for Scripted {
    fn export(&self, _: Arc<Batch>) -> Exporting<'_> {
        let mut script = self.0.lock().unwrap();
        let answer = if script.is_empty() { Ok(Answer::default()) } else { script.remove(0) };
        Box::pin(async { answer })
    }
}

fn spans(count: usize) -> Arc<Batch> {
    let request = crate::receive::testing::empty_spans(count);
    Arc::new(Batch::Spans(SpanBatch { resource_spans: request.resource_spans }))
}

/// What a source hears of ten spans, and the agent's metrics after that.
async fn outcome_of(exporter: impl Exporter, retry: Retry, give_up: bool) -> (Outcome, String) {
    let metrics = SelfMetrics::new();
    let (sender, receiver) = bounded("test", 10_000, &metrics);
    let told = Arc::new(Mutex::new(None));
    let ack = Ack::new({
        let told = Arc::clone(&told);
        move |outcome| *told.lock().unwrap() = Some(outcome)
    });
    let room = sender.try_room(10, 10).unwrap();
    sender.push(room, spans(10), ack);
    drop(sender);
    let (_give_up, given_up) = watch::channel(give_up);
    let delivery = Delivery { retry, ..Delivery::default() };
    run("test", &exporter, receiver, delivery, &metrics, given_up).await;
    let outcome = told.lock().unwrap().unwrap();
    (outcome, metrics.encode().unwrap())
}

fn scripted(script: Vec<Result<Answer, ExportError>>) -> Scripted {
    Scripted(Mutex::new(script))
}

fn away() -> ExportError {
    ExportError::Unreachable("nobody there".into())
}

/// Neither takes anything nor says so.
struct Hanging;

impl Exporter for Hanging {
    fn export(&self, _: Arc<Batch>) -> Exporting<'_> {
        Box::pin(std::future::pending())
    }
}

struct Panicking;

impl Exporter for Panicking {
    fn export(&self, _: Arc<Batch>) -> Exporting<'_> {
        panic!("a fault of the exporter")
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_unreachable_is_tried_until_it_is_there_and_each_failure_is_counted() {
    let denied = ExportError::Denied("who?".into());
    let script = scripted(vec![Err(away()), Err(denied), Err(away())]);
    let (outcome, text) = outcome_of(script, Retry::default(), false).await;
    assert_eq!(outcome, Outcome::Delivered);
    for line in [
        "export_failures_total{exporter=\"test\",reason=\"unreachable\"} 2\n",
        "export_failures_total{exporter=\"test\",reason=\"denied\"} 1\n",
        "exported_items_total{signal=\"traces\",exporter=\"test\"} 10\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("dropped_items_total{"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_servers_pause_goes_before_ours() {
    let busy = ExportError::Busy { why: "full".into(), after: Duration::from_secs(7) };
    let began = Instant::now();
    outcome_of(scripted(vec![Err(busy)]), Retry::default(), false).await;
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_given_up_after_the_time_that_is_set_for_it() {
    let script = (0..100).map(|_| Err(away())).collect();
    let retry = Retry { max_elapsed_time: Some(Duration::from_secs(20)), ..Retry::default() };
    let began = Instant::now();
    let (outcome, text) = outcome_of(scripted(script), retry, false).await;
    assert_eq!(outcome, Outcome::Lost, "a source that has it on disk reads it again");
    assert!(began.elapsed() <= Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(text.contains("reason=\"unreachable\"} 10\n"), "{text}");
    let once = Retry { enabled: false, ..Retry::default() };
    let (outcome, _) = outcome_of(scripted(vec![Err(away())]), once, false).await;
    assert_eq!(outcome, Outcome::Lost);
}

#[tokio::test]
async fn what_will_never_be_taken_is_dropped_at_once_and_not_asked_for_again() {
    let refused = vec![Err(ExportError::Refused("not ours".into()))];
    let too_large = (0..100).map(|_| Err(ExportError::TooLarge)).collect();
    for (script, reason) in
        [(refused, "reason=\"refused\"} 10\n"), (too_large, "reason=\"too_large\"} 10\n")]
    {
        let (outcome, text) = outcome_of(scripted(script), Retry::default(), false).await;
        assert_eq!(outcome, Outcome::Delivered, "sent again, it would be refused again");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_that_is_taken_in_part_only_the_rest_is_tried_again() {
    let rest = Rest { batch: spans(4), error: away() };
    let first = Answer { refused: vec![("too_old", 1)], rest: Some(rest), ..Answer::default() };
    let second = Answer { refused: vec![("too_old", 2)], ..Answer::default() };
    let (outcome, text) =
        outcome_of(scripted(vec![Ok(first), Ok(second)]), Retry::default(), false).await;
    assert_eq!(outcome, Outcome::Delivered);
    for line in [
        "exported_items_total{signal=\"traces\",exporter=\"test\"} 7\n",
        "dropped_items_total{signal=\"traces\",reason=\"too_old\"} 3\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

/// Takes batches of two spans at most.
struct Narrow;

impl Exporter for Narrow {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        let fits = batch.items() <= 2;
        Box::pin(
            async move { if fits { Ok(Answer::default()) } else { Err(ExportError::TooLarge) } },
        )
    }
}

#[tokio::test]
async fn what_is_too_large_goes_in_parts() {
    let (outcome, text) = outcome_of(Narrow, Retry::default(), false).await;
    assert_eq!(outcome, Outcome::Delivered);
    assert!(
        text.contains("exported_items_total{signal=\"traces\",exporter=\"test\"} 10\n"),
        "{text}"
    );
    assert!(!text.contains("dropped_items_total{"), "{text}");
}

#[test]
fn what_fails_once_the_first_fault_is_put_right_is_told_as_well() {
    let (began, mut last) = (Instant::now(), LastTold::default());
    let mut tell = |why: &str, seconds| {
        let error = ExportError::Unreachable(why.to_owned());
        last.is_news(&error, began + Duration::from_secs(seconds))
    };
    assert!(tell("signed by no CA", 0));
    assert!(!tell("signed by no CA", 60), "it was told");
    assert!(tell("401 Unauthorized", 61));
    assert!(!tell("signed by no CA", 62), "they take turns");
    assert!(tell("signed by no CA", 70));
}

#[tokio::test]
async fn a_panic_of_the_exporter_is_a_refusal() {
    let (_, text) = outcome_of(Panicking, Retry::default(), false).await;
    assert!(text.contains("reason=\"refused\"} 10\n"), "{text}");
}

#[tokio::test]
async fn when_time_is_up_what_is_left_is_given_up_and_counted() {
    let (outcome, text) = outcome_of(Hanging, Retry::default(), true).await;
    assert_eq!(outcome, Outcome::Lost);
    assert!(text.contains("reason=\"shutdown\"} 10\n"), "{text}");
}

/// Remembers how many spans each batch had; may ask for what waits to be joined.
struct Sizes(Mutex<Vec<usize>>, usize);

impl Exporter for Sizes {
    fn export(&self, batch: Arc<Batch>) -> Exporting<'_> {
        self.0.lock().unwrap().push(batch.items());
        Box::pin(async { Ok(Answer::default()) })
    }

    fn gather_bytes(&self) -> usize {
        self.1
    }
}

#[tokio::test]
async fn what_waits_is_joined_as_far_as_the_exporter_asks_for_and_each_source_hears_of_its_own() {
    for (gather_bytes, expected) in [(0, vec![1, 2, 3]), (600, vec![3, 3]), (10_000, vec![6])] {
        let metrics = SelfMetrics::new();
        let (sender, receiver) = bounded("test", 10_000, &metrics);
        let told = Arc::new(Mutex::new(0));
        for count in 1..=3 {
            let tell = Arc::clone(&told);
            let ack = Ack::new(move |outcome| {
                assert_eq!(outcome, Outcome::Delivered);
                *tell.lock().unwrap() += 1;
            });
            sender.push(sender.try_room(300, count).unwrap(), spans(count), ack);
        }
        drop(sender);
        let (exporter, (_give_up, given_up)) =
            (Sizes(Mutex::default(), gather_bytes), watch::channel(false));
        run("test", &exporter, receiver, Delivery::default(), &metrics, given_up).await;
        assert_eq!(*exporter.0.lock().unwrap(), expected);
        assert_eq!(*told.lock().unwrap(), 3);
    }
}
