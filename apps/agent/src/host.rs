//! The node as its agent knows it, and the paths below its root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Assignment, AttemptKey, Metrics};

use crate::attempt::{DirectoryCache, FileStamp};
use crate::fault::Owner;
use crate::options::DriverCheck;
use crate::paths::{PathError, plain};
use crate::runtime::ContainerOptions;
use crate::system::mount_table::MountWatch;
use crate::system::supervised::Supervisors;
use crate::system::workers::Workers;

/// What user processes inherit from the agent's environment. Nothing else is passed on, above all not the
/// token. The proxy variables are there because jobs install packages.
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

/// Those of [`PASSED_ON`] that name users and files of the node, which an image does not have.
const OF_THE_HOST: &[&str] = &["HOME", "LOGNAME", "PATH", "SHELL", "TMPDIR", "USER"];

/// In the environment of every process of an attempt (or of the setup). Finds them when their supervisor was killed.
pub const MARKER: &str = "BATCHAI_ATTEMPT";

pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The node as its agent knows it.
#[derive(Debug)]
pub struct Host {
    /// Absolute and without symbolic links.
    pub root: PathBuf,
    pub node_id: String,
    pub cluster_uid: String,
    /// The check of GPU drivers that belongs to the setup of this node.
    pub drivers: Option<DriverCheck>,
    /// The GPUs that this node has, where it shares its machine with others.
    pub gpu_share: Option<Vec<String>>,
    /// Process id of the keeper, where this agent has one.
    pub keeper: Option<i32>,
    /// How long a failing disk is tried again before the node has failed.
    pub disk_patience: Duration,
    /// The container engines of this node.
    pub containers: ContainerOptions,
    /// Variables of user processes.
    pub inherited: Vec<(String, String)>,
    pub supervisors: Supervisors,
    pub workers: Arc<Workers>,
    pub known: Mutex<Known>,
}

/// What need not be determined again for each job or report. Empty when the agent starts.
#[derive(Debug, Default)]
pub struct Known {
    /// Tells whether anything was mounted since the job directory was found without mounts.
    pub mounts: Option<MountWatch>,
    /// What is mounted for the cluster.
    pub cluster_mounts: Option<Vec<PathBuf>>,
    /// The job directory as it was prepared for the previous job.
    pub frame: Option<DirectoryCache>,
    /// The number of GPUs, and `/dev` as it was when they were counted.
    pub gpus: Option<(FileStamp, usize)>,
    /// What was measured last. Absent before that, and after a GPU has failed.
    pub metrics: Option<Metrics>,
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

    /// The agent's own state; readable by its user only.
    pub fn private(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// File for the output of mount commands.
    pub fn scratch(&self) -> PathBuf {
        self.private().join("mount-output")
    }

    /// The interruption notice, written before SIGUSR2 is sent.
    pub fn interruption(&self) -> PathBuf {
        self.root.join("interruption")
    }

    /// The environment that every process of a user starts with.
    pub fn base_environment(&self) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<_, _> = self.inherited.iter().cloned().collect();
        variables.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
        variables.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
        let mount_root = self.mounts().display().to_string();
        variables.insert("AZ_BATCHAI_MOUNT_ROOT".into(), mount_root);
        variables.insert("AZ_BATCHAI_NODE_ID".into(), self.node_id.clone());
        variables
    }

    /// What processes in containers have where neither their image nor their job sets it.
    pub fn environment_behind_images(&self) -> BTreeMap<String, String> {
        let is_of_the_host = |name: &str| OF_THE_HOST.contains(&name);
        let inherited = self.inherited.iter().filter(|(name, _)| !is_of_the_host(name)).cloned();
        [("LANG".to_owned(), "C.UTF-8".to_owned())].into_iter().chain(inherited).collect()
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
            scratch: temp.join("tmp"),
            stop_file: temp.join(format!("stop-{}", assignment.key.number)),
            temp,
        })
    }
}

/// The paths of one job on the node.
#[derive(Clone, Debug, Default)]
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
    /// `$TMPDIR` of a job of several nodes on one machine.
    pub scratch: PathBuf,
    /// `$BATCHAI_STOP_FILE`, written before the SIGTERM of this attempt.
    pub stop_file: PathBuf,
}

impl JobPaths {
    /// The owner of a path that the job has named.
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
            temp: temp.clone(),
            ..JobPaths::default()
        };
        let owner = |path: &str| paths.owner(Path::new(path));
        assert_eq!(owner("/r/jobs/w/e/j/shared/out"), Owner::JobDirectory);
        assert_eq!(owner("/r/jobs/out"), Owner::JobDirectory);
        assert_eq!(owner("/r/jobs/w/e/j/mounts/nfs/out"), Owner::User);
        assert_eq!(owner("/r/mounts/nfs/out"), Owner::User);
        assert_eq!(owner("/data/out"), Owner::User);
    }
}
