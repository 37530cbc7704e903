//! Asks a service for its health from the outside, as an image's health check does.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than any status line, and all that is read of an answer.
const MAX_STATUS_LINE_BYTES: u64 = 1024;

/// Success when the service at `address` answers `/healthz` with 200.
pub(super) fn ask(address: SocketAddr) -> ExitCode {
    match status_line(reachable(address)) {
        Ok(line) if line.split(' ').nth(1) == Some("200") => ExitCode::SUCCESS,
        Ok(line) => {
            eprintln!("not well: {address} answered {:?}", line.trim_end());
            ExitCode::FAILURE
        }
        Err(cause) => {
            eprintln!("not well: {address} gave no answer: {cause}");
            ExitCode::FAILURE
        }
    }
}

/// A service that listens on all addresses is asked on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn status_line(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_STATUS_LINE_BYTES)).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_all_addresses_is_asked_on_loopback() {
        assert_eq!(reachable(([0, 0, 0, 0], 3000).into()), ([127, 0, 0, 1], 3000).into());
        assert_eq!(reachable("[::]:3000".parse().unwrap()), "[::1]:3000".parse().unwrap());
        assert_eq!(reachable(([10, 0, 0, 7], 3000).into()), ([10, 0, 0, 7], 3000).into());
    }
}
