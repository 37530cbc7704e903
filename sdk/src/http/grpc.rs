//! gRPC: one span for each call that a tonic server answers, and for each that a client makes.
//!
//! gRPC rides on HTTP, but says in its own words how a call went: in a `grpc-status` among the trailers, long
//! after the HTTP status, which is always 200. So it has layers of its own. They are used where tonic takes
//! tower's layers:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = tonic::transport::Endpoint::from_static("http://127.0.0.1:50051");
//! let layer = spanline::grpc::client().server(endpoint.uri());
//! let channel = tower_layer::Layer::layer(&layer, endpoint.connect_lazy());
//! // let client = GreeterClient::new(channel);
//! # Ok(())
//! # }
//! ```
//!
//! and on the other side `tonic::transport::Server::builder().layer(spanline::grpc::server())`.
//!
//! A span is called by the method, `helloworld.Greeter/SayHello`. Its attributes are those of OpenTelemetry's
//! conventions for RPC (`rpc.system.name`, `rpc.method`, `rpc.response.status_code`), and beside them the
//! names that these had before, which back ends still look for (`rpc.system`, `rpc.service`,
//! `rpc.grpc.status_code`). A stream's span ends with its status; one that is given up before ends as
//! `CANCELLED`.
//!
//! How long calls take is told by `rpc_server_call_duration_seconds` and `rpc_client_call_duration_seconds`, by method
//! and status. A server's calls of methods that it does not know are those of `_OTHER`.

mod body;
mod call;
mod client;
mod counted;
mod method;
mod server;
mod side;
mod status;

pub use body::CallBody;
pub use client::{ClientFuture, ClientLayer, ClientService, client};
pub use server::{ServerFuture, ServerLayer, ServerService, server};
