//! Runs `batchai local` as a child process.
//!
//! Its stdin is a pipe from this process, and it stops at the end of stdin: it
//! stops even if this process is killed, unless --keep was given.

use crate::client::{Client, Scope};
use crate::context::connect;
use crate::options::{DEFAULT_RESOURCE_GROUP, DEFAULT_SUBSCRIPTION};
use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;

/// Short, so that the cluster scales to zero during the demonstration.
const IDLE_SECONDS: &str = "3";

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// How many lines of its log an error shows.
const LOG_LINES: usize = 12;

pub struct Service {
    child: Child,
    /// The write end of its stdin. `Child::wait` would close it if it stayed in `child`.
    stdin: Option<ChildStdin>,
    executable: PathBuf,
}

impl Service {
    pub fn spawn(root: &Path, keep: bool) -> Result<Self> {
        let executable =
            std::env::current_exe().context("cannot find the path of this executable")?;
        let log = File::create(log_file(root)).context("cannot create the service's log")?;
        let mut command = Command::new(&executable);
        command
            .args([
                "local",
                "-o",
                "quiet",
                "--listen",
                "127.0.0.1:0",
                "--idle-seconds",
                IDLE_SECONDS,
            ])
            .arg("--data-dir")
            .arg(data_dir(root))
            .env_remove("BATCHAI_TOKEN") // the service generates a token
            .stdout(log.try_clone().context("cannot share the service's log")?)
            .stderr(log)
            .process_group(0); // Ctrl-C must reach only this process
        if keep {
            command.stdin(Stdio::null());
        } else {
            command.arg("--stop-at-end-of-input").stdin(Stdio::piped());
        }
        let mut child = command.spawn().context("cannot start the service")?;
        let stdin = child.stdin.take();
        Ok(Self { child, stdin, executable })
    }

    /// Waits until the service answers.
    pub async fn ready(&mut self, root: &Path) -> Result<Client> {
        let data_dir = data_dir(root);
        let begin = Instant::now();
        loop {
            if let Some(status) =
                self.child.try_wait().context("cannot read the status of the service")?
            {
                bail!("the service exited during its start ({status}):\n{}", last_lines(root));
            }
            if data_dir.join("endpoint").exists() {
                let client = connect(None, Some(&data_dir), None)?;
                match client.list(&scope().all_workspaces()).await {
                    Ok(_) => return Ok(client),
                    Err(error) if begin.elapsed() > START_TIMEOUT => return Err(error),
                    Err(_) => {}
                }
            }
            if begin.elapsed() > START_TIMEOUT {
                bail!("the service did not start in time:\n{}", last_lines(root));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until the service exits by itself; returns an error with its status.
    pub async fn unexpected_exit(&mut self, root: &Path) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("the service exited ({status}):\n{}", last_lines(root)),
            Err(error) => anyhow!("cannot wait for the service: {error}"),
        }
    }

    /// Stops the service with SIGTERM, and with SIGKILL after a timeout.
    pub async fn stop(mut self) {
        // Keep stdin open: its end would be a second stop request, which skips the orderly stop.
        let _stdin = self.stdin.take();
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// Leaves the service running.
    pub fn detach(self) {
        drop(self.child);
    }

    pub fn instructions(&self, root: &Path) -> String {
        let data_dir = data_dir(root);
        let (data_dir, root) = (data_dir.display(), root.display());
        let batchai = self.executable.display();
        let pid = self.child.id().unwrap_or_default();
        format!(
            "The service is still running. To use it:

  export BATCHAI_DATA_DIR='{data_dir}' BATCHAI_WORKSPACE=demo BATCHAI_EXPERIMENT=digits
  {batchai} portal
  {batchai} job list
  {batchai} job logs hidden32-lr005
  {batchai} job files hidden32-lr005 -d MODEL
  {batchai} file-server show nfs

To stop it and remove its data:

  kill {pid}; sleep 5; rm -r '{root}'"
        )
    }

    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}

/// The scope of all resources of the demonstration.
pub fn scope() -> Scope {
    Scope {
        subscription: DEFAULT_SUBSCRIPTION.to_owned(),
        resource_group: DEFAULT_RESOURCE_GROUP.to_owned(),
        workspace: Some("demo".to_owned()),
        experiment: Some("digits".to_owned()),
    }
}

fn data_dir(root: &Path) -> PathBuf {
    root.join("data")
}

fn log_file(root: &Path) -> PathBuf {
    root.join("service.log")
}

fn last_lines(root: &Path) -> String {
    let text = std::fs::read_to_string(log_file(root)).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
