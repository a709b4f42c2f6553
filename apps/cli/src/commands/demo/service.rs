//! The service of the demonstration: `batchai local` as a child process.
//!
//! Its stdin is a pipe of ours, at the end of which it stops: even if we are killed, it does not
//! stay behind (unless it is to be kept).

use crate::client::{Client, Scope};
use crate::context::connect;
use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::Instant;

/// Short, so that one sees the cluster shrink.
const IDLE_SECONDS: &str = "3";

const START_PATIENCE: Duration = Duration::from_secs(30);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Lines of its log that are shown when it does not start.
const LOG_LINES: usize = 12;

pub struct Service {
    child: Child,
    /// Our end of its stdin. Not left in `child`, which closes it to wait.
    lifeline: Option<ChildStdin>,
    executable: PathBuf,
}

impl Service {
    pub fn spawn(place: &Path, keep: bool) -> Result<Self> {
        let executable = std::env::current_exe().context("cannot find this program's own file")?;
        let log = File::create(log_file(place)).context("cannot create the service's log")?;
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
            .arg(data_dir(place))
            .env_remove("BATCHAI_TOKEN") // it makes its own
            .stdout(log.try_clone().context("cannot share the service's log")?)
            .stderr(log)
            .process_group(0); // Ctrl-C is for us
        if keep {
            command.stdin(Stdio::null());
        } else {
            command.arg("--stop-at-end-of-input").stdin(Stdio::piped());
        }
        let mut child = command.spawn().context("cannot start the service")?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline, executable })
    }

    /// Waits until it answers.
    pub async fn ready(&mut self, place: &Path) -> Result<Client> {
        let data_dir = data_dir(place);
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().context("cannot watch the service")? {
                bail!("the service ended at once ({status}):\n{}", last_lines(place));
            }
            if data_dir.join("endpoint").exists() {
                let client = connect(None, Some(&data_dir), None)?;
                match client.list(&scope().all_workspaces()).await {
                    Ok(_) => return Ok(client),
                    Err(error) if begin.elapsed() > START_PATIENCE => return Err(error),
                    Err(_) => {}
                }
            }
            if begin.elapsed() > START_PATIENCE {
                bail!("the service did not start in time:\n{}", last_lines(place));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Comes back if it ends by itself, and says how.
    pub async fn death(&mut self, place: &Path) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("the service ended ({status}):\n{}", last_lines(place)),
            Err(error) => anyhow!("cannot watch the service: {error}"),
        }
    }

    /// In order first, by force if that takes too long.
    pub async fn stop(mut self) {
        // Not by the end of its stdin as well: it would take the second word as impatience.
        let _lifeline = self.lifeline.take();
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }

    /// It goes on without us.
    pub fn release(self) {
        drop(self.child);
    }

    pub fn how_to_reach(&self, place: &Path) -> String {
        let data_dir = data_dir(place);
        let (data_dir, place) = (data_dir.display(), place.display());
        let batchai = self.executable.display();
        let pid = self.child.id().unwrap_or_default();
        format!(
            "The service goes on. To look around:

  export BATCHAI_DATA_DIR='{data_dir}' BATCHAI_WORKSPACE=demo BATCHAI_EXPERIMENT=digits
  {batchai} job list
  {batchai} job logs hidden32-lr005
  {batchai} job files hidden32-lr005 -d MODEL
  {batchai} file-server show nfs

To stop and remove it:

  kill {pid}; sleep 5; rm -r '{place}'"
        )
    }

    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}

/// Where everything of the demonstration is.
pub fn scope() -> Scope {
    Scope {
        subscription: "00000000-0000-0000-0000-000000000000".to_owned(),
        resource_group: "batchai".to_owned(),
        workspace: Some("demo".to_owned()),
        experiment: Some("digits".to_owned()),
    }
}

fn data_dir(place: &Path) -> PathBuf {
    place.join("data")
}

fn log_file(place: &Path) -> PathBuf {
    place.join("service.log")
}

fn last_lines(place: &Path) -> String {
    let text = std::fs::read_to_string(log_file(place)).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
