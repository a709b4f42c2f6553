//! Preparing the node for an attempt: its directories, its mounts, its logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use protocol::{Assignment, Mount};

use super::cleanup::remove_earlier_jobs;
use super::directory_cache::DirectoryCache;
use super::earlier_logs::EarlierLogs;
use super::shared_temp::SharedTemp;
use crate::environment::{JobEnvironment, host_file};
use crate::execution_log::ExecutionLog;
use crate::fault::Owner;
use crate::gpus;
use crate::host::{Host, JobPaths, MARKER};
use crate::launch::{self, LaunchPlan};
use crate::mounts::{self, MountRoot};
use crate::paths::{plain, relative};
use crate::problem::NotProvided;
use crate::ssh_access::SshAccess;
use crate::system::mount_table::{self, MountWatch};

/// The place of an attempt on this node.
pub struct AttemptLayout {
    pub paths: JobPaths,
    pub environment: JobEnvironment,
    pub launch: LaunchPlan,
    pub has_gpus: bool,
    /// Of a job of several nodes.
    pub ssh: Option<SshAccess>,
    shared: Option<SharedTemp>,
    /// With their keys, which the stored assignment does not have.
    mounts: Vec<Mount>,
    /// The values of the job's secrets, which it does not have either.
    pub secrets: Vec<String>,
}

impl AttemptLayout {
    /// Where things belong; touches nothing.
    pub fn plan(host: &Host, assignment: &Assignment) -> Result<Self, NotProvided> {
        plain(&assignment.node_id)?;
        let paths = host.job_paths(assignment)?;
        let gpus = gpus::of(host);
        let launch = launch::plan(assignment, &gpus);
        let environment = JobEnvironment::new(host, &paths, assignment, &gpus, &launch)?;
        let ssh = SshAccess::of(assignment, &paths.temp);
        let shared = SharedTemp::of(&paths, &environment.stdouterr, assignment);
        let (has_gpus, mounts) = (!gpus.is_empty(), assignment.mounts.clone());
        let secrets = assignment.secrets.iter().map(|secret| secret.value.clone()).collect();
        Ok(Self { paths, environment, launch, has_gpus, ssh, shared, mounts, secrets })
    }

    /// Makes everything that the preparation and the command may rely on.
    pub fn provide(
        &self,
        host: &Host,
        assignment: &Assignment,
        log: &mut ExecutionLog,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<(), NotProvided> {
        mounts::check_cluster(host)?;
        let lost = self.require_mounts(host)?;
        self.make_temp(host, assignment)?;
        if let Some(ssh) = &self.ssh {
            let owner = Owner::Agent;
            ssh.write().map_err(NotProvided::storage("write the key", owner, &self.paths.temp))?;
            make(&self.paths.scratch, owner)?;
        }
        // Before the mounts where that is possible, so that a mount that fails is in the log.
        if !self.logs_are_on_a_mount_of_the_job() {
            self.open_log(assignment, log)?;
        }
        for mount in &self.mounts {
            let outcome = self.mount_root(host).mount(mount, is_cancelled);
            match &outcome {
                Ok(line) => log.line(line),
                Err(error) => log.line(error.line()),
            }
            outcome?;
        }
        if self.logs_are_on_a_mount_of_the_job() {
            self.open_log(assignment, log)?;
        }
        for path in lost {
            let path = path.display();
            log.line(format_args!(
                "{path} is on no mount: what is written there is lost with the node"
            ));
        }
        for path in &self.environment.outputs {
            make(path, self.paths.owner(path))?;
        }
        self.shared.as_ref().map_or(Ok(()), SharedTemp::provide)
    }

    /// Below a mount root, output is on a mount, or in what the set-up task has made there. Where the cluster mounts
    /// nothing, output directories are accepted all the same, as by the service; they are returned.
    fn require_mounts(&self, host: &Host) -> Result<Vec<&Path>, NotProvided> {
        let root = host.mounts();
        let present = names(&root);
        let mut lost = Vec::new();
        let logs = &self.environment.stdouterr;
        for path in std::iter::once(logs).chain(&self.environment.outputs) {
            let refuse = |mounts| NotProvided::NotMounted { path: path.clone(), mounts };
            if let Ok(below) = path.strip_prefix(&root) {
                let first = below.iter().next();
                if first.is_some_and(|first| root.join(first).symlink_metadata().is_ok()) {
                    continue;
                }
                if path == logs || !present.is_empty() {
                    return Err(refuse(present));
                }
                lost.push(path.as_path());
            } else if let Ok(below) = path.strip_prefix(&self.paths.mounts) {
                let own = self.mounts.iter().map(|mount| mount.relative_mount_path.as_str());
                if !own.clone().any(|at| relative(at).is_ok_and(|at| below.starts_with(at))) {
                    return Err(refuse(own.map(str::to_owned).collect()));
                }
            }
        }
        Ok(lost)
    }

    /// Removes the key of the attempt, and what its nodes have shared.
    pub fn forget_gang(&self, assignment: &Assignment) {
        if let Some(shared) = &self.shared {
            shared.release();
        }
        if assignment.hosts.len() < 2 {
            return;
        }
        if let Err(error) = SshAccess::forget(&self.paths.temp) {
            tracing::warn!(%error, "the key of an attempt stays until the next one");
        }
    }

    /// Unmounts the job's mounts. The log must be closed if it is on one of them.
    pub fn unmount(&self, host: &Host, assignment: &Assignment, log: &mut ExecutionLog) {
        for mount in assignment.mounts.iter().rev() {
            let path = &mount.relative_mount_path;
            match self.mount_root(host).unmount(path) {
                Ok(Some(line)) => log.line(line),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(path, %error, "a mount of a job stays");
                    log.line(format_args!("Unable to unmount {path}: {error}"));
                }
            }
        }
    }

    pub fn logs_are_on_a_mount_of_the_job(&self) -> bool {
        self.environment.stdouterr.starts_with(&self.paths.mounts)
    }

    /// How this node's share in sorting away earlier logs is defined.
    pub fn earlier<'a>(&'a self, assignment: &'a Assignment) -> EarlierLogs<'a> {
        EarlierLogs {
            stdouterr: &self.environment.stdouterr,
            number: assignment.key.number,
            node_id: (assignment.hosts.len() > 1).then_some(assignment.node_id.as_str()),
            is_master: assignment.rank == 0,
        }
    }

    /// `name` and `suffix`, with the node's id between them when several nodes share the directory.
    pub fn file(&self, assignment: &Assignment, name: &str, suffix: &str) -> PathBuf {
        let stdouterr = &self.environment.stdouterr;
        if assignment.hosts.len() > 1 {
            stdouterr.join(format!("{name}-{}{suffix}", assignment.node_id))
        } else {
            stdouterr.join(format!("{name}{suffix}"))
        }
    }

    /// Where the standard output of the first process of this node is.
    pub fn first_stdout(&self) -> Option<PathBuf> {
        let first = self.launch.processes.first()?;
        Some(output_file(&self.environment.stdouterr, "stdout", &first.label))
    }

    fn make_temp(&self, host: &Host, assignment: &Assignment) -> Result<(), NotProvided> {
        let hosts = host_file(&assignment.hosts, self.launch.slots);
        let (mounts, frame) = {
            // Taken out for as long as it is not certain again.
            let mut known = host.known();
            (known.mounts.take().filter(MountWatch::is_quiet), known.frame.take())
        };
        let frame = frame.filter(|_| mounts.is_some());
        let serves = frame.as_ref().is_some_and(|it| it.serves(&self.paths, &hosts));
        let (mounts, frame) = match (mounts, frame) {
            (Some(mounts), Some(frame)) if serves => (mounts, frame),
            (mounts, frame) => {
                let mounts = self.make_frame(host, &hosts, mounts, frame.as_ref())?;
                (mounts, DirectoryCache::remember(&self.paths, &hosts))
            }
        };
        let mut known = host.known();
        (known.mounts, known.frame) = (Some(mounts), Some(frame));
        Ok(())
    }

    /// Removes what former jobs left, and makes what this one needs. `mounts`: there are none.
    fn make_frame(
        &self,
        host: &Host,
        hosts: &str,
        mounts: Option<MountWatch>,
        frame: Option<&DirectoryCache>,
    ) -> Result<MountWatch, NotProvided> {
        let jobs = &self.paths.jobs;
        let unmount = || {
            let watch = MountWatch::begin()?;
            mount_table::clear(jobs, &host.scratch()).map_err(io::Error::other)?;
            Ok(watch)
        };
        let mounts = mounts
            .map_or_else(unmount, Ok)
            .and_then(|watch| remove_earlier_jobs(jobs, &self.paths, frame).map(|()| watch))
            .map_err(NotProvided::storage(
                "remove what former jobs left on it",
                Owner::Node,
                jobs,
            ))?;
        for path in [&self.paths.mounts, &self.paths.shared] {
            match fs::create_dir(path) {
                // Left from the previous job; only directories are.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(_) => make(path, Owner::Agent)?,
                Ok(()) => {}
            }
        }
        let path = &self.paths.host_file;
        if fs::read_to_string(path).is_ok_and(|old| old == hosts) {
            return Ok(mounts);
        }
        fs::write(path, hosts).map(|()| mounts).map_err(NotProvided::storage(
            "write the host file",
            Owner::Agent,
            path,
        ))
    }

    fn open_log(&self, assignment: &Assignment, log: &mut ExecutionLog) -> Result<(), NotProvided> {
        let stdouterr = &self.environment.stdouterr;
        let owner = self.paths.owner(stdouterr);
        make(stdouterr, owner)?;
        self.earlier(assignment).move_earlier_logs().map_err(NotProvided::storage(
            "set the logs of earlier attempts aside",
            owner,
            stdouterr,
        ))?;
        let path = self.file(assignment, "execution", ".log");
        log.open(&path).map_err(NotProvided::storage("write the execution log", owner, path))
    }

    fn mount_root(&self, host: &Host) -> MountRoot {
        // Without the marker: a mount's daemon is no process of the attempt, and runs until the unmount.
        let mut environment = self.environment.on_host();
        environment.remove(MARKER);
        MountRoot { path: self.paths.mounts.clone(), environment, private: host.private() }
    }
}

/// The file of `stdout` or `stderr` of a process with this label.
pub fn output_file(stdouterr: &Path, name: &str, label: &str) -> PathBuf {
    stdouterr.join(format!("{name}{label}.txt"))
}

/// The names in a directory, in order; none if it cannot be read.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn make(path: &Path, owner: Owner) -> Result<(), NotProvided> {
    // The usual case first: the last two directories are missing. Each failed try costs a round trip to the
    // file server.
    let made =
        path.parent().map(|parent| fs::create_dir(parent).and_then(|()| fs::create_dir(path)));
    if let Some(Ok(())) = made {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(NotProvided::storage("create a directory", owner, path))
}
