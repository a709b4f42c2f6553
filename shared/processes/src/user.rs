//! The user that processes of a machine run as.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A user of this operating system, with the primary group. Supplementary groups are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user id.
    pub uid: u32,
    /// The id of the primary group.
    pub gid: u32,
    /// The name, or the user id as text where the user has none.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
}

impl User {
    /// Lets `command` run as this user. Needs root; the standard library drops all supplementary groups.
    pub fn apply_to(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
        command.env("HOME", &self.home).env("USER", &self.name).env("LOGNAME", &self.name);
        command.env_remove("SHELL").env_remove("TMPDIR");
    }
}
