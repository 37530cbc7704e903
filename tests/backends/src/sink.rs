//! An OTLP/gRPC receiver that takes every log record and remembers it.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The Collector sends as it reads: a hundred lines, of which each may be long.
const MOST_BYTES: usize = 512 << 20;

/// See the module. Its drop ends it.
#[derive(Debug)]
pub struct Sink {
    address: String,
    records: Records,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

#[derive(Debug, Clone, Default)]
struct Records {
    taken: Arc<Mutex<Vec<Value>>>,
}

impl Sink {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// There is none.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let records = Records::default();
        let service = LogsServiceServer::new(records.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MOST_BYTES);
        let served =
            Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener));
        Ok(Self { address, records, server: tokio::spawn(served) })
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many records came so far.
    pub fn len(&self) -> usize {
        self.records.lock().len()
    }

    /// Whether none came so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records in the order in which they came: everything that OTLP says of one but when it was observed, with
    /// attributes sorted.
    pub fn records(&self) -> Vec<Value> {
        self.records.lock().clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tonic::async_trait]
impl LogsService for Records {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let mut read = Vec::new();
        for of_resource in request.into_inner().resource_logs {
            let attributes = of_resource.resource.map(|resource| resource.attributes);
            let resource = sorted(plain(&attributes.unwrap_or_default()));
            for of_scope in of_resource.scope_logs {
                let scope = of_scope.scope.map(|scope| scope.name).unwrap_or_default();
                for mut record in of_scope.log_records {
                    record.observed_time_unix_nano = 0;
                    let attributes = std::mem::take(&mut record.attributes);
                    read.push(json!({
                        "resource": resource,
                        "scope": scope,
                        "attributes": sorted(plain(&attributes)),
                        "record": plain(&record),
                    }));
                }
            }
        }
        self.lock().extend(read);
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Records {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As OTLP's JSON has it; what cannot be written there is told apart from everything else by its error.
fn plain(message: &impl serde::Serialize) -> Value {
    serde_json::to_value(message).unwrap_or_else(|error| Value::String(error.to_string()))
}

/// A list of keys and values, as an object.
fn sorted(attributes: Value) -> Value {
    let Value::Array(attributes) = attributes else { return attributes };
    let mut object = Map::new();
    for attribute in &attributes {
        let key = attribute["key"].as_str().unwrap_or_default();
        let value = attribute["value"].clone();
        // The same key twice must not look like once.
        match object.get_mut(key) {
            Some(seen) => *seen = json!(["twice", seen.clone(), value]),
            None => drop(object.insert(key.to_owned(), value)),
        }
    }
    Value::Object(object)
}
