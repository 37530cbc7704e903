//! What threads cost each other: two that observe into one histogram, and one that observes while a scrape
//! reads. Both sides of a comparison take turns, and the best of their rounds counts: another program that
//! comes in between costs either.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use spanline::metrics::Histogram;

/// Many short rounds: in some of them nothing comes in between, even on a machine that is busy.
const ROUNDS: usize = 200;
const OBSERVATIONS: u32 = 50_000;
const TIMED_ROUNDS: usize = 15;
const TIMED: usize = 200_000;

/// Compares, and prints what came out.
pub(crate) fn print() {
    let registry = super::registry_of_histograms(super::exemplar());
    let histogram = super::histogram(&registry);
    let (mut one, mut two) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        one = one.min(observed_by(1, &histogram));
        two = two.min(observed_by(2, &histogram));
    }
    let speedup = 2.0 * one.as_secs_f64() / two.as_secs_f64();
    println!("\ntwo threads on one histogram: {speedup:.2} times the observations of one");
    let (mut alone, mut scraped) = ([u128::MAX; 3], [u128::MAX; 3]);
    let mut scrapes = 0;
    for _ in 0..TIMED_ROUNDS {
        alone = least(alone, latencies(&histogram));
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let scraper = scope.spawn(|| {
                let mut scrapes = 0_u32;
                while !is_over.load(Ordering::Relaxed) {
                    drop(black_box(registry.to_openmetrics()));
                    scrapes += 1;
                }
                scrapes
            });
            scraped = least(scraped, latencies(&histogram));
            is_over.store(true, Ordering::Relaxed);
            scrapes += scraper.join().unwrap_or(0);
        });
    }
    println!("one observation, clock included: half, 99 %, 99.9 % within {alone:?} ns");
    println!("the same during {scrapes} scrapes one after the other: {scraped:?} ns");
}

/// How long each of so many threads, all at a time, takes for its observations.
fn observed_by(threads: usize, histogram: &Histogram) -> Duration {
    let exemplar = super::exemplar();
    let there = AtomicUsize::new(0);
    let work = || {
        let mut value = super::values();
        there.fetch_add(1, Ordering::Relaxed);
        // Whoever slept would begin later than the others.
        while there.load(Ordering::Relaxed) < threads {
            std::hint::spin_loop();
        }
        let began = Instant::now();
        for _ in 0..OBSERVATIONS {
            histogram.observe_with(value(), black_box(exemplar));
        }
        began.elapsed()
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let took = workers.into_iter().filter_map(|worker| worker.join().ok());
        took.max().unwrap_or(Duration::MAX)
    })
}

/// Nanoseconds within which half, 99 % and 99.9 % of the observations were made.
fn latencies(histogram: &Histogram) -> [u128; 3] {
    let (exemplar, mut value) = (super::exemplar(), super::values());
    let observe = |_| {
        let began = Instant::now();
        histogram.observe_with(value(), black_box(exemplar));
        began.elapsed().as_nanos()
    };
    let mut all: Vec<_> = (0..TIMED).map(observe).collect();
    all.sort_unstable();
    [500, 990, 999].map(|thousandths| all.get(TIMED * thousandths / 1_000).copied().unwrap_or(0))
}

fn least(one: [u128; 3], other: [u128; 3]) -> [u128; 3] {
    std::array::from_fn(|index| one[index].min(other[index]))
}
