//! Which port everything listens on, and the check that they are free.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use clap::Args;

use super::error::LaunchError;

/// The ports of the demo, all on 127.0.0.1; 0 asks for any free one.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Ports {
    /// Port of api-node; 0 is any free one, here and below
    #[arg(long = "api-node-port", env = "SPANLINE_API_NODE_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.api_node)]
    pub api_node: u16,
    /// Port of api-python
    #[arg(long = "api-python-port", env = "SPANLINE_API_PYTHON_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.api_python)]
    pub api_python: u16,
    /// Port of api-node's metrics
    #[arg(long = "api-node-metrics-port", env = "SPANLINE_API_NODE_METRICS_PORT")]
    #[arg(value_name = "PORT", default_value_t = DEFAULT.api_node_metrics)]
    pub api_node_metrics: u16,
    /// Port of api-python's metrics
    #[arg(long = "api-python-metrics-port", env = "SPANLINE_API_PYTHON_METRICS_PORT")]
    #[arg(value_name = "PORT", default_value_t = DEFAULT.api_python_metrics)]
    pub api_python_metrics: u16,
    /// Port on which the agent takes OTLP over gRPC
    #[arg(long = "otlp-grpc-port", env = "SPANLINE_OTLP_GRPC_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.otlp_grpc)]
    pub otlp_grpc: u16,
    /// Port on which the agent takes OTLP over HTTP
    #[arg(long = "otlp-http-port", env = "SPANLINE_OTLP_HTTP_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.otlp_http)]
    pub otlp_http: u16,
    /// Port of the agent's page and read API
    #[arg(long = "web-port", env = "SPANLINE_WEB_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.web)]
    pub web: u16,
    /// Port on which the agent tells its health
    #[arg(long = "health-port", env = "SPANLINE_HEALTH_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.health)]
    pub health: u16,
    /// Port of the agent's own metrics
    #[arg(long = "self-metrics-port", env = "SPANLINE_SELF_METRICS_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.self_metrics)]
    pub self_metrics: u16,
    /// Port on which the agent serves the services' metrics to Prometheus
    #[arg(long = "prometheus-port", env = "SPANLINE_PROMETHEUS_PORT", value_name = "PORT")]
    #[arg(default_value_t = DEFAULT.prometheus)]
    pub prometheus: u16,
}

const DEFAULT: Ports = Ports {
    api_node: 3000,
    api_python: 8000,
    api_node_metrics: 9464,
    api_python_metrics: 9465,
    otlp_grpc: 4317,
    otlp_http: 4318,
    web: 9880,
    health: 13133,
    self_metrics: 8888,
    prometheus: 8889,
};

impl Default for Ports {
    fn default() -> Self {
        DEFAULT
    }
}

impl Ports {
    /// Any free port for everything.
    pub fn any() -> Self {
        Self {
            api_node: 0,
            api_python: 0,
            api_node_metrics: 0,
            api_python_metrics: 0,
            otlp_grpc: 0,
            otlp_http: 0,
            web: 0,
            health: 0,
            self_metrics: 0,
            prometheus: 0,
        }
    }

    /// Whether the services can't find the agent by its address alone.
    pub(super) fn otlp_moved(&self) -> bool {
        (self.otlp_grpc, self.otlp_http) != (DEFAULT.otlp_grpc, DEFAULT.otlp_http)
    }

    /// Puts a free port in the place of every 0, and checks that the others are free.
    ///
    /// # Errors
    ///
    /// Names the first port that is taken, also when two settings name the same.
    pub(super) fn claim(mut self) -> Result<Self, LaunchError> {
        // Held until all are known to be free, so that no port is given twice.
        let mut held = Vec::new();
        for (what, flag, port) in self.each() {
            let wanted = *port;
            let listener = bind(wanted).map_err(|cause| LaunchError::Port {
                port: wanted,
                what,
                flag,
                cause,
            })?;
            if wanted == 0 {
                *port = reserve(&listener).map_err(LaunchError::Runtime)?;
            }
            held.push(listener);
        }
        Ok(self)
    }

    fn each(&mut self) -> [(&'static str, &'static str, &mut u16); 10] {
        [
            ("api-node", "--api-node-port", &mut self.api_node),
            ("api-python", "--api-python-port", &mut self.api_python),
            ("api-node's metrics", "--api-node-metrics-port", &mut self.api_node_metrics),
            ("api-python's metrics", "--api-python-metrics-port", &mut self.api_python_metrics),
            ("the agent's OTLP/gRPC", "--otlp-grpc-port", &mut self.otlp_grpc),
            ("the agent's OTLP/HTTP", "--otlp-http-port", &mut self.otlp_http),
            ("the agent's page", "--web-port", &mut self.web),
            ("the agent's health", "--health-port", &mut self.health),
            ("the agent's own metrics", "--self-metrics-port", &mut self.self_metrics),
            ("the agent's Prometheus exporter", "--prometheus-port", &mut self.prometheus),
        ]
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// Keeps the port of `listener` from being given to anyone who asks for any free port, after the
/// listener is closed as well.
///
/// A connection that the listener's side closes first leaves the port in TIME_WAIT for a minute: the
/// kernel then hands it out no more, while a server that names it can still bind it.
fn reserve(listener: &TcpListener) -> io::Result<u16> {
    let address: SocketAddr = listener.local_addr()?;
    let client = TcpStream::connect(address)?;
    let (accepted, _) = listener.accept()?;
    drop(accepted);
    drop(client);
    Ok(address.port())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_zero_becomes_a_free_port_and_a_number_stays() {
        let wanted = reserve(&bind(0).unwrap()).unwrap();
        let ports = Ports { web: wanted, ..Ports::any() }.claim().unwrap();
        assert_eq!(ports.web, wanted);
        let mut ports = ports;
        let numbers: HashSet<_> = ports.each().map(|(_, _, port)| *port).into_iter().collect();
        assert_eq!(numbers.len(), 10);
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn a_claimed_port_can_be_bound_by_who_knows_it_and_is_given_to_nobody_else() {
        let ports = Ports::any().claim().unwrap();
        let others: Vec<_> = (0..200).map(|_| bind(0).unwrap()).collect();
        assert!(others.iter().all(|other| other.local_addr().unwrap().port() != ports.web));
        bind(ports.web).unwrap();
    }

    #[test]
    fn a_taken_port_is_named_with_the_setting_that_moves_it() {
        let taken = bind(0).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports { otlp_http: port, ..Ports::any() }.claim().unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&port.to_string()), "{text}");
        assert!(text.contains("--otlp-http-port"), "{text}");
    }

    #[test]
    fn one_port_for_two_things_is_refused() {
        let port = reserve(&bind(0).unwrap()).unwrap();
        let error = Ports { web: port, health: port, ..Ports::any() }.claim().unwrap_err();
        assert!(error.to_string().contains("--health-port"), "{error}");
    }
}
