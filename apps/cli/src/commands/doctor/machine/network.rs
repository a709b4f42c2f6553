//! The port of the service, and the addresses of nodes.

use crate::commands::doctor::check::Check;
use reqwest::Url;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

/// Nodes have loopback addresses of their own, such as this one.
const NODE: Ipv4Addr = Ipv4Addr::new(127, 0, 255, 1);

/// Whether the service could listen at its endpoint. None for a URL without an address.
pub fn port(endpoint: &str) -> Option<Check> {
    const NAME: &str = "port";
    let url: Url = endpoint.parse().ok()?;
    let address: IpAddr = match url.host_str()? {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        host => host.trim_matches(['[', ']']).parse().ok()?,
    };
    let port = url.port_or_known_default()?;
    Some(match TcpListener::bind((address, port)) {
        Ok(_) => Check::ok(NAME, format!("{address}:{port} is free for `batchai local`")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Check::problem(
            NAME,
            format!("another program uses {address}:{port}"),
            "End it, or use another port: batchai local --listen 127.0.0.1:0",
        ),
        Err(error) => Check::problem(
            NAME,
            format!("{address}:{port}: {error}"),
            "Use another port: batchai local --listen 127.0.0.1:0",
        ),
    })
}

pub fn node_addresses() -> Check {
    const NAME: &str = "node addresses";
    match TcpListener::bind((NODE, 0)) {
        Ok(_) => Check::ok(NAME, "nodes can use addresses of 127.0.0.0/8"),
        Err(error) => Check::problem(
            NAME,
            format!("nodes cannot use addresses of 127.0.0.0/8 such as {NODE}: {error}"),
            "Add the network to the loopback interface: ip addr add 127.0.0.1/8 dev lo",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;

    #[test]
    fn a_used_port_is_a_problem() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let check = port(&endpoint).unwrap();
        assert_eq!(check.status, Status::Problem, "{check:?}");
        drop(listener);
        assert_eq!(port("http://localhost:0").unwrap().status, Status::Ok);
        assert!(port("https://api.example").is_none());
    }
}
