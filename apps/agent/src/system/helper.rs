//! Commands that the agent itself runs, such as `umount`: with a time limit, and with output to a file instead of a pipe,
//! which a daemon that a mount command leaves would keep open.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock::Countdown;
use rustix::process::{Pid, Signal, kill_process_group};

/// As much of a command's output as fits into an error message.
const OUTPUT_SHOWN: usize = 1000;

/// For the end of a command that was killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    #[error("{0}")]
    Failed(String),
    #[error("it did not end within {} seconds", .0.as_secs())]
    TooSlow(Duration),
    #[error("it was cancelled because everything is to stop")]
    Cancelled,
    #[error("it could not be started: {0}")]
    NotStarted(#[from] io::Error),
}

/// Runs `command` with its output in the file `scratch`; an end other than 0 is an error with the
/// last lines of that output.
pub fn run(
    command: &mut Command,
    scratch: &Path,
    limit: Duration,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), HelperError> {
    let output = create(scratch)?;
    command.stdout(output.try_clone()?).stderr(output);
    wait(command, scratch, limit, is_cancelled)
}

/// The same, and returns what `command` has written to standard output, without what it has written to standard error.
pub fn output(
    command: &mut Command,
    scratch: &Path,
    limit: Duration,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<String, HelperError> {
    let answer = scratch.with_extension("answer");
    command.stdout(create(&answer)?).stderr(create(scratch)?);
    wait(command, scratch, limit, is_cancelled)?;
    Ok(String::from_utf8_lossy(&std::fs::read(answer)?).into_owned())
}

/// The last part of what was written to `scratch`.
pub fn last_words(scratch: &Path) -> String {
    let words = std::fs::read(scratch).unwrap_or_default();
    let last = String::from_utf8_lossy(&words[words.len().saturating_sub(OUTPUT_SHOWN)..]);
    last.trim().to_owned()
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn wait(
    command: &mut Command,
    scratch: &Path,
    limit: Duration,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<(), HelperError> {
    let mut child = command.stdin(Stdio::null()).process_group(0).spawn()?;
    let mut countdown = Countdown::new(limit);
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let (late, unwanted) = (countdown.is_over(), is_cancelled());
        if late || unwanted {
            end(&mut child)?;
            return Err(if late { HelperError::TooSlow(limit) } else { HelperError::Cancelled });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    if status.success() {
        return Ok(());
    }
    Err(HelperError::Failed(format!("{status}: {}", last_words(scratch))))
}

/// Kills the command, and waits for its end for a moment: a process that waits for a dead file server may stay.
fn end(child: &mut Child) -> io::Result<()> {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let mut countdown = Countdown::new(KILL_LIMIT);
    while child.try_wait()?.is_none() && !countdown.is_over() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration, is_cancelled: bool) -> Result<(), String> {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        run(&mut command, &directory.path().join("out"), limit, &|| is_cancelled)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_s_own_words_are_in_the_error() {
        let long = Duration::from_secs(60);
        assert_eq!(shell("echo fine", long, false), Ok(()));
        let error = shell("echo out; echo err >&2; exit 32", long, false).unwrap_err();
        assert_eq!(error, "exit status: 32: out\nerr");
    }

    #[test]
    fn an_answer_is_what_was_written_to_standard_output() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = directory.path().join("out");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo warning >&2; echo answer"]);
        let limit = Duration::from_secs(60);
        assert_eq!(output(&mut command, &scratch, limit, &|| false).unwrap(), "answer\n");
        assert_eq!(last_words(&scratch), "warning");
    }

    #[test]
    fn what_does_not_end_is_ended() {
        let slow = shell("sleep 1000", Duration::ZERO, false).unwrap_err();
        assert_eq!(slow, "it did not end within 0 seconds");
        let unwanted = shell("sleep 1000", Duration::from_secs(60), true).unwrap_err();
        assert_eq!(unwanted, "it was cancelled because everything is to stop");
    }
}
