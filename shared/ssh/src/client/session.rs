//! One command on another node: the connection, the streams, the exit code.

use std::sync::Arc;

use russh::client::{Config, Handler, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelWriteHalf, Sig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, stderr, stdin, stdout};

use crate::client::ClientError;
use crate::client::arguments::Target;
use crate::{KeyPair, limits};

/// The servers are those of the nodes that the configuration names, whose keys nobody knows before.
struct AnyServer;

impl Handler for AnyServer {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// The exit code of the command.
pub async fn run(target: Target) -> Result<u8, ClientError> {
    let shown = target.key.display();
    let key = std::fs::read_to_string(&target.key)
        .map_err(|error| ClientError::File(format!("{shown}: {error}")))?;
    let key = KeyPair::from_openssh(&key).map_err(ClientError::Key)?.into_russh();
    let config = Config {
        keepalive_interval: Some(limits::KEEPALIVE),
        keepalive_max: limits::KEEPALIVES,
        nodelay: true,
        ..Config::default()
    };
    let address = (target.host.as_str(), target.port);
    let mut connection = russh::client::connect(Arc::new(config), address, AnyServer).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    if !connection.authenticate_publickey("job", key).await?.success() {
        return Err(ClientError::Denied);
    }
    let channel = connection.channel_open_session().await?;
    channel.exec(true, target.command).await?;
    let (mut from, to) = channel.split();
    if target.has_input {
        tokio::spawn(send_input(to));
    } else {
        to.eof().await?;
    }
    let mut code = Err(ClientError::Closed);
    while let Some(message) = from.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                let mut output = stdout();
                output.write_all(&data).await?;
                output.flush().await?;
            }
            ChannelMsg::ExtendedData { data, .. } => {
                let mut errors = stderr();
                errors.write_all(&data).await?;
                errors.flush().await?;
            }
            ChannelMsg::ExitStatus { exit_status } => {
                code = Ok(u8::try_from(exit_status).unwrap_or(u8::MAX));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                code = Err(ClientError::Signal(name_of(&signal_name)));
            }
            // Everything else is an answer to what was sent, or for other kinds of channels.
            _ => {}
        }
    }
    code
}

async fn send_input(to: ChannelWriteHalf<Msg>) -> Result<(), ClientError> {
    let mut input = stdin();
    let mut buffer = vec![0; limits::OUTPUT_BYTES];
    loop {
        match input.read(&mut buffer).await? {
            0 => return Ok(to.eof().await?),
            length => to.data_bytes(buffer[..length].to_vec()).await?,
        }
    }
}

fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
