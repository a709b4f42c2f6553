//! What every service works with: the table, the ports, the settings; and the one way in which a
//! change is committed.

use crate::keys::Keys;
use crate::ports::{Clock, Directories, Hints, Ids, Machines};
use crate::uptime::Uptime;
use crate::{Error, Function};
use lifecycle::creation::NewIds;
use lifecycle::{Change, Draft, Event, LaunchRequest};
use model::{Locations, Quota, Target, Timestamp, Uid, limits};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use table::Table;

/// How often a reaction is repeated after a conflict before it fails with [`Error::Busy`]. Each try
/// reads the newest state, so it takes as many tries as there are concurrent writers of a record.
///
/// Of each round of writers one succeeds: this is enough for every node of a cluster and as many
/// callers at the same time.
const MAX_TRIES: usize = 2 * limits::MAX_NODES_PER_CLUSTER as usize;

/// Shared by all services; a clone is a pointer.
#[derive(Clone)]
pub struct Context(Arc<Parts>);

/// The table and the ports, the same on AWS and on one machine.
pub struct Parts {
    pub table: Table,
    pub machines: Arc<dyn Machines>,
    pub directories: Arc<dyn Directories>,
    pub hints: Arc<dyn Hints>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub keys: Arc<Keys>,
    pub settings: Settings,
    pub uptime: Arc<Uptime>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// How long idle nodes beyond demand stay.
    pub idle_seconds: u64,
    /// Nodes that the whole service may have; a job that needs more is refused.
    pub max_nodes: u32,
    /// What a region of a subscription may use, and the whole service.
    pub quota: Quota,
    /// Where workspaces can be created.
    pub locations: Locations,
    /// Where the trees of the file servers are, one directory each, named by uid.
    pub file_server_root: PathBuf,
    /// Whether responses show that directory: only where it is on the user's own machine.
    pub shows_local_paths: bool,
}

impl Deref for Context {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Context {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn new_uid(&self) -> Uid {
        self.ids.uid()
    }

    pub fn new_ids(&self) -> NewIds {
        NewIds { uid: self.new_uid(), etag: self.new_uid() }
    }

    pub fn draft(&self) -> Draft {
        Draft::new(self.now(), self.settings.quota)
    }

    /// Commits a draft, then sends its hints and notifications. Returns the launches whose intent
    /// is now recorded; only the plans of [`crate::execute`] have any.
    ///
    /// # Errors
    /// A conflict when a record changed since it was read: read again, react again.
    pub async fn commit(&self, draft: Draft) -> Result<Vec<LaunchRequest>, Error> {
        let Change { writes, hints, notify, launches, events } = draft.finish();
        self.table.commit(writes).await?;
        for event in &events {
            log(event);
        }
        for node in &notify {
            self.hints.notify_node(node);
        }
        for (function, target) in &hints {
            self.hint(*function, target).await;
        }
        Ok(launches)
    }

    /// Wakes a function. A lost hint costs time, never more: the schedule visits every target.
    pub async fn hint(&self, function: Function, target: &Target) {
        if let Err(error) = self.hints.send(function, target).await {
            tracing::warn!(?function, %error, "a hint was not sent; the schedule will do");
        }
    }
}

/// Repeats a step after conflicts, at most [`MAX_TRIES`] times in all.
///
/// # Errors
/// Those of the step; [`Error::Busy`] when every try met a conflict.
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
        Event::JobStarted { attempt, nodes } => {
            tracing::info!(job = attempt.job.name, attempt = attempt.number, ?nodes, "started");
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

    /// The outcome of a step that fails on so many conflicts before it succeeds.
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
            Poll::Pending => panic!("nothing is awaited"),
        }
    }

    #[test]
    fn a_record_may_have_as_many_writers_as_a_cluster_has_nodes() {
        outcome(0).unwrap();
        outcome(limits::MAX_NODES_PER_CLUSTER as usize).unwrap();
        assert!(matches!(outcome(MAX_TRIES), Err(Error::Busy)));
    }
}
