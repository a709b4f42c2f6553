//! What an agent knows about its node, and where everything lies below the node's root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Assignment, AttemptKey};

use crate::attempt::{Frame, Mark};
use crate::paths::{PathError, plain};
use crate::problem::Owner;
use crate::system::mount_table::MountWatch;
use crate::system::supervised::Supervisors;
use crate::system::workers::Workers;

/// What user processes inherit from the agent's environment; everything else is left behind, the
/// token above all. The proxy variables are there because jobs install packages.
pub const PASSED_ON: &[&str] = &[
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Marks every process of an attempt (or of the setup), so that it is found when all else is lost.
pub const MARKER: &str = "BATCHAI_ATTEMPT";

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The node as its agent knows it.
#[derive(Debug)]
pub struct Host {
    /// Absolute and without symbolic links.
    pub root: PathBuf,
    pub node_id: String,
    pub cluster_uid: String,
    /// Process id of the keeper, where this agent has one.
    pub keeper: Option<i32>,
    /// For how long a disk that takes nothing is tried before that is the node's failure.
    pub disk_patience: Duration,
    /// What user processes begin with.
    pub inherited: Vec<(String, String)>,
    pub supervisors: Supervisors,
    pub workers: Arc<Workers>,
    pub known: Mutex<Known>,
}

/// What need not be found out for each job. Empty when the agent starts.
#[derive(Debug, Default)]
pub struct Known {
    /// Says whether the kernel has mounted anything since the job directory was found without mounts.
    pub mounts: Option<MountWatch>,
    /// The job directory as the job before was given it.
    pub frame: Option<Frame>,
    /// The number of GPUs, and `/dev` as it was when they were counted.
    pub gpus: Option<(Mark, usize)>,
}

impl Host {
    /// `$AZ_BATCHAI_MOUNT_ROOT`.
    pub fn mounts(&self) -> PathBuf {
        self.root.join("mounts")
    }

    /// `$AZ_BATCHAI_JOB_TEMP_DIR`.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// What the agent itself remembers; readable to its user only.
    pub fn private(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// Where the output of mount commands goes.
    pub fn scratch(&self) -> PathBuf {
        self.private().join("mount-output")
    }

    /// Written by whoever is about to take the machine away, before it sends SIGUSR2.
    pub fn interruption(&self) -> PathBuf {
        self.root.join("interruption")
    }

    /// What every process of a user begins with.
    pub fn base_environment(&self) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<_, _> = self.inherited.iter().cloned().collect();
        variables.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
        variables.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
        let mount_root = self.mounts().display().to_string();
        variables.insert("AZ_BATCHAI_MOUNT_ROOT".into(), mount_root);
        variables.insert("AZ_BATCHAI_NODE_ID".into(), self.node_id.clone());
        variables
    }

    /// Value of [`MARKER`] for the processes of an attempt.
    pub fn attempt_marker(&self, key: &AttemptKey) -> String {
        format!("{}/{}/{}", key.job_uid, key.number, self.node_id)
    }

    /// Value of [`MARKER`] for the setup task and the services that it leaves running.
    pub fn setup_marker(&self) -> String {
        format!("setup/{}/{}", self.cluster_uid, self.node_id)
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn job_paths(&self, assignment: &Assignment) -> Result<JobPaths, PathError> {
        let temp = self
            .jobs()
            .join(plain(&assignment.workspace)?)
            .join(plain(&assignment.experiment)?)
            .join(plain(&assignment.job)?);
        Ok(JobPaths {
            jobs: self.jobs(),
            mounts: temp.join("mounts"),
            shared: temp.join("shared"),
            host_file: temp.join("hostfile"),
            temp,
        })
    }
}

/// Where the parts of one job lie on the node.
#[derive(Clone, Debug)]
pub struct JobPaths {
    /// Of all jobs.
    pub jobs: PathBuf,
    /// `$AZ_BATCHAI_JOB_TEMP`, and the working directory.
    pub temp: PathBuf,
    /// `$AZ_BATCHAI_JOB_MOUNT_ROOT`.
    pub mounts: PathBuf,
    /// `$AZ_BATCHAI_SHARED_JOB_TEMP`.
    pub shared: PathBuf,
    /// `$AZ_BATCHAI_MPI_HOST_FILE`.
    pub host_file: PathBuf,
}

impl JobPaths {
    /// To whom `path` belongs, which the job has named.
    pub fn owner(&self, path: &Path) -> Owner {
        if path.starts_with(&self.jobs) && !path.starts_with(&self.mounts) {
            Owner::JobDirectory
        } else {
            Owner::User
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_directory_of_the_job_is_on_the_node_s_own_disk() {
        let temp = PathBuf::from("/r/jobs/w/e/j");
        let paths = JobPaths {
            jobs: "/r/jobs".into(),
            mounts: temp.join("mounts"),
            shared: temp.join("shared"),
            host_file: temp.join("hostfile"),
            temp: temp.clone(),
        };
        let owner = |path: &str| paths.owner(Path::new(path));
        assert_eq!(owner("/r/jobs/w/e/j/shared/out"), Owner::JobDirectory);
        assert_eq!(owner("/r/jobs/out"), Owner::JobDirectory);
        assert_eq!(owner("/r/jobs/w/e/j/mounts/nfs/out"), Owner::User);
        assert_eq!(owner("/r/mounts/nfs/out"), Owner::User);
        assert_eq!(owner("/data/out"), Owner::User);
    }
}
