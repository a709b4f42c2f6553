//! The context of every service: the table, the ports and the settings. Every change is committed
//! here.

use crate::keys::Keys;
use crate::metrics;
use crate::ports::{Clock, FileShares, Hints, Ids, Machines, SecretStore, SharedFiles};
use crate::uptime::Uptime;
use crate::{Error, Function};
use lifecycle::creation::NewIds;
use lifecycle::{Change, Draft, Event, unsupported};
use model::{
    ClusterSpec, LaunchRequest, Locations, MountVolumes, Quota, ResourceError, Target, Timestamp,
    Uid, ec2, limits,
};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use table::Table;

/// How often a reaction is tried before it fails with [`Error::Busy`]. Each try reads the newest
/// state. In each round of concurrent writers of a record one succeeds, so this is enough for every
/// node of a cluster and as many callers at the same time.
const MAX_TRIES: usize = 2 * limits::MAX_NODES_PER_CLUSTER as usize;

/// The shared context; a clone is a pointer.
#[derive(Clone)]
pub struct Context {
    parts: Arc<Parts>,
    /// When the present work has to stop.
    until: Option<Timestamp>,
}

/// The parts of a context: each port has an implementation for AWS and one for a single machine.
pub struct Parts {
    /// The records of the service.
    pub table: Table,
    /// Instances of nodes.
    pub machines: Arc<dyn Machines>,
    /// File shares of file servers.
    pub file_shares: Arc<dyn FileShares>,
    /// The files of file servers.
    pub shared_files: Arc<dyn SharedFiles>,
    /// Secrets that jobs refer to.
    pub secret_store: Arc<dyn SecretStore>,
    /// Hints to functions.
    pub hints: Arc<dyn Hints>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn Ids>,
    /// Keys of secrets, signatures and node tokens.
    pub keys: Arc<Keys>,
    /// The operator's settings.
    pub settings: Settings,
    /// Since when the service has been reachable.
    pub uptime: Arc<Uptime>,
}

/// Where instances come from; it decides which clusters can have nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Processes, which take any size and image.
    Processes,
    /// EC2: sizes, images and subnets have to exist there.
    Ec2,
}

impl Provider {
    /// Checks that nodes can be launched for a cluster.
    ///
    /// # Errors
    /// 400 with what has to be changed.
    pub(crate) fn check(self, spec: &ClusterSpec) -> Result<(), Error> {
        match self {
            Self::Processes => Ok(()),
            Self::Ec2 => {
                let problem = ec2::check(spec).err();
                refuse(problem)?;
                self.check_mounts(spec.mounts.as_ref())
            }
        }
    }

    /// Checks that nodes can mount these volumes.
    ///
    /// # Errors
    /// 400 with what has to be changed.
    pub(crate) fn check_mounts(self, volumes: Option<&MountVolumes>) -> Result<(), Error> {
        match self {
            Self::Processes => Ok(()),
            Self::Ec2 => refuse(volumes.and_then(unsupported::mount_problem)),
        }
    }
}

fn refuse(problem: Option<ResourceError>) -> Result<(), Error> {
    match problem {
        Some(problem) => Err(Error::invalid(&problem.code, problem.message)),
        None => Ok(()),
    }
}

/// The operator's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long idle nodes beyond demand are kept.
    pub idle_seconds: u64,
    /// The maximum number of nodes of the whole service; a job that needs more is refused.
    pub max_nodes: u32,
    /// Quotas of each region of a subscription, and of the whole service.
    pub quota: Quota,
    /// Where workspaces can be created.
    pub locations: Locations,
    /// Where instances come from.
    pub provider: Provider,
    /// The directory of file shares that are directories of the machine of service and nodes, one each, named
    /// by uid. None where nodes mount them.
    pub file_server_root: Option<PathBuf>,
    /// Whether responses contain that path: only where it is on the user's own machine.
    pub shows_local_paths: bool,
}

impl Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Context {
    /// A context of these parts.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), until: None }
    }

    /// The same context for work that has to stop at this time. Plans stop between two actions; the next
    /// hint continues.
    pub fn until(&self, end: Timestamp) -> Self {
        Self { parts: Arc::clone(&self.parts), until: Some(end) }
    }

    /// Whether the present work has to stop.
    pub fn is_out_of_time(&self) -> bool {
        self.until.is_some_and(|end| self.now() >= end)
    }

    /// The time of the clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new random uid.
    pub fn new_uid(&self) -> Uid {
        self.ids.uid()
    }

    /// The ids of a new record.
    pub fn new_ids(&self) -> NewIds {
        NewIds { uid: self.new_uid(), etag: self.new_uid() }
    }

    /// An empty draft with the present time and quota.
    pub fn draft(&self) -> Draft {
        Draft::new(self.now(), self.settings.quota)
    }

    /// Commits a draft, then sends its hints and notifications. Returns the launches whose intent is
    /// recorded by the commit; only plans have any (see `execute`).
    ///
    /// # Errors
    /// A conflict when a record changed since it was read: the caller reads and reacts again.
    pub async fn commit(&self, draft: Draft) -> Result<Vec<LaunchRequest>, Error> {
        let Change { writes, hints, notify, launches, events } = draft.finish();
        self.table.commit(writes).await?;
        for event in &events {
            log(event);
            metrics::event(event);
        }
        for node in &notify {
            self.hints.notify_node(node);
        }
        for (function, target) in &hints {
            self.hint(*function, target).await;
        }
        Ok(launches)
    }

    /// Sends a hint to a function. A lost hint costs only time: the schedule visits every target.
    pub async fn hint(&self, function: Function, target: &Target) {
        if let Err(error) = self.hints.send(function, target).await {
            tracing::warn!(?function, %error, "could not send a hint; the schedule will visit the target");
        }
    }
}

/// Repeats a step as long as it conflicts, at most [`MAX_TRIES`] times.
///
/// # Errors
/// Those of the step; [`Error::Busy`] when every try conflicted.
pub(crate) async fn replan<T, F>(mut step: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    for _ in 0..MAX_TRIES {
        match step().await {
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
    }
    Err(Error::Busy)
}

fn log(event: &Event) {
    match event {
        Event::JobStarted { attempt, nodes, waited } => {
            let (job, number) = (&attempt.job.name, attempt.number);
            tracing::info!(job, attempt = number, ?nodes, waited, "started");
        }
        Event::AttemptEnding { attempt, end_reason } => {
            tracing::info!(job = attempt.job.name, attempt = attempt.number, ?end_reason, "ending");
        }
        Event::MemberEnded { attempt, node } => {
            tracing::debug!(job = attempt.job.name, attempt = attempt.number, %node, "node done");
        }
        Event::JobEnded { attempt, state } => {
            tracing::info!(job = attempt.job.name, attempt = attempt.number, state, "ended");
        }
        Event::Launching { cluster, launch, count } => {
            tracing::info!(%cluster, %launch, count, "launching");
        }
        Event::NodeIdle { node } => tracing::info!(%node, "idle"),
        Event::NodeFailed { node, error } => {
            tracing::warn!(%node, code = error.code, message = error.message, "node failed");
        }
        Event::RebalanceRecommended { node } => {
            tracing::info!(%node, "EC2 recommends to replace it")
        }
        Event::NodeLeaving { node, reason } => tracing::info!(%node, ?reason, "leaving"),
        Event::NodeRemoved { node } => tracing::info!(%node, "removed"),
        Event::ClusterDeleted { cluster } => tracing::info!(%cluster, "deleted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Poll, Waker};

    /// The outcome of a step that conflicts this many times before it succeeds.
    fn outcome(conflicts: usize) -> Result<(), Error> {
        let left = Cell::new(conflicts);
        let step = || {
            let conflict = left.get() > 0;
            left.set(left.get().saturating_sub(1));
            async move {
                match conflict {
                    true => Err(table::Error::Conflict { failed: Vec::new() }.into()),
                    false => Ok(()),
                }
            }
        };
        let mut repeated = pin!(replan(step));
        match repeated.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("the step awaits nothing"),
        }
    }

    #[test]
    fn only_nodes_that_mount_a_volume_need_its_key() {
        let source_vault = model::ResourceId { id: "/v".to_owned() };
        let secret_url = "https://v.vault.azure.net/secrets/s".to_owned();
        let reference = model::KeyVaultSecretReference { source_vault, secret_url };
        let container = model::AzureBlobFileSystem {
            account_name: "pictures".to_owned(),
            container_name: "data".to_owned(),
            credentials: model::SecretValue::Reference(reference),
            relative_mount_path: "data".to_owned(),
            mount_options: None,
        };
        let volumes =
            MountVolumes { azure_blob_file_systems: vec![container], ..MountVolumes::default() };
        assert!(Provider::Processes.check_mounts(Some(&volumes)).is_ok());
        assert!(Provider::Ec2.check_mounts(None).is_ok());
        let refused = Provider::Ec2.check_mounts(Some(&volumes)).expect_err("refused");
        assert!(refused.to_string().contains("storage account pictures"), "{refused}");
    }

    #[test]
    fn a_record_may_have_as_many_writers_as_a_cluster_has_nodes() {
        outcome(0).unwrap();
        outcome(limits::MAX_NODES_PER_CLUSTER as usize).unwrap();
        assert!(matches!(outcome(MAX_TRIES), Err(Error::Busy)));
    }
}
