//! The metrics of RPC calls, as OpenTelemetry's conventions have them: how long they took, by method and status.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bounds::{Bounds, SECONDS_BOUNDS};
use super::definition::{Definition, Kind};
use super::exemplar::Exemplar;
use super::histogram::Histogram;
use super::instrument::{InstrumentFamily, Source};
use super::labels::{LabelValue, Pair};
use super::registry::Registry;
use crate::config::ExemplarFilter;
use crate::context::SpanIds;

/// Records one side's calls.
pub(crate) struct CallRecorder {
    family: Arc<InstrumentFamily<Histogram>>,
    filter: ExemplarFilter,
}

/// A call that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedCall<'a> {
    /// `package.Service/Method`, or `_OTHER`.
    pub(crate) method: &'a str,
    pub(crate) status: &'static str,
    pub(crate) is_failure: bool,
    /// Whom a client calls. A server leaves it out.
    pub(crate) server: Option<(&'a str, Option<u16>)>,
    pub(crate) duration: Duration,
    pub(crate) span: Option<SpanIds>,
}

impl CallRecorder {
    /// `side` is `server` or `client`.
    pub(super) fn new(side: &str, registry: &Registry) -> Self {
        let name = format!("rpc.{side}.call.duration");
        let help = "Duration of calls";
        let definition = Definition::of_instrument(&name, "s", help, Kind::Histogram);
        // Taken in advance, so that nobody else can take them.
        registry.take_names(&definition);
        let (common, bounds) = (registry.common(), Arc::new(Bounds::new(SECONDS_BOUNDS)));
        let family = Arc::new(InstrumentFamily::new(definition, common, bounds));
        registry.add(Arc::clone(&family) as Arc<dyn Source>);
        Self { family, filter: common.filter }
    }

    pub(crate) fn observe(&self, call: &EndedCall<'_>) {
        let mut pairs: [Pair<'_>; 6] = [("", LabelValue::Number(0)); 6];
        let mut count = 0;
        let mut push = |key, value| {
            if let Some(place) = pairs.get_mut(count) {
                *place = (key, value);
                count += 1;
            }
        };
        push("rpc.system.name", LabelValue::Text("grpc"));
        push("rpc.method", LabelValue::Text(call.method));
        push("rpc.response.status_code", LabelValue::Text(call.status));
        if call.is_failure {
            push("error.type", LabelValue::Text(call.status));
        }
        if let Some((address, port)) = call.server {
            push("server.address", LabelValue::Text(address));
            if let Some(port) = port {
                push("server.port", LabelValue::Number(i64::from(port)));
            }
        }
        let series = self.family.series.with_pairs(&pairs[..count]);
        let exemplar = Exemplar::of_span(call.span, self.filter);
        series.data.observe(call.duration.as_secs_f64(), exemplar);
    }
}

impl fmt::Debug for CallRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.family.definition.name;
        f.debug_struct("CallRecorder").field("name", name).finish_non_exhaustive()
    }
}
