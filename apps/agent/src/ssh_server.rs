//! The SSH server of an attempt on one node. The supervisor starts it beside the command of the job, so it survives a
//! restart of the agent. The processes that other nodes start through it belong to the attempt and end with it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ssh::{Access, HostSpawn, KeyPair, Policy, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::system::processes;

/// After SIGTERM, how often it is checked whether the commands of other nodes have ended.
const CHECK: Duration = Duration::from_millis(20);

/// After the last command of another node has ended, how long its client may take to receive its output.
const DRAIN: Duration = Duration::from_secs(1);

/// Before another try to listen: the server of an earlier attempt may still have the address.
const RETRY: Duration = Duration::from_millis(200);

/// Arguments: where to listen, the file of the private key of the attempt, and the container of its sessions.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve(arguments.into_iter().collect())));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the SSH server has failed");
            ExitCode::FAILURE
        }
    }
}

/// The command line of this program with another task.
fn own(task: &str, arguments: &[OsString]) -> Vec<OsString> {
    ["/proc/self/exe".into(), task.into()].into_iter().chain(arguments.iter().cloned()).collect()
}

async fn serve(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let [address, key_file, container @ ..] = &arguments[..] else {
        anyhow::bail!("usage: batchai ssh-server ADDRESS:PORT KEY_FILE [PID STARTED DIRECTORY]");
    };
    // Before anything else: until then SIGTERM would end it before the commands of other nodes.
    let mut terminated = signal(SignalKind::terminate())?;
    let address: SocketAddr = address.to_str().context("no address")?.parse()?;
    let key_file = PathBuf::from(key_file);
    let text = std::fs::read_to_string(&key_file)
        .with_context(|| format!("cannot read {}", key_file.display()))?;
    let key = KeyPair::from_openssh(&text)?;
    let policy = Arc::new(Policy::default());
    let spawn = HostSpawn {
        directory: std::env::current_dir()?,
        environment: std::env::vars_os().collect(),
        user: None,
        shell: "/bin/bash".into(),
        is_login: false,
        enter: if container.is_empty() { Vec::new() } else { own(crate::ENTER, container) },
        sftp_server: own(crate::SFTP_SERVER, container),
    };
    let access = Access { spawn: Arc::new(spawn), forward_to: Vec::new() };
    policy.admit("attempt", key.public_key(), access);
    let server = async {
        loop {
            match Server::bind(address, KeyPair::from_openssh(&text)?, Arc::clone(&policy)).await {
                Ok(server) => return anyhow::Ok(server),
                Err(error) => tracing::warn!(%address, %error, "cannot listen; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    let server = tokio::select! {
        server = server => server?,
        _ = terminated.recv() => return Ok(()),
    };
    terminated.recv().await;
    let own = std::process::id().cast_signed();
    while processes::descendants(own).iter().any(processes::Process::is_alive) {
        tokio::time::sleep(CHECK).await;
    }
    // What they wrote last is still on its way to their clients, which go when they have it.
    let drained = async {
        while !server.is_idle() {
            tokio::time::sleep(CHECK).await;
        }
    };
    // An error means that a client stays: a shared connection of OpenSSH, for example.
    let _ = tokio::time::timeout(DRAIN, drained).await;
    Ok(())
}
