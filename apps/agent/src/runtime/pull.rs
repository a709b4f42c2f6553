//! Pulling the image of a job, with its progress in the execution log. A registry that cannot be reached is tried again
//! for some time; then it is the failure of the node.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use protocol::Container;

use super::credentials::{CredentialsFile, registry};
use super::engine::{Engine, Kind};
use super::error::{ContainerError, PullFailure, pull_failure};
use crate::clock::{Countdown, Uptime};
use crate::execution_log::ExecutionLog;
use crate::fault::{Fault, Owner};
use crate::system::helper::{self, HelperError};

/// Less than a control plane grants to the set-up of a node; large images take minutes.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// Between two lines about the progress of a pull.
const PROGRESS: Duration = Duration::from_secs(10);

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// As much of the progress as a line of the log shows.
const SHOWN: usize = 200;

/// Pulls the image. `patience`: how long a registry that cannot be reached is tried again.
pub fn pull(
    engine: &Engine<'_>,
    container: &Container,
    private: &Path,
    patience: Duration,
    log: &mut ExecutionLog,
) -> Result<(), ContainerError> {
    let image = &container.image;
    let begun = Uptime::now();
    log.line(format_args!("Pulling the image {image}"));
    let failed =
        |reason: String, fault| ContainerError::NotStarted { image: image.clone(), reason, fault };
    let credentials = container.credentials.as_ref();
    let credentials = credentials.map(|it| CredentialsFile::write(private, image, it)).transpose();
    let credentials =
        credentials.map_err(|error| failed(error.to_string(), Owner::Agent.fault(&error)))?;
    let mut patience = Countdown::new(patience);
    loop {
        let outcome = try_to_pull(engine, image, credentials.as_ref(), log);
        let reason = match outcome {
            Ok(()) => break,
            Err(HelperError::Failed(reason)) => reason,
            Err(error) => return Err(failed(error.to_string(), Fault::Node)),
        };
        match pull_failure(&reason) {
            PullFailure::Refused => return Err(failed(reason, Fault::Job)),
            PullFailure::DiskFull => return Err(failed(reason, Fault::Disk)),
            PullFailure::Unreachable if patience.is_over() => {
                return Err(failed(reason, Fault::Node));
            }
            PullFailure::Unreachable => {}
        }
        log.line(format_args!("The image was not pulled; trying again: {}", last_line(&reason)));
        if !pause(engine, &mut patience) {
            return Err(failed(HelperError::Cancelled.to_string(), Fault::Node));
        }
    }
    let seconds = Uptime::now().since(begun).as_secs_f64();
    log.line(format_args!("Pulled the image {image} in {seconds:.1} seconds"));
    Ok(())
}

/// False when the attempt is to stop.
fn pause(engine: &Engine<'_>, patience: &mut Countdown) -> bool {
    let mut rest = Countdown::new(PAUSE);
    while !rest.is_over() && !patience.is_over() {
        if (engine.is_cancelled)() {
            return false;
        }
        std::thread::sleep(rest.next_step().min(Duration::from_millis(50)));
    }
    true
}

fn try_to_pull(
    engine: &Engine<'_>,
    image: &str,
    credentials: Option<&CredentialsFile>,
    log: &mut ExecutionLog,
) -> Result<(), HelperError> {
    let (first, then) = credentials.map(|it| it.options(engine.kind)).unwrap_or_default();
    let name = name_at_registry(engine.kind, image);
    let mut words: Vec<&str> = first.iter().map(String::as_str).collect();
    words.push("pull");
    words.extend(then.iter().map(String::as_str));
    words.push(&name);
    let state = RefCell::new((log, Countdown::new(PROGRESS)));
    let is_cancelled = || {
        let (log, next) = &mut *state.borrow_mut();
        if next.is_over() {
            *next = Countdown::new(PROGRESS);
            log.line(format_args!("Pulling: {}", last_line(&helper::last_words(&engine.scratch))));
        }
        (engine.is_cancelled)()
    };
    helper::run(&mut engine.command(&words), &engine.scratch, LIMIT, &is_cancelled)
}

/// Podman knows no registry for names without one, unless it is configured; here it is Docker Hub, as with Docker.
fn name_at_registry(kind: Kind, image: &str) -> String {
    match (kind, registry(image)) {
        (Kind::Podman, None) => format!("docker.io/{image}"),
        (Kind::Podman, Some(_)) | (Kind::Docker, _) => image.to_owned(),
    }
}

fn last_line(words: &str) -> &str {
    let line = words.lines().last().unwrap_or_default().trim();
    // A progress bar is one long line.
    let line = line.rsplit('\r').next().unwrap_or(line).trim();
    &line[..line.floor_char_boundary(SHOWN)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_registry_are_of_docker_hub() {
        assert_eq!(name_at_registry(Kind::Podman, "ubuntu"), "docker.io/ubuntu");
        assert_eq!(name_at_registry(Kind::Podman, "me/ubuntu"), "docker.io/me/ubuntu");
        assert_eq!(name_at_registry(Kind::Podman, "r.io/ubuntu"), "r.io/ubuntu");
        assert_eq!(name_at_registry(Kind::Docker, "ubuntu"), "ubuntu");
    }

    #[test]
    fn progress_is_one_short_line() {
        assert_eq!(last_line("a\nb\n 1%\r 2%\n"), "2%");
        assert_eq!(last_line(&"é".repeat(200)).len(), SHOWN);
    }
}
