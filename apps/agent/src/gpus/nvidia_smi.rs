//! Runs `nvidia-smi`, which may hang in its driver.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::clock::Countdown;

pub const PROGRAM: &str = "nvidia-smi";

/// A run takes seconds; one that takes longer hangs in the driver.
const RUN_LIMIT: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);
/// Of the output of a failed run, in bytes.
const MAX_OUTPUT: usize = 1000;

/// Why a run gave no output.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("it cannot be started: {0}")]
    NotStarted(io::Error),
    #[error("it did not end in time")]
    NotInTime,
    #[error("{0}")]
    Failed(String),
}

/// Runs it once; returns its output. `stop` is asked often; true ends the run.
pub fn run(arguments: &[&str], stop: &dyn Fn() -> bool) -> Result<String, RunError> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(RunError::NotStarted)?;
    let output = child.stdout.take();
    // The output is read while it runs: a full pipe would stop it.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is not shown.
        let _ = output.map(|mut output| output.read_to_end(&mut text));
        text
    });
    let Some(status) = wait(&mut child, stop) else {
        // Not waited for: a process that hangs in its driver may not even end when it is killed.
        let _ = child.kill();
        return Err(RunError::NotInTime);
    };
    let output = reader.join().unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    if status.success() {
        return Ok(text.into_owned());
    }
    let text = String::from_utf8_lossy(&output[..output.len().min(MAX_OUTPUT)]);
    Err(RunError::Failed(format!("{status} {}", text.trim()).trim().to_owned()))
}

/// `None` when it has not ended in time.
fn wait(child: &mut Child, stop: &dyn Fn() -> bool) -> Option<ExitStatus> {
    let mut limit = Countdown::new(RUN_LIMIT);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if limit.is_over() || stop() {
            return None;
        }
        std::thread::sleep(STEP);
    }
}
