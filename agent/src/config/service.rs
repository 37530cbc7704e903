//! `service`: which components run, how pipelines join them, and what the agent says about itself.

use super::component::{Components, Signal};
use super::exporters::Exporter;
use super::extensions::Extension;
use super::processors::Processor;
use super::receivers::Receiver;
use super::section::{Section, Setting, listen_address};
use super::yaml::Value;

/// The way of one signal: from every receiver through the processors to every exporter. The numbers are those of the
/// components in [`super::Config`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// `signal` or `signal/name`, as the configuration writes it.
    pub id: String,
    /// What it carries.
    pub signal: Signal,
    /// Where its data comes from.
    pub receivers: Vec<usize>,
    /// What is done with it, in this order.
    pub processors: Vec<usize>,
    /// Where it goes.
    pub exporters: Vec<usize>,
}

/// What the agent says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Where its own metrics are served, if anywhere.
    pub metrics: Option<Setting>,
    /// Who it is: the labels of `target_info` among them.
    pub resource: Vec<(String, String)>,
}

/// Everything that a configuration can name.
pub(super) struct Everything {
    pub(super) receivers: Components<Receiver>,
    pub(super) processors: Components<Processor>,
    pub(super) exporters: Components<Exporter>,
    pub(super) extensions: Components<Extension>,
}

/// The service: its pipelines, its extensions by number, its telemetry.
pub(super) fn read(
    section: &mut Section<'_>,
    everything: &Everything,
) -> (Vec<Pipeline>, Vec<usize>, Telemetry) {
    let extensions = everything.extensions.named(section, "extensions", None);
    let telemetry = telemetry(&mut section.section("telemetry"));
    let Some(node) = section.raw("pipelines") else {
        section.fault("pipelines is missing: without a pipeline there is nothing to do");
        return (Vec::new(), extensions, telemetry);
    };
    let path = section.key_path("pipelines");
    let Value::Map(entries) = &node.value else {
        section.wrong::<()>("pipelines", node, "a map of pipelines");
        return (Vec::new(), extensions, telemetry);
    };
    let mut pipelines = Vec::new();
    for (key, node) in entries {
        let path = format!("{path}::{}", key.name);
        let mut section = Section::new(path.as_str(), Some(node), section.findings());
        let kind = key.name.split('/').next().unwrap_or_default();
        let Some(signal) = signal(kind) else {
            let what = format!("{kind:?} is no signal; supported are traces, metrics, logs");
            section.findings().fault(&path, Some(&key.place), what);
            for key in ["receivers", "processors", "exporters"] {
                section.raw(key);
            }
            continue;
        };
        let named = Some(signal);
        let pipeline = Pipeline {
            id: key.name.clone(),
            signal,
            receivers: everything.receivers.named(&mut section, "receivers", named),
            processors: everything.processors.named(&mut section, "processors", named),
            exporters: everything.exporters.named(&mut section, "exporters", named),
        };
        if everything.receivers.has_none_of(&section.texts("receivers")) {
            section.fault("must have at least one receiver");
        }
        if everything.exporters.has_none_of(&section.texts("exporters")) {
            section.fault("must have at least one exporter");
        }
        pipelines.push(pipeline);
    }
    (pipelines, extensions, telemetry)
}

fn signal(name: &str) -> Option<Signal> {
    [Signal::Traces, Signal::Metrics, Signal::Logs]
        .into_iter()
        .find(|signal| signal.as_str() == name)
}

fn telemetry(section: &mut Section<'_>) -> Telemetry {
    let mut metrics = section.section("metrics");
    let address = metrics.has("address").then(|| metrics.listen("address", "localhost:8888"));
    metrics.raw("address");
    let mut readers = metrics.sections("readers").iter_mut().map(reader).collect::<Vec<_>>();
    if readers.len() > 1 || (address.is_some() && !readers.is_empty()) {
        metrics.fault("one place for the agent's own metrics is supported, and there are several");
    }
    let resource = section.text_map("resource");
    Telemetry { metrics: address.or(readers.pop().flatten()), resource }
}

/// `pull: {exporter: {prometheus: {host, port}}}`
fn reader(section: &mut Section<'_>) -> Option<Setting> {
    let mut pull = section.section("pull");
    let mut exporter = pull.section("exporter");
    let has_prometheus = exporter.has("prometheus");
    let mut prometheus = exporter.section("prometheus");
    let host = prometheus.text("host").unwrap_or_else(|| "localhost".to_owned());
    let port = prometheus.count("port", 8888);
    if !has_prometheus {
        section.fault("a reader that is not supported; supported is pull::exporter::prometheus");
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let setting = Setting { text: format!("{host}:{port}"), from: prometheus.path().to_owned() };
    if listen_address(&setting.text).is_none() {
        prometheus.fault(format!("{:?} is no address to listen on", setting.text));
        return None;
    }
    Some(setting)
}
