//! An unmanaged file system: the user's own command, with the mount path appended.

use std::process::Command;

use super::error::Failure;
use super::program::{Cancelled, MOUNT_LIMIT, make_mount_point};
use super::{MountRoot, Place};
use crate::system::helper;

/// Runs the command. Returns what was mounted: not the command, which may hold a password.
///
/// Not below a supervisor: the daemons of user-space file systems run on after the command.
pub(super) fn mount(
    root: &MountRoot,
    command: &str,
    at: &Place,
    is_cancelled: Cancelled<'_>,
) -> Result<String, Failure> {
    if !at.is_mounted {
        make_mount_point(at)?;
        let quoted = at.path.display().to_string().replace('\'', r"'\''");
        let mut shell = Command::new("/bin/bash");
        shell
            .args(["-c", &format!("{command} '{quoted}'")])
            .env_clear()
            .envs(&root.environment)
            .current_dir(&root.path);
        helper::run(&mut shell, &root.scratch(), MOUNT_LIMIT, is_cancelled)
            .map_err(Failure::of_command)?;
    }
    Ok("an unmanaged file system".to_owned())
}
