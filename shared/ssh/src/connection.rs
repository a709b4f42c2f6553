//! One connection: the login of its client, and what it asks for on its channels.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use russh::keys::ssh_key;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::channels::{Channels, Preparing};
use crate::forward::{Target, forward};
use crate::gate::Gate;
use crate::input::Overflow;
use crate::limits;
use crate::policy::{Login, Policy, Refusal};
use crate::program::{self, Order};
use crate::signals::Signal;
use crate::spawn::{Program, Request, Size, Terminal};

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
    channels: Channels,
    gate: Gate,
}

impl Connection {
    /// Of the client at `peer`, connected to `own`. The login is sent to `admitted`, its
    /// input comes through `gate`. `ended` is cancelled when the
    /// connection ends; cancelling it ends the sessions.
    pub fn new(
        policy: Arc<Policy>,
        (peer, own): (SocketAddr, SocketAddr),
        admitted: oneshot::Sender<Login>,
        gate: Gate,
        ended: CancellationToken,
    ) -> Self {
        Self {
            policy,
            addresses: (peer, own),
            admitted: Some(admitted),
            login: None,
            channels: Channels::new(ended),
            gate,
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

    /// Starts a program for a channel that was opened.
    fn start(
        &mut self,
        channel: ChannelId,
        program: Program,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let prepared = self.channels.take_prepared(channel);
        let (Some(prepared), Some(login)) = (prepared, &self.login) else {
            return answer(session, channel, false);
        };
        let Preparing { client, variables, terminal } = prepared;
        let request = Request {
            program,
            client_environment: variables.into_map(),
            session_environment: session_environment(self.addresses, terminal.as_ref()),
            terminal,
        };
        let streams = self.channels.run(channel);
        let handle = session.handle();
        let running = program::Session { client, handle, streams };
        let spawn = Arc::clone(&login.access.spawn);
        tokio::spawn(async move { running.run(spawn.as_ref(), request).await });
        answer(session, channel, true)
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
        if self.channels.has_room() {
            self.channels.prepare(channel);
            reply.accept().await;
        } else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let Some(login) = &self.login else { return Ok(()) };
        if !self.channels.has_room() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let streams = self.channels.run(channel.id());
        let (_, client) = channel.split();
        let target = Target {
            host: host.to_owned(),
            port,
            allowed: login.access.forward_to.clone(),
            peer: self.addresses.0,
        };
        // Connecting may take long, and others use this connection meanwhile.
        tokio::spawn(forward(target, reply, client, streams));
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let is_set =
            self.channels.preparing(channel).is_some_and(|it| it.variables.set(name, value));
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
        let preparing = self.channels.preparing(channel).filter(|_| is_plain);
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
        let is_taken = self.channels.order(channel, order);
        answer(session, channel, is_taken)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        session: &mut Session,
    ) -> Result<(), ConnectionError> {
        let signal = Signal::of(&signal);
        let is_taken = signal.is_some_and(|it| self.channels.order(channel, Order::Signal(it)));
        answer(session, channel, is_taken)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        if let Some(input) = self.channels.input(channel) {
            input.push(data).map_err(|Overflow| ConnectionError::Overflow)?;
            if input.is_full() {
                self.gate.note_full(input);
            }
        }
        Ok(())
    }

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.channels.window()
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        if let Some(input) = self.channels.input(channel) {
            input.end();
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), ConnectionError> {
        self.channels.close(channel);
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
