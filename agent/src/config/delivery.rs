//! How an exporter's queue is emptied: the keys `sending_queue` and `retry_on_failure`.

use std::time::Duration;

use super::section::Section;

/// How what waits for an exporter is bounded, and how often it is tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Delivery {
    /// What may wait.
    pub queue: QueueSettings,
    /// What is done when it could not be delivered.
    pub retry: Retry,
}

/// The queue of an exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// What may wait, in bytes of memory.
    pub capacity_bytes: usize,
    /// What may wait besides, counted.
    pub most: Option<Counted>,
    /// How many deliveries are under way at a time.
    pub consumers: usize,
}

/// A limit that is not in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Deliveries, as they came.
    Requests(u32),
    /// Spans, records or data points.
    Items(u32),
}

/// When a delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Whether it is.
    pub enabled: bool,
    /// The first pause; each further one is longer.
    pub initial_interval: Duration,
    /// How far a pause may be from what it should be, as a share of it.
    pub randomization_factor: f64,
    /// How much longer.
    pub multiplier: f64,
    /// The longest pause.
    pub max_interval: Duration,
    /// When it is given up; `None` is never.
    pub max_elapsed_time: Option<Duration>,
}

/// Room for each exporter unless it is told otherwise.
const CAPACITY_BYTES: usize = 64 * 1024 * 1024;
/// Deliveries under way at a time. A back end that commits those that come together takes few of them at little more
/// than the cost of one.
const CONSUMERS: usize = 32;
/// More would be of no use, and each holds a request in memory.
const MOST_CONSUMERS: u64 = 1_000;

impl Default for Delivery {
    fn default() -> Self {
        let queue =
            QueueSettings { capacity_bytes: CAPACITY_BYTES, most: None, consumers: CONSUMERS };
        Self { queue, retry: Retry::default() }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_millis(50),
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: Duration::from_secs(5),
            max_elapsed_time: None,
        }
    }
}

/// Reads both keys; `consumers` is what `num_consumers` is by default.
pub(super) fn delivery(section: &mut Section<'_>, consumers: usize) -> Delivery {
    let queue = queue(&mut section.section("sending_queue"), consumers);
    Delivery { queue, retry: retry(&mut section.section("retry_on_failure")) }
}

/// As [`delivery`], with the default of most exporters.
pub(super) fn usual_delivery(section: &mut Section<'_>) -> Delivery {
    delivery(section, CONSUMERS)
}

fn queue(section: &mut Section<'_>, consumers: usize) -> QueueSettings {
    if !section.bool("enabled", true) {
        section.fault(
            "enabled must be true: every exporter has a queue, so that none waits for another",
        );
    }
    #[derive(Clone, Copy)]
    enum Sizer {
        Requests,
        Items,
        Bytes,
    }
    let sizers = [("requests", Sizer::Requests), ("items", Sizer::Items), ("bytes", Sizer::Bytes)];
    let sizer = section.choice("sizer", &sizers, Sizer::Requests);
    let size = section.parsed("queue_size", "a whole number from 1", |text, plain| {
        plain.then(|| text.parse::<u32>().ok()).flatten().filter(|size| *size > 0)
    });
    let (mut capacity_bytes, mut most) = (CAPACITY_BYTES, None);
    if let Some(size) = size {
        match sizer {
            Sizer::Requests => most = Some(Counted::Requests(size)),
            Sizer::Items => most = Some(Counted::Items(size)),
            Sizer::Bytes => capacity_bytes = size as usize,
        }
    }
    let given = section.parsed("num_consumers", "a whole number from 1 to 1000", |text, plain| {
        let count = plain.then(|| text.parse::<u64>().ok()).flatten()?;
        (1..=MOST_CONSUMERS).contains(&count).then(|| usize::try_from(count).ok()).flatten()
    });
    QueueSettings { capacity_bytes, most, consumers: given.unwrap_or(consumers) }
}

fn retry(section: &mut Section<'_>) -> Retry {
    let usual = Retry::default();
    let number = |text: &str, plain: bool| {
        plain.then(|| text.parse::<f64>().ok()).flatten().filter(|number| number.is_finite())
    };
    let retry = Retry {
        enabled: section.bool("enabled", usual.enabled),
        initial_interval: section.duration("initial_interval", usual.initial_interval),
        randomization_factor: section
            .parsed("randomization_factor", "a number from 0 to 1", |text, plain| {
                number(text, plain).filter(|number| (0.0..=1.0).contains(number))
            })
            .unwrap_or(usual.randomization_factor),
        multiplier: section
            .parsed("multiplier", "a number from 1", |text, plain| {
                number(text, plain).filter(|number| *number >= 1.0)
            })
            .unwrap_or(usual.multiplier),
        max_interval: section.duration("max_interval", usual.max_interval),
        max_elapsed_time: Some(section.duration("max_elapsed_time", Duration::ZERO))
            .filter(|time| !time.is_zero()),
    };
    if retry.max_elapsed_time.is_some_and(|most| most < retry.initial_interval) {
        section.fault("max_elapsed_time must not be shorter than initial_interval");
    }
    retry
}
