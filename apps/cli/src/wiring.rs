//! The only file that calls the crates `agent` and `local`: what this binary is besides a client.
//!
//! STUB: until those crates exist, this file stands in for them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What `batchai local` is told to do.
pub struct LocalOptions {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub max_nodes: u32,
    pub token: Option<String>,
    pub idle_seconds: u64,
    /// How often it looks after everything without being asked.
    pub tick_millis: u64,
    pub node_command: Vec<OsString>,
}

pub struct LocalService {
    address: SocketAddr,
    data_dir: PathBuf,
    child: tokio::process::Child,
}

pub fn agent(_arguments: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}

pub fn supervisor(_arguments: Vec<OsString>) -> ExitCode {
    ExitCode::FAILURE
}

impl LocalService {
    pub async fn start(options: LocalOptions) -> anyhow::Result<Self> {
        let endpoint = options.data_dir.join("endpoint");
        let _ = std::fs::remove_file(&endpoint);
        let child = tokio::process::Command::new("python3")
            .arg("/tmp/fakebatchai/fake.py")
            .arg(options.listen.to_string())
            .arg(&options.data_dir)
            .arg(options.token.unwrap_or_default())
            .arg(options.idle_seconds.to_string())
            .spawn()?;
        while !endpoint.exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let url = std::fs::read_to_string(&endpoint)?;
        let address = url.trim().trim_start_matches("http://").parse()?;
        Ok(Self { address, data_dir: options.data_dir, child })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn token_file(&self) -> PathBuf {
        self.data_dir.join("token")
    }

    pub async fn stop(mut self, _grace: Duration) {
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32))
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait().await;
    }
}
