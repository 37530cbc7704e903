//! From the configuration to stages that wait to be run: exporters first, then the pipelines to them, then what feeds
//! the pipelines.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Agent, BuildError, Queued, Served, TAILER_STOPPED, ToStore, metrics_router};
use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};

use crate::auth::{Credentials, Guard, Refuse};
use crate::config::{
    Auth, Authenticator, Component, Config, Exporter as ExporterSettings, Extension, Filelog,
    GrpcReceiver, HttpReceiver, Otlp, Pipeline, QueueSettings, Receiver, Serving, Setting,
    listen_address,
};
use crate::export::Exporter;
use crate::export::debug::Debug;
use crate::export::file::File;
use crate::export::loki::Loki;
use crate::export::otlp;
use crate::export::otlphttp::OtlpHttp;
use crate::export::prometheus::{self, Prometheus};
use crate::fanout::Fanout;
use crate::health::{self, Readiness};
use crate::process::Batcher;
use crate::receive::{Receivers, denied_by_grpc, denied_by_http};
use crate::route::Routes;
use crate::samples::Naming;
use crate::samples::names;
use crate::self_metrics::SelfMetrics;
use crate::serve::Listener;
use crate::sink::Sink;
use crate::state_lock::StateLock;
use crate::store::{self, Store};
use crate::tail::{self, Tailer};
use crate::tls::{Connector, ServerSide};
use crate::{pod_logs, process, queue, web};

/// What a listener's clients speak, and how one that is not let in is told so.
const GRPC: (&[u8], Refuse) = (b"h2", denied_by_grpc);
const OTLP_HTTP: (&[u8], Refuse) = (b"http/1.1", denied_by_http);
const HTTP: (&[u8], Refuse) = (b"http/1.1", denied);

/// Opens an exporter; a test puts its own in the place of those that are configured.
pub(super) type Open<'a> = &'a mut dyn FnMut(
    &Component<ExporterSettings>,
    &mut Builder<'_>,
) -> Result<Box<dyn Exporter>, BuildError>;

pub(super) struct Builder<'a> {
    config: &'a Config,
    metrics: Arc<SelfMetrics>,
    readiness: Readiness,
    stores: Vec<Store>,
    queued: Vec<Queued>,
    sources: Vec<Served>,
    rest: Vec<Served>,
    tailers: Vec<Tailer>,
    batchers: Vec<Batcher>,
    /// What exporters serve, to be bound.
    scraped: Vec<(String, Serving, Router)>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        let target = config.telemetry.resource.iter();
        let target: Vec<_> =
            target.map(|(key, value)| (names::label(key), value.clone())).collect();
        Self {
            config,
            metrics: Arc::new(SelfMetrics::of(&target)),
            readiness: Readiness::default(),
            stores: Vec::new(),
            queued: Vec::new(),
            sources: Vec::new(),
            rest: Vec::new(),
            tailers: Vec::new(),
            batchers: Vec::new(),
            scraped: Vec::new(),
        }
    }

    pub(super) async fn build(mut self, open: Open<'_>) -> Result<Agent, BuildError> {
        let locks = self.storage_locks()?;
        let pipelines = self.pipelines(open)?;
        for (at, receiver) in self.config.receivers.iter().enumerate() {
            let routes = routes(at, &self.config.pipelines, &pipelines);
            match &receiver.settings {
                Receiver::Otlp(otlp) => self.otlp(&receiver.id, otlp, routes).await?,
                Receiver::Filelog(filelog) => self.filelog(&receiver.id, filelog, routes)?,
            }
        }
        for extension in &self.config.extensions {
            self.extension(extension).await?;
        }
        for (what, serving, router) in std::mem::take(&mut self.scraped) {
            let listener = bind("the Prometheus exporter", &serving.endpoint).await?;
            let served = self.served(what, listener, router, &serving, HTTP)?;
            self.rest.push(served);
        }
        if let Some(address) = &self.config.telemetry.metrics {
            let listener = bind("the agent's own metrics", address).await?;
            let router = metrics_router(&self.metrics);
            self.rest.push(Served {
                what: "service::telemetry::metrics".to_owned(),
                listener,
                router,
            });
        }
        let Self { metrics, readiness, stores, queued, sources, rest, tailers, batchers, .. } =
            self;
        Ok(Agent {
            sources,
            rest,
            queued,
            tailers,
            batchers,
            stores,
            metrics,
            readiness,
            _locks: locks,
        })
    }

    /// What two agents may not share: the folders of the checkpoints. A store locks its own.
    fn storage_locks(&self) -> Result<Vec<StateLock>, BuildError> {
        let directory = |extension: &'a Component<Extension>| match &extension.settings {
            Extension::FileStorage { directory } => Some(directory),
            _ => None,
        };
        let mut directories: Vec<&PathBuf> =
            self.config.extensions.iter().filter_map(directory).collect();
        directories.sort_unstable();
        directories.dedup();
        let lock = |directory: &PathBuf| {
            StateLock::take(directory).map_err(|error| BuildError::state(directory, error))
        };
        directories.into_iter().map(lock).collect()
    }

    /// A queue for each exporter, and for each pipeline its way to the queues.
    fn pipelines(&mut self, open: Open<'_>) -> Result<Vec<Arc<dyn Sink>>, BuildError> {
        let mut queues = Vec::with_capacity(self.config.exporters.len());
        for component in &self.config.exporters {
            let exporter = open(component, self)?;
            let name = component.id.clone();
            let delivery = component.settings.delivery();
            let QueueSettings { capacity_bytes, most, .. } = delivery.queue;
            let (queue, items) = queue::counted(&name, capacity_bytes, most, &self.metrics);
            queues.push(queue);
            self.queued.push(Queued { name, exporter, items, delivery });
        }
        let mut sinks = Vec::with_capacity(self.config.pipelines.len());
        for pipeline in &self.config.pipelines {
            let queues = pipeline.exporters.iter().map(|&at| queues[at].clone()).collect();
            let mut sink: Arc<dyn Sink> = Arc::new(Fanout { queues });
            for &at in pipeline.processors.iter().rev() {
                let Component { id, settings, .. } = &self.config.processors[at];
                let name = format!("{id} of {}", pipeline.id);
                sink = process::before(sink, &name, settings, &self.metrics, &mut self.batchers);
            }
            sinks.push(sink);
        }
        Ok(sinks)
    }

    /// The exporter that is configured.
    pub(super) fn open(
        &mut self,
        component: &Component<ExporterSettings>,
    ) -> Result<Box<dyn Exporter>, BuildError> {
        match &component.settings {
            ExporterSettings::Debug(verbosity) => {
                Ok(Box::new(Debug::new(&component.id, *verbosity)))
            }
            ExporterSettings::File(settings) => Ok(Box::new(File::new(settings)?)),
            ExporterSettings::Loki(settings) => {
                let credentials = self.credentials(settings.client.auth.as_ref())?;
                Ok(Box::new(Loki::new(settings, credentials)?))
            }
            ExporterSettings::Otlp(settings) => {
                let connector = Connector::new(settings.tls.as_ref(), &[b"h2"])?;
                let credentials = self.credentials(settings.auth.as_ref())?;
                let exporter = otlp::Otlp::new(settings.clone(), connector, credentials);
                let fault = |source| BuildError::Exporter { from: component.id.clone(), source };
                Ok(Box::new(exporter.map_err(fault)?))
            }
            ExporterSettings::OtlpHttp(settings) => {
                let credentials = self.credentials(settings.client.auth.as_ref())?;
                Ok(Box::new(OtlpHttp::new(settings, credentials)?))
            }
            ExporterSettings::Store(settings) => {
                let settings = store::Config {
                    directory: settings.directory.clone(),
                    max_bytes: settings.max_bytes,
                    max_age: settings.max_age,
                    cluster: settings.cluster.clone(),
                };
                let store =
                    Store::open(settings, Arc::clone(&self.metrics)).map_err(BuildError::Store)?;
                self.stores.push(store.clone());
                Ok(Box::new(ToStore(store)))
            }
            ExporterSettings::Prometheus(settings) => {
                let naming = Naming {
                    namespace: settings.namespace.clone(),
                    suffixes: settings.add_metric_suffixes,
                    resource_labels: settings.resource_to_telemetry,
                    constant_labels: settings.const_labels.clone(),
                };
                let scraped = prometheus::Settings {
                    naming,
                    metric_expiration: settings.metric_expiration,
                    send_timestamps: settings.send_timestamps,
                    open_metrics: settings.enable_open_metrics,
                };
                let exporter = Prometheus::new(&component.id, scraped, Arc::clone(&self.metrics));
                let what = format!("exporters::{}", component.id);
                self.scraped.push((what, settings.serving.clone(), exporter.router()));
                Ok(Box::new(exporter))
            }
        }
    }

    /// What an exporter shows to be let in.
    fn credentials(
        &self,
        named: Option<&Authenticator>,
    ) -> Result<Option<Arc<Credentials>>, BuildError> {
        let Some(auth) = named.and_then(|named| self.auth(named)) else { return Ok(None) };
        Ok(Some(Arc::new(Credentials::new(auth)?)))
    }

    /// What is served on `listener`, secured and guarded as the configuration says.
    fn served(
        &self,
        what: String,
        mut listener: Listener,
        mut router: Router,
        serving: &Serving,
        (protocol, refuse): (&[u8], Refuse),
    ) -> Result<Served, BuildError> {
        if let Some(tls) = &serving.tls {
            let metrics = Arc::clone(&self.metrics);
            listener = listener.secured(ServerSide::new(tls, &[protocol], &what, metrics)?);
        }
        if let Some(auth) = serving.auth.as_ref().and_then(|named| self.auth(named)) {
            let guard = Guard::new(auth, &what, Arc::clone(&self.metrics))?;
            router = guard.before(router, refuse);
        }
        Ok(Served { what, listener, router })
    }

    /// The extension that is named; the configuration has it.
    fn auth(&self, named: &Authenticator) -> Option<&'a Auth> {
        let extension = self.config.extensions.iter().find(|one| one.id == named.id.text)?;
        match &extension.settings {
            Extension::Auth(auth) => Some(auth),
            _ => None,
        }
    }

    async fn otlp(&mut self, id: &str, otlp: &Otlp, routes: Routes) -> Result<(), BuildError> {
        let signals = routes.signals();
        let receivers = Receivers::new(Arc::new(routes), Arc::clone(&self.metrics), &signals);
        if let Some(GrpcReceiver { serving, max_message_bytes, max_concurrent_streams }) =
            &otlp.grpc
        {
            let listener = bind("OTLP/gRPC", &serving.endpoint).await?;
            let listener = listener.http2_with(*max_concurrent_streams);
            let router = receivers.with_max_body_bytes(*max_message_bytes).grpc();
            let what = format!("receivers::{id}::grpc");
            let served = self.served(what, listener, router, serving, GRPC)?;
            self.sources.push(served);
        }
        if let Some(HttpReceiver { serving, max_body_bytes }) = &otlp.http {
            let listener = bind("OTLP/HTTP", &serving.endpoint).await?;
            let router = receivers.with_max_body_bytes(*max_body_bytes).http();
            let what = format!("receivers::{id}::http");
            let served = self.served(what, listener, router, serving, OTLP_HTTP)?;
            self.sources.push(served);
        }
        Ok(())
    }

    fn filelog(&mut self, id: &str, filelog: &Filelog, routes: Routes) -> Result<(), BuildError> {
        let tail = tail::Config {
            files: filelog.files.clone(),
            compression: filelog.compression,
            cutting: filelog.cutting.clone(),
            exclude_older_than: filelog.exclude_older_than,
            fingerprint_bytes: filelog.fingerprint_bytes,
            max_open_files: filelog.max_open_files,
            exclude: filelog.exclude.clone(),
            from_beginning: filelog.from_beginning,
            checkpoint_dir: filelog.storage.as_ref().and_then(|storage| self.storage(storage, id)),
            poll_interval: filelog.poll_interval,
            hold_timeout: pod_logs::patience(filelog),
            stop_timeout: TAILER_STOPPED,
            ..tail::Config::default()
        };
        let parsers = pod_logs::parsers(filelog, &self.metrics);
        let tailer = Tailer::new(tail, Arc::new(routes), Arc::clone(&self.metrics), parsers);
        self.tailers.push(tailer.map_err(BuildError::Tail)?);
        Ok(())
    }

    /// The folder in the extension `storage` that belongs to the receiver `id`.
    fn storage(&self, storage: &str, id: &str) -> Option<PathBuf> {
        let extension = self.config.extensions.iter().find(|extension| extension.id == storage)?;
        let Extension::FileStorage { directory } = &extension.settings else { return None };
        // The folder itself is that of the receiver without a name; each of the others has one below.
        Some(match id.split_once('/') {
            None => directory.clone(),
            Some((_, name)) => directory.join(name.replace(['/', '.'], "_")),
        })
    }

    async fn extension(&mut self, extension: &Component<Extension>) -> Result<(), BuildError> {
        let what = format!("extensions::{}", extension.id);
        match &extension.settings {
            Extension::Auth(_) | Extension::FileStorage { .. } => {}
            Extension::HealthCheck { endpoint } => {
                let listener = bind("health", endpoint).await?;
                let router = health::router(self.readiness.clone());
                self.rest.push(Served { what, listener, router });
            }
            Extension::Web(serving) => {
                // The configuration has exactly one store where it has a page.
                let Some(store) = self.stores.first().cloned() else { return Ok(()) };
                let listener = bind("the page", &serving.endpoint).await?;
                let router = web::router(store, listener.address());
                let served = self.served(what, listener, router, serving, HTTP)?;
                self.rest.push(served);
            }
        }
        Ok(())
    }
}

fn denied(_: &HeaderMap, message: &str) -> Response {
    (StatusCode::UNAUTHORIZED, format!("{message}\n")).into_response()
}

/// The pipelines that name the receiver `at`.
fn routes(at: usize, pipelines: &[Pipeline], sinks: &[Arc<dyn Sink>]) -> Routes {
    let mut routes = Routes::default();
    for (pipeline, sink) in pipelines.iter().zip(sinks) {
        if pipeline.receivers.contains(&at) {
            routes.add(pipeline.signal, Arc::clone(sink));
        }
    }
    routes
}

async fn bind(what: &'static str, setting: &Setting) -> Result<Listener, BuildError> {
    let address = listen_address(&setting.text).unwrap_or_else(|| setting.text.clone());
    let mut bound = Listener::bind(address.as_str()).await;
    if let (Err(_), Some(port)) = (&bound, setting.text.strip_prefix(':')) {
        // A machine without IPv6 has no such address.
        bound = Listener::bind(format!("0.0.0.0:{port}")).await.or(bound);
    }
    let Setting { text: address, from } = setting.clone();
    bound.map_err(|source| BuildError::Bind { what, address, from, source })
}
