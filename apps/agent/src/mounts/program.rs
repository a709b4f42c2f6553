//! Programs that mount: run with a time limit, with the advice that a missing one calls for, and without secrets in what
//! they say.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use super::error::Failure;
use super::{MountRoot, Place};
use crate::system::helper::{self, HelperError};

/// Whether everything is to stop.
pub(super) type Cancelled<'a> = &'a dyn Fn() -> bool;

/// Longer than the timeouts of network file systems, which are a minute or two.
pub(super) const MOUNT_LIMIT: Duration = Duration::from_secs(180);

/// A program that mounts.
pub(super) struct MountProgram<'a> {
    pub name: &'a str,
    /// Whether its output means that a part of it is not installed.
    pub is_missing: fn(&str) -> bool,
    /// What to do then, or when the program itself is not installed.
    pub advice: &'a str,
    /// What must not be in a message.
    pub secret: Option<&'a str>,
}

impl MountProgram<'_> {
    /// Mounts at `at`, unless an earlier agent process has.
    pub fn run(
        &self,
        root: &MountRoot,
        at: &Place,
        is_cancelled: Cancelled<'_>,
        arguments: impl FnOnce(&mut Command),
    ) -> Result<(), Failure> {
        if at.is_mounted {
            return Ok(());
        }
        make_mount_point(at)?;
        let mut program = Command::new(self.name);
        arguments(&mut program);
        let scratch = root.scratch();
        let outcome = helper::run(&mut program, &scratch, MOUNT_LIMIT, is_cancelled);
        if self.secret.is_some() {
            // What it wrote may show the secret.
            let _ = fs::remove_file(scratch);
        }
        outcome.map_err(|error| {
            let error = match error {
                HelperError::Failed(said) => HelperError::Failed(self.without_secret(said)),
                error @ (HelperError::TooSlow(_)
                | HelperError::Cancelled
                | HelperError::NotStarted(_)) => error,
            };
            Failure::of_program(error, self.is_missing, self.advice)
        })
    }

    fn without_secret(&self, text: String) -> String {
        match self.secret {
            Some(secret) if !secret.is_empty() => text.replace(secret, "(hidden)"),
            Some(_) | None => text,
        }
    }
}

/// Whether `mount` lacks the helper, or the kernel lacks the file system.
pub(super) fn needs_helper(output: &str) -> bool {
    output.contains("unknown filesystem type") || output.contains("helper program")
}

/// The directory at which something is mounted.
pub(super) fn make_mount_point(at: &Place) -> io::Result<()> {
    fs::create_dir_all(&at.path)
}
