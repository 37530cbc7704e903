//! Says what `cargo test` leaves out when it is run without the back ends.

fn main() {
    if cfg!(not(feature = "backends")) {
        println!(
            "\nleft out: the tests before the real Loki, Tempo, Prometheus and Collector, which \
             tests/backends/run builds and runs\n"
        );
    }
}
