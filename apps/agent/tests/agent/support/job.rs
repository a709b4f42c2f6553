//! A job of the tests: one that does nothing, changed by what the test is about.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use protocol::{
    Assignment, AttemptKey, Desired, Mount, MountSource, NodeSetup, SetupTask, StorageKind,
    Variable,
};

#[derive(Clone)]
pub struct Job {
    pub assignment: Assignment,
}

impl Job {
    pub fn new(command_line: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let key = AttemptKey {
            experiment_uid: "experiment-uid".into(),
            job_name: "job".into(),
            job_uid: format!("job-{}-{number}", std::process::id()),
            number: 1,
        };
        let assignment = Assignment {
            key,
            node_id: "node".into(),
            workspace: "workspace".into(),
            experiment: "experiment".into(),
            job: "job".into(),
            hosts: vec!["127.0.1.1".into()],
            rank: 0,
            output_path_segment: format!("sub/rg/workspaces/ws/jobs/job/{number}"),
            std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
            command_line: command_line.into(),
            toolkit: protocol::Toolkit::Custom,
            ends_with_every_node: false,
            preparation_command_line: None,
            container: None,
            mounts: Vec::new(),
            input_directories: Vec::new(),
            output_directories: Vec::new(),
            environment: Vec::new(),
            secrets: Vec::new(),
            ssh_seed: None,
            max_wall_clock_seconds: 3600,
            stop_grace_seconds: 1,
            output_tail_bytes: None,
        };
        Self { assignment }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Assignment)) -> Self {
        change(&mut self.assignment);
        self
    }

    pub fn attempt(self, number: u32) -> Self {
        self.with(|assignment| assignment.key.number = number)
    }

    /// This job as node `rank` of a gang sees it.
    pub fn on(&self, node_id: &str, rank: u32, hosts: &[&str]) -> Self {
        self.clone().with(|assignment| {
            assignment.node_id = node_id.into();
            assignment.rank = rank;
            assignment.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        })
    }

    pub fn key(&self) -> AttemptKey {
        self.assignment.key.clone()
    }

    pub fn run(&self) -> Desired {
        self.run_when(true)
    }

    pub fn run_when(&self, start: bool) -> Desired {
        let assignment = Some(Box::new(self.assignment.clone()));
        Desired::Run { key: self.key(), start, assignment }
    }

    pub fn stop(&self, grace_seconds: u64) -> Desired {
        Desired::Stop { key: self.key(), grace_seconds }
    }

    /// Its `stdouterr` on the file server of the test.
    pub fn stdouterr(&self, file_server: &Path) -> PathBuf {
        file_server.join(&self.assignment.output_path_segment).join("stdouterr")
    }
}

pub fn variable(name: &str, value: &str) -> Variable {
    Variable { name: name.into(), value: value.into() }
}

pub fn directory(root: &Path, sub_directory: &str, at: &str) -> Mount {
    let source = MountSource::Directory {
        root: root.display().to_string(),
        sub_directory: sub_directory.into(),
        of: StorageKind::FileServer,
    };
    Mount { relative_mount_path: at.into(), source }
}

/// A file server at `nfs`.
pub fn setup(file_server: &Path) -> NodeSetup {
    NodeSetup {
        node_id: "node".into(),
        mounts: vec![directory(file_server, "", "nfs")],
        setup_task: None,
        administrator: None,
    }
}

pub fn setup_task(command_line: &str) -> SetupTask {
    SetupTask {
        command_line: command_line.into(),
        environment: Vec::new(),
        secrets: Vec::new(),
        std_out_err_path_prefix: "$AZ_BATCHAI_MOUNT_ROOT/nfs".into(),
        std_out_err_path_suffix: "sub/rg/cluster/uuid".into(),
    }
}
