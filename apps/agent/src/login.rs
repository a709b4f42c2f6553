//! The administrator's login over SSH.
//!
//! The agent only accepts the connections. Each is served by a process of its own, so that a session survives a restart
//! of the agent, and that an agent whose node nobody logs in to costs nothing more.

mod places;

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use protocol::Administrator;
use rustix::rand::{GetRandomFlags, getrandom};
use ssh::{Access, HostSpawn, KeyPair, Password, Policy, PublicKey};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, Command};

use crate::host::Host;
use places::{Place, Places};

/// After an error that would otherwise return at once, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts logins at the address of the node until the agent ends; at any free port for port 0. Returns the port. The
/// port of the agent before this one is used again if it is free. `None`, and a line in the log, when there are no
/// logins: a node is useful without.
pub async fn listen(host: &Arc<Host>, address: &str, port: u16) -> Option<u16> {
    let file = host.private().join("login-port");
    let former = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
    let mut listener = bind(address, former.filter(|_| port == 0).unwrap_or(port)).await;
    if listener.is_err() && port == 0 {
        listener = bind(address, 0).await;
    }
    let opened = listener.and_then(|listener| {
        host_key(&host.private())?;
        let port = listener.local_addr()?.port();
        fs::write(&file, port.to_string())?;
        Ok((listener, port))
    });
    match opened {
        Ok((listener, port)) => {
            let address = address.to_owned();
            tokio::spawn(accept(listener, Arc::clone(host), address));
            Some(port)
        }
        Err(error) => {
            tracing::warn!(address, port, %error, "administrators cannot log in to this node");
            None
        }
    }
}

async fn bind(address: &str, port: u16) -> io::Result<TcpListener> {
    let address: IpAddr = address.parse().map_err(io::Error::other)?;
    TcpListener::bind((address, port)).await
}

async fn accept(listener: TcpListener, host: Arc<Host>, address: String) {
    let places = Places::default();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip()).await else {
            tracing::info!(%peer, reason = "too many connections", "a connection was refused");
            continue;
        };
        match stream.into_std().and_then(|stream| serve(&host, &address, stream)) {
            Ok((process, line)) => drop(tokio::spawn(wait(process, line, place))),
            Err(error) => tracing::warn!(%peer, %error, "a connection could not be served"),
        }
    }
}

/// Waits until the process has ended. If the place of its client is taken before that has logged in, the line to the
/// process is closed. The process decides what came first, so that nobody is evicted who has logged in.
async fn wait(mut process: Child, mut line: UnixStream, mut place: Place) {
    let is_logged_in = tokio::select! {
        read = line.read_u8() => read.is_ok(),
        () = place.evicted() => false,
    };
    if is_logged_in {
        place.keep();
    }
    drop(line);
    // An error means that it was waited for elsewhere.
    let _ = process.wait().await;
}

/// Starts the process that serves a connection, and returns it with the line to it, see [`ssh::serve_connection`].
/// Sessions see what the agent passes on to jobs, and no variable of the service (docs/contract.md, "Variables").
fn serve(host: &Host, address: &str, stream: TcpStream) -> io::Result<(Child, UnixStream)> {
    let (line, end_of_process) = std::os::unix::net::UnixStream::pair()?;
    line.set_nonblocking(true)?;
    let line = UnixStream::from_std(line)?;
    let mut environment = host.base_environment();
    environment.retain(|name, _| !name.starts_with("AZ_BATCHAI_"));
    let process = Command::new("/proc/self/exe")
        .args([crate::SSH_LOGIN, address])
        .arg(host.private())
        .env_clear()
        .envs(environment)
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .stdout(Stdio::from(OwnedFd::from(end_of_process)))
        .spawn()?;
    Ok((process, line))
}

/// Stores who may log in, for this agent and those after it. The password is there only as its slow hash.
pub fn store(host: &Host, administrator: Option<&Administrator>) -> io::Result<()> {
    let path = administrator_file(&host.private());
    match administrator {
        Some(administrator) => write_private(&path, &serde_json::to_vec(administrator)?),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        },
    }
}

fn administrator_file(private: &Path) -> PathBuf {
    private.join("administrator.json")
}

/// The key by which clients know the node. Made once.
fn host_key(private: &Path) -> io::Result<KeyPair> {
    let path = private.join("ssh_host_ed25519_key");
    match fs::read_to_string(&path) {
        Ok(text) => return KeyPair::from_openssh(&text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut seed = [0; 32];
    // 32 bytes are never returned in part.
    getrandom(&mut seed, GetRandomFlags::empty())?;
    let key = KeyPair::from_seed(&seed, "node");
    write_private(&path, key.private_key().map_err(io::Error::other)?.as_bytes())?;
    Ok(key)
}

/// Whole or not at all.
fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?.write_all(text)?;
    fs::rename(draft, path)
}

/// The process that serves one connection, which is its stdin. Its stdout is the line to the agent. Arguments: the address of the node, and the private
/// directory of the agent.
pub fn main(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve_stdin(arguments.into_iter().collect())));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "a connection has failed");
            ExitCode::FAILURE
        }
    }
}

async fn serve_stdin(arguments: Vec<std::ffi::OsString>) -> anyhow::Result<()> {
    let [address, private] = &arguments[..] else {
        anyhow::bail!("usage: batchai ssh-login ADDRESS DIRECTORY");
    };
    let address: IpAddr = address.to_str().context("no address")?.parse()?;
    let private = Path::new(private);
    let stream = TcpStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let line = io::stdout().as_fd().try_clone_to_owned()?;
    let line = std::os::unix::net::UnixStream::from(line);
    line.set_nonblocking(true)?;
    let policy = Policy::default();
    if let Ok(text) = fs::read(administrator_file(private)) {
        let administrator: Administrator = serde_json::from_slice(&text)?;
        policy.set_administrator(Some(admitted(administrator, address)));
    }
    let line = UnixStream::from_std(line)?;
    ssh::serve_connection(stream, host_key(private)?, Arc::new(policy), line).await?;
    Ok(())
}

/// What cannot be read of it admits nobody.
fn admitted(administrator: Administrator, address: IpAddr) -> ssh::Administrator {
    let Administrator { user, public_key, password_hash } = administrator;
    let key = public_key.and_then(|line| {
        PublicKey::from_openssh(&line)
            .inspect_err(|error| tracing::warn!(%error, "adminUserSshPublicKey is not accepted"))
            .ok()
    });
    let password = password_hash.and_then(|hash| {
        Password::from_hash(&hash)
            .inspect_err(|error| tracing::warn!(%error, "the password is not accepted"))
            .ok()
    });
    let environment: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    let home = environment.get(std::ffi::OsStr::new("HOME")).map(PathBuf::from);
    let spawn = HostSpawn {
        enter: Vec::new(),
        directory: home.filter(|home| home.is_dir()).unwrap_or_else(|| "/".into()),
        environment,
        user: None,
        shell: "/bin/bash".into(),
        is_login: true,
        sftp_server: vec!["/proc/self/exe".into(), crate::SFTP_SERVER.into()],
    };
    // What jobs serve on this node: a notebook, TensorBoard.
    let access = Access { spawn: Arc::new(spawn), forward_to: vec![address] };
    ssh::Administrator { user, keys: key.into_iter().collect(), password, access }
}
