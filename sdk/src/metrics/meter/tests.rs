use opentelemetry::metrics::MeterProvider as _;

use super::*;
use crate::metrics::snapshot::Value;

fn meters() -> (Registry, Meter) {
    let registry = Registry::default();
    let meter = RegistryMeters::new(registry.clone()).meter("library");
    (registry, meter)
}

#[test]
fn every_instrument_is_served_under_its_prometheus_name() {
    let (registry, meter) = meters();
    let labels = [KeyValue::new("db.system", "pg"), KeyValue::new("pool", 2)];
    meter.u64_counter("db.calls").with_description("Calls").build().add(3, &labels);
    meter.f64_counter("db.busy").with_unit("s").build().add(0.5, &[]);
    meter.i64_up_down_counter("db.connections").build().add(-2, &[]);
    meter.f64_up_down_counter("db.share").build().add(0.25, &[]);
    meter.u64_gauge("db.pool.size").build().record(8, &[]);
    meter.i64_gauge("db.offset").build().record(-8, &[]);
    meter.f64_gauge("db.load").with_unit("1").build().record(0.75, &[]);
    meter.f64_histogram("db.latency").with_unit("s").build().record(0.3, &[]);
    let rows = meter.u64_histogram("db.rows").with_boundaries(vec![10.0, 100.0]).build();
    rows.record(11, &[]);
    let text = registry.to_openmetrics();
    for line in [
        "# TYPE db_calls counter",
        "# HELP db_calls Calls",
        "db_calls_total{db_system=\"pg\",pool=\"2\"} 3",
        "db_busy_seconds_total 0.5",
        "# TYPE db_connections gauge",
        "db_connections -2.0",
        "db_share 0.25",
        "db_pool_size 8.0",
        "db_offset -8.0",
        "db_load_ratio 0.75",
        "db_latency_seconds_bucket{le=\"0.25\"} 0",
        "db_latency_seconds_bucket{le=\"0.5\"} 1",
        "db_rows_bucket{le=\"100.0\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn observable_instruments_are_asked_with_each_snapshot() {
    let (registry, meter) = meters();
    let asked = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    meter
        .u64_observable_counter("asked")
        .with_callback(move |observer| {
            let times = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            observer.observe(times, &[KeyValue::new("a", "b")]);
        })
        .build();
    meter.f64_observable_gauge("level").with_callback(|to| to.observe(0.5, &[])).build();
    meter.i64_observable_up_down_counter("held").with_callback(|to| to.observe(-3, &[])).build();
    assert!(registry.to_openmetrics().contains("asked_total{a=\"b\"} 1\n"));
    let text = registry.to_openmetrics();
    for line in ["asked_total{a=\"b\"} 2\n", "level 0.5\n", "held -3\n"] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_callback_that_panics_costs_its_own_family_only() {
    let (registry, meter) = meters();
    meter.u64_counter("fine").build().add(1, &[]);
    meter.u64_observable_gauge("faulty").with_callback(|_| panic!("on purpose")).build();
    let snapshot = registry.snapshot();
    assert!(snapshot.family("fine").is_some());
    assert!(snapshot.family("faulty").is_none());
}

#[test]
fn two_meters_with_one_name_are_one_family_and_another_kind_is_refused() {
    let registry = Registry::default();
    let meters = RegistryMeters::new(registry.clone());
    for name in ["one", "two"] {
        meters.meter(name).u64_counter("calls").build().add(1, &[]);
    }
    meters.meter("three").f64_histogram("calls").build().record(1.0, &[]);
    registry.gauge("mine", "Help").unwrap();
    meters.meter("three").u64_counter("mine").build().add(1, &[]);
    meters.meter("three").u64_counter("no name!").build().add(1, &[]);
    let text = registry.to_openmetrics();
    assert!(text.contains("calls_total 2\n"), "{text}");
    assert!(text.contains("mine 0.0\n") && !text.contains("no_name"), "{text}");
    let losses = &registry.common().losses;
    assert_eq!(losses.conflicts.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[test]
fn an_instrument_with_ever_new_attributes_keeps_its_cap() {
    let (registry, meter) = meters();
    let counter = meter.u64_counter("visits").build();
    for user in 0..10_000 {
        counter.add(1, &[KeyValue::new("user", user)]);
    }
    let snapshot = registry.snapshot();
    let points = &snapshot.family("visits").unwrap().points;
    assert_eq!(points.len(), 2_001);
    let total: f64 = points
        .iter()
        .map(|point| match &point.value {
            Value::Number { number, .. } => number.as_f64(),
            Value::Histogram(_) => 0.0,
        })
        .sum();
    assert_eq!(total, 10_000.0);
}
