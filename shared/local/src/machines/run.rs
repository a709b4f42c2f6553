//! One machine from its start to its end.

use super::end::MachineEnd;
use super::mounts;
use super::record::{self, Record, State};
use super::{ProcessMachines, TERMINATION_LIMIT, blocking, node_of, start};
use control::Function;
use model::{NodeId, Target};
use processes::keeper::ANOTHER_KEEPER;
use processes::{ContainerRecord, Keeper};
use std::process::ExitStatus;
use std::time::Duration;

/// How often the service checks for the end of a keeper that is not its child, as an earlier service started it.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// How long a container engine may take to remove a container.
const CONTAINER_LIMIT: Duration = Duration::from_secs(20);

impl ProcessMachines {
    /// Starts the machine, unless an earlier service has, and returns after its end.
    pub(super) async fn run(self: std::sync::Arc<Self>, record: Record) {
        loop {
            self.watch(&record).await;
            // A machine does not survive its keeper.
            if self.is_over(&record) || self.keeper(&record.node) != Keeper::NeverStarted {
                break;
            }
            match self.start_keeper(&record).await {
                Ok(Some(status)) if status.code() == Some(ANOTHER_KEEPER.into()) => {
                    // An earlier service had just started it when it was killed.
                    tokio::time::sleep(WATCH_EVERY).await;
                }
                Ok(Some(status)) if !status.success() => {
                    tracing::warn!(node = %record.node, %status, "a keeper ended unexpectedly");
                    break;
                }
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(node = %record.node, %error, "a keeper could not be started");
                    break;
                }
            }
        }
        self.end_and_report(&record).await;
    }

    /// Returns when the machine has no keeper, or is to end.
    async fn watch(&self, record: &Record) {
        while !self.is_over(record) && self.has_keeper(&record.node) {
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    fn is_over(&self, record: &Record) -> bool {
        let state = self.known().get(&record.instance).map(|known| known.state);
        self.is_stopping() || state != Some(State::Running)
    }

    /// Starts the keeper and waits for its end. `None` when the machine is to end. Checked under the lock, so
    /// that a machine that is being ended gets no keeper.
    pub(super) async fn start_keeper(
        &self,
        record: &Record,
    ) -> std::io::Result<Option<ExitStatus>> {
        let token = self
            .control
            .get()
            .map(|control| control.context.keys.node_token(&record.cluster, &record.node))
            .unwrap_or_default();
        let started = {
            let known = self.known();
            let known = known.get(&record.instance).filter(|it| it.state == State::Running);
            match known {
                Some(known) if !self.is_stopping() => {
                    Some(start::keeper(&self.options, known, &token)?)
                }
                Some(_) | None => None,
            }
        };
        match started {
            Some(mut keeper) => keeper.wait().await.map(Some),
            None => Ok(None),
        }
    }

    /// Ends the machine, however long that takes, and reports the end to the control plane.
    pub(super) async fn end_and_report(&self, record: &Record) {
        if self.is_stopping() {
            return;
        }
        self.end(&record.instance, &record.node, None).await;
        let Some(control) = self.control.get() else { return };
        let target = Target::Cluster { cluster: record.cluster.clone() };
        control.context.hint(Function::Recovery, &target).await;
    }

    /// Ends every process of a machine. True when none is left; false when one is left after `limit`.
    pub(super) async fn end(&self, instance: &str, node: &NodeId, limit: Option<Duration>) -> bool {
        self.advance(instance, State::Ending);
        let record = self.known().get(instance).cloned();
        if record.as_ref().is_some_and(Record::has_ended) {
            return true;
        }
        let mut end = MachineEnd::new(&self.options.directory, node, record.as_ref());
        loop {
            let passed = blocking(move || {
                let is_over = end.pass();
                Ok((end, is_over))
            })
            .await;
            let Ok((continued, is_over)) = passed else { return false };
            end = continued;
            if is_over {
                self.remove_container(node).await;
                self.advance(instance, State::Ended);
                return true;
            }
            if limit.is_some_and(|limit| end.pace().elapsed() > limit) {
                return false;
            }
            if end.pace().is_newly_stuck() {
                tracing::error!(%node, "processes of a machine cannot be killed; trying again");
            }
            tokio::time::sleep(end.pace().next_pause()).await;
        }
    }

    /// Removes what the container of an attempt has left, whose processes have ended. Another container has another
    /// name, so one that stays takes nothing but some space.
    async fn remove_container(&self, node: &NodeId) {
        let root = record::root(&self.options.directory, node);
        let user = self.options.user.clone();
        let removed = blocking(move || {
            let Some(container) = ContainerRecord::read(&root) else { return Ok(()) };
            container.remove(&root, user.as_ref(), CONTAINER_LIMIT)
        });
        if let Err(error) = removed.await {
            tracing::warn!(%node, %error, "a container was not removed");
        }
    }

    /// Records a later state. Under the lock, so that nothing is written into a directory that is being removed.
    fn advance(&self, instance: &str, state: State) {
        let mut known = self.known();
        let Some(known) = known.get_mut(instance).filter(|known| known.state < state) else {
            return;
        };
        known.state = state;
        if let Err(error) = known.write(&self.options.directory) {
            // The next service finds no process of it, and ends it once more.
            tracing::warn!(instance, ?state, %error, "the state of a machine was not written");
        }
    }

    /// Ends a machine for good, also one without a record. True when none of its processes is left.
    pub(super) async fn terminate_one(&self, instance: &str) -> bool {
        let Some(node) = node_of(instance) else { return true };
        if !self.end(instance, &node, Some(TERMINATION_LIMIT)).await {
            return false;
        }
        // From now on nothing else writes into its directory.
        self.advance(instance, State::Terminated);
        match self.remove(&node).await {
            Ok(()) => drop(self.known().remove(instance)),
            Err(error) => {
                // It has ended all the same. `sweep` tries again.
                tracing::warn!(instance, %error, "the directory of a node could not be removed");
                if !self.known().contains_key(instance) {
                    self.unrecorded().push(node);
                }
            }
        }
        true
    }

    async fn remove(&self, node: &NodeId) -> std::io::Result<()> {
        let home = record::home(&self.options.directory, node);
        let remove = move || mounts::unmount_below(&home).and_then(|()| trees::remove(&home));
        blocking(remove).await
    }
}
