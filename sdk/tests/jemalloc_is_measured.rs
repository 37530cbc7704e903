//! A service whose global allocator is jemalloc sees what it says of itself.

#![allow(clippy::unwrap_used, reason = "a test may")]

use spanline::LogOutput;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const HELD: usize = 64 * 1024 * 1024;

#[test]
fn what_the_service_holds_is_in_the_allocators_numbers() {
    let telemetry = spanline::builder("checkout")
        .log_output(LogOutput::Discard)
        .otlp_endpoint("http://127.0.0.1:9")
        .metrics_addr("127.0.0.1:0".parse().unwrap())
        .init();
    let bytes = |name: &str| -> usize {
        let text = telemetry.registry().to_openmetrics();
        let start = format!("spanline_jemalloc_{name}_bytes ");
        let sample = text.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned);
        sample.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    let before = bytes("allocated");
    let held = std::hint::black_box(vec![1_u8; HELD]);
    assert!(bytes("allocated") >= before + HELD);
    for name in ["active", "resident", "mapped"] {
        assert!(bytes(name) >= HELD, "{name}");
    }
    assert!(bytes("metadata") > 0);
    drop(held);
    assert!(bytes("allocated") < before + HELD);
    telemetry.shutdown();
}
