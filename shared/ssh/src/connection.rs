//! One connection: the login of its client, and what it asks for on its channels.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use russh::keys::ssh_key;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{
    Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, MethodKind, MethodSet, Pty, Sig,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::environment::Variables;
use crate::input::{Input, Overflow, Pauses};
use crate::limits;
use crate::policy::{Login, Policy, Refusal};
use crate::program::{self, Order};
use crate::signals::Signal;
use crate::spawn::{Program, Request, Size, Terminal};

/// Orders that wait for a program to take them.
const ORDERS: usize = 16;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The protocol was broken, or the client has gone.
    #[error(transparent)]
    Protocol(#[from] russh::Error),
    /// The socket cannot be used.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
    /// A process did not read, and its client went on sending.
    #[error("too much input waits for a process that does not read it")]
    Overflow,
}

/// What is known of a connection. Dropping it ends its sessions.
pub struct Connection {
    policy: Arc<Policy>,
    /// The two ends of the connection.
    addresses: (SocketAddr, SocketAddr),
    /// Is told the login.
    admitted: Option<oneshot::Sender<Login>>,
    login: Option<Login>,
    channels: HashMap<ChannelId, Open>,
    pauses: Pauses,
    ended: CancellationToken,
}

/// A channel.
enum Open {
    /// Before a program is asked for.
    Preparing(Box<Preparing>),
    Running(Running),
}

struct Preparing {
    client: ChannelWriteHalf<Msg>,
    variables: Variables,
    terminal: Option<Terminal>,
}

/// A channel whose data goes to a program or to another connection.
struct Running {
    input: Input,
    orders: mpsc::Sender<Order>,
    closed: CancellationToken,
}

impl Connection {
    /// Of the client at `peer`, connected to `own`. The login is sent to `admitted`. `ended` is cancelled when the
    /// connection ends; cancelling it ends the sessions.
    pub fn new(
        policy: Arc<Policy>,
        (peer, own): (SocketAddr, SocketAddr),
        admitted: oneshot::Sender<Login>,
        ended: CancellationToken,
    ) -> Self {
        Self {
            policy,
            addresses: (peer, own),
            admitted: Some(admitted),
            login: None,
            channels: HashMap::new(),
            pauses: Pauses::default(),
            ended,
        }
    }

    /// Accepts or refuses, and logs a refusal.
    fn answer(&mut self, user: &str, outcome: Result<Login, Refusal>) -> Auth {
        match outcome {
            Ok(login) => {
                self.login = Some(login);
                Auth::Accept
            }
            Err(reason) => {
                let user: String = user.chars().take(limits::LOGGED_CHARACTERS).collect();
                tracing::info!(peer = %self.addresses.0, ?user, %reason, "a login was refused");
                self.refuse()
            }
        }
    }

    /// With the methods that may succeed: a client asks for a password only where there is one.
    fn refuse(&self) -> Auth {
        let mut methods = vec![MethodKind::PublicKey];
        if self.policy.accepts_passwords() {
            methods.push(MethodKind::Password);
        }
        let proceed_with_methods = Some(MethodSet::from(methods.as_slice()));
        Auth::Reject { proceed_with_methods, partial_success: false }
    }

    fn start(
        &mut self,
        id: ChannelId,
        program: Program,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        // Dropped channels, such as those that were closed, are no longer in use.
        let prepared = self.channels.remove(&id);
        let (Some(Open::Preparing(prepared)), Some(login)) = (prepared, &self.login) else {
            return Ok(session.channel_failure(id)?);
        };
        let Preparing { client, variables, terminal } = *prepared;
        let request = Request {
            program,
            client_environment: variables.into_map(),
            session_environment: session_environment(self.addresses, terminal.as_ref()),
            terminal,
        };
        let (orders, receiver) = mpsc::channel(ORDERS);
        let closed = self.ended.child_token();
        let input = Input::default();
        let running = program::Session {
            client,
            handle: session.handle(),
            input: input.clone(),
            orders: receiver,
            closed: closed.clone(),
        };
        let spawn = Arc::clone(&login.access.spawn);
        tokio::spawn(async move { running.run(spawn.as_ref(), request).await });
        self.channels.insert(id, Open::Running(Running { input, orders, closed }));
        Ok(session.channel_success(id)?)
    }

    fn order(&self, id: ChannelId, order: Order) -> bool {
        match self.channels.get(&id) {
            // Of a program that does not take its orders, the client may not fill the memory.
            Some(Open::Running(running)) => running.orders.try_send(order).is_ok(),
            Some(Open::Preparing(_)) | None => false,
        }
    }

    fn preparing(&mut self, id: ChannelId) -> Option<&mut Preparing> {
        match self.channels.get_mut(&id) {
            Some(Open::Preparing(preparing)) => Some(preparing),
            Some(Open::Running(_)) | None => None,
        }
    }

    /// Whether another channel may be opened. Forgets those whose program has ended.
    fn has_room(&mut self) -> bool {
        self.channels.retain(|_, channel| match channel {
            Open::Preparing(_) => true,
            Open::Running(running) => !running.orders.is_closed(),
        });
        self.channels.len() < limits::CHANNELS
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Handler for Connection {
    type Error = ConnectionError;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, ConnectionError> {
        Ok(self.refuse())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, ConnectionError> {
        let outcome = self.policy.with_password(user, password);
        Ok(self.answer(user, outcome))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, ConnectionError> {
        // Signatures with SHA-1 can be forged.
        if *offer.algorithm == (ssh_key::Algorithm::Rsa { hash: None }) {
            return Ok(self.answer(user, Err(Refusal::WeakSignature)));
        }
        Ok(match self.policy.with_key(user, offer.public_key) {
            Ok(_) => Auth::Accept,
            Err(refusal) => self.answer(user, Err(refusal)),
        })
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, ConnectionError> {
        // The policy may have changed since the key was offered.
        let outcome = self.policy.with_key(user, key.public_key);
        Ok(self.answer(user, outcome))
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), ConnectionError> {
        if let (Some(admitted), Some(login)) = (self.admitted.take(), &self.login) {
            tracing::info!(peer = %self.addresses.0, login = login.name, "logged in");
            // An error means that the server has ended.
            let _ = admitted.send(login.clone());
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        if !self.has_room() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        // Without the other half the library queues nothing; `data` does.
        let (_, client) = channel.split();
        let preparing = Preparing { client, variables: Variables::default(), terminal: None };
        self.channels.insert(id, Open::Preparing(Box::new(preparing)));
        reply.accept().await;
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let is_set = self.preparing(channel).is_some_and(|it| it.variables.set(name, value));
        answer(session, channel, is_set)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let is_plain = term.len() <= limits::TERMINAL_KIND && !term.contains('\0');
        let preparing = self.preparing(channel).filter(|_| is_plain);
        let is_set = preparing.is_some();
        if let Some(preparing) = preparing {
            let size = size_of(columns, rows, width, height);
            preparing.terminal = Some(Terminal { kind: term.to_owned(), size });
        }
        answer(session, channel, is_set)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        self.start(channel, Program::Shell, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let command = OsStr::from_bytes(command).to_owned();
        self.start(channel, Program::Command(command), session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        match name {
            "sftp" => self.start(channel, Program::Sftp, session),
            _ => answer(session, channel, false),
        }
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let order = Order::Resize(size_of(columns, rows, width, height));
        let is_taken = self.order(channel, order);
        answer(session, channel, is_taken)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let signal = Signal::of(&signal);
        let is_taken = signal.is_some_and(|it| self.order(channel, Order::Signal(it)));
        answer(session, channel, is_taken)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        if let Some(Open::Running(running)) = self.channels.get(&channel) {
            running.input.push(data).map_err(|Overflow| ConnectionError::Overflow)?;
            if running.input.is_full() {
                self.pauses.pause(&running.input).await;
            }
        }
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        let is_full = |channel: &Open| match channel {
            Open::Running(running) => running.input.is_full(),
            Open::Preparing(_) => false,
        };
        if self.channels.values().any(is_full) {
            limits::SLOW_WINDOW_BYTES
        } else {
            limits::WINDOW_BYTES
        }
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        if let Some(Open::Running(running)) = self.channels.get(&channel) {
            running.input.end();
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        if let Some(Open::Running(running)) = self.channels.remove(&channel) {
            running.closed.cancel();
        }
        Ok(())
    }
}

fn answer(session: &mut Session, channel: ChannelId, is_done: bool) -> Result<(), ConnectionError> {
    if is_done {
        session.channel_success(channel)?;
    } else {
        session.channel_failure(channel)?;
    }
    Ok(())
}

fn size_of(columns: u32, rows: u32, width: u32, height: u32) -> Size {
    let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    Size { columns: short(columns), rows: short(rows), width: short(width), height: short(height) }
}

fn session_environment(
    (peer, own): (SocketAddr, SocketAddr),
    terminal: Option<&Terminal>,
) -> BTreeMap<String, String> {
    let ends = (peer.ip(), peer.port(), own.ip(), own.port());
    let mut variables = BTreeMap::from([
        ("SSH_CLIENT".to_owned(), format!("{} {} {}", ends.0, ends.1, ends.3)),
        ("SSH_CONNECTION".to_owned(), format!("{} {} {} {}", ends.0, ends.1, ends.2, ends.3)),
    ]);
    variables.extend(terminal.map(|terminal| ("TERM".to_owned(), terminal.kind.clone())));
    variables
}
