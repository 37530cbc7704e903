//! A metric of the service's own, in the registry from which all of its metrics are read.
//!
//! ```sh
//! cargo run -p spanline --example own_metric
//! ```

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Shelf {
    shelf: &'static str,
}

fn main() -> Result<(), spanline::RegisterError> {
    let telemetry = spanline::init("checkout");

    let orders = Family::<Shelf, Counter>::default();
    // A name that is taken, or that is none, is an error which names it.
    telemetry.registry().register("orders", "Orders taken", orders.clone())?;

    orders.get_or_create(&Shelf { shelf: "A" }).inc();
    orders.get_or_create(&Shelf { shelf: "B" }).inc_by(2);
    print!("{}", telemetry.registry().to_openmetrics());
    Ok(())
}
