//! The end of what a job wrote to standard output and standard error, of a job whose files the service cannot read. It
//! is a record of its own beside the job, so that lists of jobs do not read it.

use crate::mount::{JOB_MOUNT_ROOT, MOUNT_ROOT, MountPoint, MountVolumes, below_mount, below_root};
use crate::{Job, JobRef, NodeId, StorageKind, Timestamp};
use serde::{Deserialize, Serialize};

/// The end of the output of one node in the last attempt of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTail {
    /// The job.
    pub job: JobRef,
    /// Number of the attempt.
    pub attempt: u32,
    /// The node.
    pub node: NodeId,
    /// Which node of the gang it is.
    pub part: LogPart,
    /// When it was reported.
    pub at: Timestamp,
    /// At most [`crate::limits::MAX_OUTPUT_TAILS`].
    pub files: Vec<OutputTail>,
}

/// The nodes whose output is kept. A job has at most one record of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogPart {
    /// The first node of the gang.
    Master,
    /// The other node that failed, and so ended the attempt.
    FailedMember,
}

impl LogPart {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Master, Self::FailedMember];
}

/// The end of an output file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputTail {
    /// The name of the file.
    pub name: String,
    /// Its last lines, at most [`crate::limits::MAX_OUTPUT_TAIL_BYTES`] of JSON.
    pub text: String,
    /// The length of the whole file in bytes.
    pub length: u64,
}

impl Job {
    /// What standard output is on, if that is known storage: a disk of the node is none, nor is a file system that the
    /// user's own command mounts.
    pub fn standard_output_storage(&self) -> Option<StorageKind> {
        let prefix = &self.spec.std_out_err_path_prefix;
        let own = self.spec.mounts.as_ref().map(MountVolumes::points).unwrap_or_default();
        let on = |root: &str, mounts: &[MountPoint]| {
            let relative = below_root(prefix, root)?;
            let holds =
                |it: &&MountPoint| below_mount(&relative, &it.relative_mount_path).is_some();
            mounts.iter().find(holds).map(|mount| mount.kind)
        };
        on(JOB_MOUNT_ROOT, &own).or_else(|| on(MOUNT_ROOT, &self.cluster_mounts))
    }

    /// Whether records of its output may be stored. The files of a file server can be read wherever the service runs.
    pub fn may_have_log_tails(&self) -> bool {
        self.standard_output_storage().is_none_or(|kind| !kind.is_file_server())
    }
}
