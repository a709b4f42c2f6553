//! A node with scripts in place of the programs that mount.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use protocol::Mount;

use super::{ControlPlane, Node};

pub struct MountingNode {
    pub control: ControlPlane,
    pub node: Node,
    pub programs: PathBuf,
}

impl MountingNode {
    /// A node whose cluster has these mounts.
    pub fn new(mounts: &[Mount]) -> Self {
        let control = ControlPlane::start();
        let node = Node::new(&control, "node", |setup| setup.mounts.extend_from_slice(mounts));
        let programs = node.place().join("programs");
        fs::create_dir(&programs).unwrap();
        Self { control, node, programs }
    }

    /// Adds a script, in place of a program of this name.
    pub fn with(self, name: &str, script: &str) -> Self {
        let program = self.programs.join(name);
        fs::write(&program, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        self
    }

    pub fn start(&mut self) {
        let path = format!("{}:/usr/bin:/bin", self.programs.display());
        self.node.start_agent_as(&self.control, |agent| {
            agent.env("PATH", path);
        });
    }

    /// What is mounted below this part of the root of the node.
    pub fn mounted(&self, part: &str) -> bool {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.contains(&format!("{}/{part}", self.node.root().display()))
    }
}

/// Only root may mount.
pub fn can_mount() -> bool {
    let mounts = Command::new("unshare").args(["-m", "true"]).status();
    mounts.is_ok_and(|status| status.success())
}
