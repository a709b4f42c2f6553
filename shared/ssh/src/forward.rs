//! Connections that a client makes through the server (`ssh -L`), to the addresses that its login allows.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use russh::server::{ChannelOpenHandle, Msg};
use russh::{ChannelOpenFailure, ChannelWriteHalf, Error};
use tokio::net::TcpStream;

use crate::channels::Streams;
use crate::input::write_input;
use crate::limits;
use crate::output::Output;

/// How long connecting may take. A browser gives up at about the same time.
const CONNECT: Duration = Duration::from_secs(30);

/// Where a client wants to connect to.
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// A number up to 65535, or a mistake of the client.
    pub port: u32,
    /// Addresses that are allowed, besides the loopback ones.
    pub allowed: Vec<IpAddr>,
    /// The client, for the log.
    pub peer: SocketAddr,
}

/// Connects, and passes on what both sides send until both have ended or the client closes the channel.
pub async fn forward(
    target: Target,
    reply: ChannelOpenHandle,
    client: ChannelWriteHalf<Msg>,
    streams: Streams,
) {
    let connected = tokio::select! {
        connected = tokio::time::timeout(CONNECT, target.connect()) => connected,
        () = streams.closed.cancelled() => return,
    };
    let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(Some(stream)) => stream,
        Ok(None) => {
            let host: String = target.host.chars().take(limits::LOGGED_CHARACTERS).collect();
            tracing::info!(peer = %target.peer, ?host, target.port, "a forwarding was refused");
            return reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
        }
        Err(_) => return reply.reject(ChannelOpenFailure::ConnectFailed).await,
    };
    reply.accept().await;
    let (from, to) = stream.into_split();
    let sending = async {
        let sent = Output::new(Box::new(from), None).send(&client).await;
        if sent.is_ok() { client.eof().await } else { sent }
    };
    let both = async {
        // Each direction ends by itself, as in a connection without a tunnel.
        let (sent, ()) = tokio::join!(sending, write_input(streams.input.clone(), to));
        sent?;
        client.close().await
    };
    let ended: Result<(), Error> = tokio::select! {
        ended = both => ended,
        () = streams.closed.cancelled() => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %target.peer, %error, "a forwarding has failed");
    }
    streams.input.discard();
}

impl Target {
    /// `None` when no address of the host is allowed. The address that was checked is the one that is connected to:
    /// a name is looked up once.
    async fn connect(&self) -> io::Result<Option<TcpStream>> {
        let port = u16::try_from(self.port).map_err(io::Error::other)?;
        let addresses = tokio::net::lookup_host((self.host.as_str(), port)).await?;
        let mut failure = None;
        for address in addresses.filter(|address| self.allows(address.ip())) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Some(stream));
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.allowed.contains(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_listed_addresses_are_allowed() {
        let target = Target {
            host: String::new(),
            port: 80,
            allowed: vec!["10.0.0.4".parse().unwrap()],
            peer: "127.0.0.1:1".parse().unwrap(),
        };
        for allowed in ["127.0.0.1", "127.8.0.9", "::1", "::ffff:127.0.0.1", "10.0.0.4"] {
            assert!(target.allows(allowed.parse().unwrap()), "{allowed}");
        }
        for refused in ["169.254.169.254", "10.0.0.5", "::ffff:10.0.0.5", "0.0.0.0", "::"] {
            assert!(!target.allows(refused.parse().unwrap()), "{refused}");
        }
    }
}
