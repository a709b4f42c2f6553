//! Accepts connections and limits them: in number, and in the time that they may take to log in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::server::{Config, RunningSession};
use russh::{Disconnect, MethodKind, MethodSet, Preferred, SshId, kex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, ConnectionError};
use crate::gate::{Gate, Gated};
use crate::keys::KeyPair;
use crate::limits;
use crate::policy::{Login, Policy};

/// Key exchanges. Those with large numbers would let a stranger keep the processor busy, and every client of the last
/// ten years knows one of these.
const KEY_EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// How long to wait after an error that would otherwise return at once, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the acceptor of a connection is sent when the client has logged in.
const LOGGED_IN: u8 = 1;

/// How long a client that is to go may take to receive the message that says so.
const FAREWELL: Duration = Duration::from_secs(1);

/// A server that accepts connections until it is dropped. Then its connections end as well.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopped: CancellationToken,
    places: Arc<Semaphore>,
}

impl Server {
    /// Listens at `address`; with the port 0, at any free one.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn bind(
        address: SocketAddr,
        host_key: KeyPair,
        policy: Arc<Policy>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let stopped = CancellationToken::new();
        let clients = Arc::new(Clients::new(host_key, policy, stopped.clone()));
        let places = Arc::clone(&clients.places);
        tokio::spawn(stopped.clone().run_until_cancelled_owned(accept(listener, clients)));
        Ok(Self { address, stopped, places })
    }

    /// Whether no client is connected.
    pub fn is_idle(&self) -> bool {
        self.places.available_permits() == limits::CONNECTIONS
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// Serves one connection that was accepted elsewhere, until it has ended. `acceptor` leads to who accepted it: a byte is
/// written there when the client has logged in. If the acceptor closes it before that, the connection is closed.
///
/// # Errors
/// When the connection fails.
pub async fn serve_connection(
    stream: std::net::TcpStream,
    host_key: KeyPair,
    policy: Arc<Policy>,
    acceptor: UnixStream,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let peer = stream.peer_addr()?;
    let clients = Clients::new(host_key, policy, CancellationToken::new());
    let (mut closed, mut news) = acceptor.into_split();
    let evicted = CancellationToken::new();
    let eviction = evicted.clone();
    tokio::spawn(async move {
        // It sends nothing. An error is an end, too.
        let _ = closed.read_u8().await;
        eviction.cancel();
    });
    let logged_in = async move {
        // An error means that the acceptor has gone: it evicts nobody.
        let _ = news.write_all(&[LOGGED_IN]).await;
    };
    let stream = TcpStream::from_std(stream)?;
    clients.serve(stream, peer, &evicted, logged_in).await.map_err(io::Error::other)
}

fn config(host_key: KeyPair) -> Config {
    Config {
        server_id: SshId::Standard("SSH-2.0-batchai".into()),
        methods: MethodSet::from([MethodKind::PublicKey, MethodKind::Password].as_slice()),
        auth_rejection_time: limits::REJECTION_TIME,
        // The first request of a client is meant to be refused: it asks which methods there are.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![host_key.into_russh()],
        window_size: limits::WINDOW_BYTES,
        // Nothing is queued there, see `Connection`.
        channel_buffer_size: 1,
        event_buffer_size: limits::OUTPUT_PACKETS,
        preferred: Preferred { kex: Cow::Borrowed(KEY_EXCHANGES), ..Preferred::default() },
        max_auth_attempts: limits::AUTHENTICATION_ATTEMPTS,
        inactivity_timeout: Some(limits::INACTIVITY),
        keepalive_interval: Some(limits::KEEPALIVE),
        keepalive_max: limits::KEEPALIVES,
        ..Config::default()
    }
}

struct Clients {
    config: Arc<Config>,
    policy: Arc<Policy>,
    places: Arc<Semaphore>,
    entrance: Entrance,
    stopped: CancellationToken,
}

/// The clients that have not logged in, in the order of their numbers. Cancelled to make room.
#[derive(Default)]
struct Entrance {
    waiting: Mutex<BTreeMap<u64, CancellationToken>>,
    last: AtomicU64,
}

impl Entrance {
    /// Adds a client, in place of the oldest one where there are too many.
    fn enter(&self) -> (u64, CancellationToken) {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let token = CancellationToken::new();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == limits::UNAUTHENTICATED_CONNECTIONS
            && let Some((_, oldest)) = waiting.pop_first()
        {
            oldest.cancel();
        }
        waiting.insert(number, token.clone());
        (number, token)
    }

    fn leave(&self, number: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }
}

async fn accept(listener: TcpListener, clients: Arc<Clients>) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&clients.places).try_acquire_owned() else {
            tracing::info!(%peer, reason = "too many connections", "a connection was refused");
            continue;
        };
        let clients = Arc::clone(&clients);
        tokio::spawn(async move {
            let (number, evicted) = clients.entrance.enter();
            let logged_in = async { clients.entrance.leave(number) };
            if let Err(error) = clients.serve(stream, peer, &evicted, logged_in).await {
                tracing::debug!(%peer, %error, "a connection has failed");
            }
            clients.entrance.leave(number);
            drop(place);
        });
    }
}

impl Clients {
    fn new(host_key: KeyPair, policy: Arc<Policy>, stopped: CancellationToken) -> Self {
        Self {
            config: Arc::new(config(host_key)),
            policy,
            places: Arc::new(Semaphore::new(limits::CONNECTIONS)),
            entrance: Entrance::default(),
            stopped,
        }
    }

    /// Until the client has gone. It is closed when it is `evicted` before it has logged in, and `logged_in` is run when
    /// it has.
    async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        evicted: &CancellationToken,
        logged_in: impl Future<Output = ()>,
    ) -> Result<(), ConnectionError> {
        let own = stream.local_addr()?;
        // Keystrokes and answers are small.
        stream.set_nodelay(true)?;
        let stream = stream.into_std()?;
        let socket = stream.try_clone()?;
        let gate = Gate::default();
        let stream = Gated::new(TcpStream::from_std(stream)?, gate.clone());
        let closed = CancellationToken::new();
        let (sender, admitted) = oneshot::channel();
        let policy = Arc::clone(&self.policy);
        let connection = Connection::new(policy, (peer, own), sender, gate, closed.clone());
        let (mut running, reason) =
            match self.log_in(stream, peer, connection, admitted, evicted).await? {
                LoginOutcome::Gone => return Ok(()),
                LoginOutcome::NotInTime(running, reason) => (running, reason),
                LoginOutcome::Admitted(mut running, login) => {
                    logged_in.await;
                    tokio::select! {
                        end = &mut running => return end,
                        () = login.ended.cancelled() => (running, "the login was revoked"),
                        () = self.stopped.cancelled() => (running, "the server has stopped"),
                    }
                }
            };
        tracing::info!(%peer, reason, "a connection was closed");
        closed.cancel();
        let farewell = async {
            let (why, language) = (reason.to_owned(), String::new());
            let _ = running.handle().disconnect(Disconnect::ByApplication, why, language).await;
            let _ = (&mut running).await;
        };
        // In vain where the client does not read.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        // An error means that the client has closed it.
        let _ = socket.shutdown(Shutdown::Both);
        Ok(())
    }

    async fn log_in(
        &self,
        stream: Gated<TcpStream>,
        peer: SocketAddr,
        connection: Connection,
        admitted: oneshot::Receiver<Login>,
        evicted: &CancellationToken,
    ) -> Result<LoginOutcome, ConnectionError> {
        let over = async {
            tokio::select! {
                () = tokio::time::sleep(limits::LOGIN_GRACE) => "no login in time",
                () = evicted.cancelled() => "too many connections without a login",
                () = self.stopped.cancelled() => "the server has stopped",
            }
        };
        let mut over = pin!(over);
        let config = Arc::clone(&self.config);
        let mut running = tokio::select! {
            running = russh::server::run_stream(config, stream, connection) => running?,
            reason = &mut over => {
                tracing::info!(%peer, reason, "a connection was closed before it began");
                return Ok(LoginOutcome::Gone);
            }
        };
        tokio::select! {
            biased;
            Ok(login) = admitted => Ok(LoginOutcome::Admitted(running, login)),
            end = &mut running => end.map(|()| LoginOutcome::Gone),
            reason = &mut over => Ok(LoginOutcome::NotInTime(running, reason)),
        }
    }
}

enum LoginOutcome {
    /// The client has gone.
    Gone,
    NotInTime(RunningSession<Connection>, &'static str),
    Admitted(RunningSession<Connection>, Login),
}
