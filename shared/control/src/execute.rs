//! Carries out actions: one match, each arm one conditional write and the effect that belongs to
//! it. Nothing is decided here.

use crate::ports::Function;
use crate::{Control, Error, usages};
use dynamo::Transaction;
use model::{
    Allocation, Attempt, AttemptPhase, AttemptRef, Cluster, Ending, LeaveReason, Member,
    MemberProgress, Node, NodeId, NodeState, QueueEntry, Refused, ResourceError, Wake, limits,
};
use scheduler::Action;

impl Control {
    /// Carries out a plan in order. Answers `false` when the state has moved on and the rest was
    /// dropped; then it is time for another plan.
    ///
    /// # Errors
    /// What the table or a port reports.
    pub async fn execute(&self, cluster: &Cluster, actions: Vec<Action>) -> Result<bool, Error> {
        for action in actions {
            tracing::debug!(cluster = %cluster.name, ?action, "carrying out");
            match Box::pin(self.carry_out(cluster, action)).await {
                Ok(()) => {}
                Err(error) if error.is_conflict() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    async fn carry_out(&self, cluster: &Cluster, action: Action) -> Result<(), Error> {
        match action {
            Action::Start { entry, nodes } => self.start(cluster, &entry, &nodes).await,
            Action::Abandon { entry } => self.abandon(cluster, &entry).await,
            Action::EndAttempt { attempt, ending, grace_seconds } => {
                self.end_attempt(cluster, &attempt, ending, grace_seconds).await
            }
            Action::MemberGone { attempt, node } => {
                let ending =
                    Ending::NodeLost { node: node.clone(), reason: "it no longer exists".into() };
                self.settle_member(&cluster.reference(), &attempt, &node, ending, false).await
            }
            Action::Launch { count, planned_nodes } => {
                self.launch(cluster, count, planned_nodes).await
            }
            Action::Relaunch { launch, nodes } => self.bring_up(cluster, launch, nodes).await,
            Action::Leave { node, reason } => self.leave(cluster, &node, reason).await,
            Action::Remove { node } => self.remove(cluster, &node).await,
            Action::TerminateStray { instance } => {
                tracing::warn!(cluster = %cluster.name, instance, "ending a machine without a node");
                self.machines.terminate(&cluster.reference(), &[instance]).await?;
                Ok(())
            }
            Action::RecordFailure { error } => self.record_failure(cluster, error).await,
            Action::SetAllocation { resizing, planned_nodes } => {
                self.set_allocation(cluster, resizing, planned_nodes).await
            }
            Action::FallAsleep => self.set_awake(cluster, false).await,
            Action::Awaken => self.set_awake(cluster, true).await,
            Action::Rest => self.rest(cluster).await,
            Action::FinishDeletion => self.finish_cluster_deletion(cluster).await,
        }
    }

    async fn start(
        &self,
        cluster: &Cluster,
        entry: &QueueEntry,
        nodes: &[NodeId],
    ) -> Result<(), Error> {
        let now = self.now();
        let reference = cluster.reference();
        let job = self.table.job(&entry.job).await?.ok_or(gone("job", "start"))?;
        let found = self.table.nodes_named(&reference, nodes).await?;
        let job = job.start(nodes.to_vec(), now)?;
        let id = job.last_attempt().ok_or(gone("attempt", "start"))?;
        let mut members = Vec::with_capacity(nodes.len());
        let mut transaction = Transaction::new().dequeue(&reference, entry).replace_job(&job);
        for wanted in nodes {
            let node = found.iter().find(|node| node.id == *wanted).ok_or(gone("node", "start"))?;
            let node = node.clone().assigned(id.clone(), now)?;
            let address = node.machine().map(|machine| machine.address.clone()).unwrap_or_default();
            let progress = MemberProgress::Assigned;
            members.push(Member { node: node.id.clone(), address, progress });
            transaction = transaction.replace_node(&node).unmark_idle(&reference, &node.id);
        }
        let alone = members.len() == 1;
        let attempt = Attempt {
            id,
            cluster: reference,
            version: 1,
            members,
            started_at: now,
            max_wall_clock_seconds: entry.max_wall_clock_seconds,
            phase: if alone { AttemptPhase::Running } else { AttemptPhase::Preparing },
        };
        self.table.commit(transaction.create_attempt(&attempt)).await?;
        tracing::info!(job = %job.names.job, attempt = attempt.id.number, ?nodes, "started");
        self.wake_nodes(nodes);
        Ok(())
    }

    async fn abandon(&self, cluster: &Cluster, entry: &QueueEntry) -> Result<(), Error> {
        let job = self.table.job(&entry.job).await?.ok_or(gone("job", "abandon"))?;
        let job = job.abandon(self.now())?;
        let transaction = Transaction::new().dequeue(&cluster.reference(), entry).replace_job(&job);
        Ok(self.table.commit(transaction).await?)
    }

    /// Marks the attempt as ending and tells its nodes. The job's own record changes when the
    /// attempt has ended everywhere.
    pub(crate) async fn end_attempt(
        &self,
        cluster: &Cluster,
        id: &AttemptRef,
        ending: Ending,
        grace_seconds: u64,
    ) -> Result<(), Error> {
        let Some(attempt) = self.table.attempt(&cluster.reference(), id).await? else {
            return Ok(());
        };
        if attempt.is_ending() {
            return Ok(());
        }
        tracing::info!(job = id.job.name, attempt = id.number, ?ending, "ending");
        let attempt = attempt.end(ending, grace_seconds, self.now());
        self.table.commit(Transaction::new().replace_attempt(&attempt)).await?;
        self.wake_nodes(attempt.members.iter().map(|member| &member.node));
        Ok(())
    }

    async fn leave(
        &self,
        cluster: &Cluster,
        id: &NodeId,
        reason: LeaveReason,
    ) -> Result<(), Error> {
        let reference = cluster.reference();
        let node = self.table.node(&reference, id).await?.ok_or(gone("node", "leave"))?;
        let grace = match reason {
            LeaveReason::Interrupted => limits::SPOT_NOTICE_SECONDS,
            LeaveReason::ShrinkWhenDone => limits::MAX_WALL_CLOCK_SECONDS,
            LeaveReason::Shrink
            | LeaveReason::Lost
            | LeaveReason::TooSlow
            | LeaveReason::ClusterDeleted => limits::STOP_GRACE_SECONDS,
        };
        self.leave_until(node, reason, grace).await?;
        self.hint_cluster(Function::Autoscaler, &reference).await;
        Ok(())
    }

    pub(crate) async fn leave_until(
        &self,
        node: Node,
        reason: LeaveReason,
        seconds: u64,
    ) -> Result<Node, Error> {
        let idle = matches!(node.state, NodeState::Idle { .. });
        let mut leaving = node.leave(reason, self.now().plus_seconds(seconds))?;
        let mut transaction = Transaction::new().replace_node(&leaving);
        if idle {
            transaction = transaction.unmark_idle(&leaving.cluster, &leaving.id);
        }
        self.table.commit(transaction).await?;
        tracing::info!(node = %leaving.id, ?reason, "leaving");
        self.wake_nodes([&leaving.id]);
        leaving.version += 1;
        Ok(leaving)
    }

    /// Ends the machine first. Only when nothing of it runs any more is the node forgotten and its
    /// attempt free to end: the same job must not run twice.
    async fn remove(&self, cluster: &Cluster, id: &NodeId) -> Result<(), Error> {
        let reference = cluster.reference();
        let Some(node) = self.table.node(&reference, id).await? else { return Ok(()) };
        if let Some(machine) = node.machine() {
            let instances = [machine.instance.clone()];
            let ended = self.machines.terminate(&reference, &instances).await?;
            if !ended.contains(&instances[0]) {
                return Ok(());
            }
        }
        match node.occupant() {
            Some(attempt) => {
                let reason = "its machine has ended".to_owned();
                let ending = Ending::NodeLost { node: id.clone(), reason };
                self.settle_member(&reference, attempt, id, ending, true).await?;
            }
            None => self.table.commit(forget_node(Transaction::new(), &node)).await?,
        }
        tracing::info!(node = %id, "gone");
        // What follows (allocation settled, the cluster at rest or deleted) needs a new look.
        self.hint_cluster(Function::Autoscaler, &reference).await;
        Ok(())
    }

    pub(crate) async fn record_failure(
        &self,
        cluster: &Cluster,
        error: ResourceError,
    ) -> Result<(), Error> {
        let mut cluster = self.fresh(cluster).await?;
        tracing::warn!(cluster = %cluster.name, code = error.code, message = error.message, "node failure");
        cluster.health = cluster.health.failed(self.now());
        cluster.record_error(error);
        Ok(self.table.commit(Transaction::new().replace_cluster(&cluster)).await?)
    }

    async fn set_allocation(
        &self,
        cluster: &Cluster,
        resizing: bool,
        planned_nodes: u32,
    ) -> Result<(), Error> {
        let mut cluster = self.fresh(cluster).await?;
        if cluster.allocation.resizing != resizing {
            cluster.allocation = Allocation { resizing, since: self.now() };
        }
        cluster.planned_nodes = planned_nodes;
        Ok(self.table.commit(Transaction::new().replace_cluster(&cluster)).await?)
    }

    async fn set_awake(&self, cluster: &Cluster, awake: bool) -> Result<(), Error> {
        let mut changed = cluster.clone();
        changed.awake = awake;
        let mut transaction = Transaction::new().replace_cluster(&changed);
        if awake {
            transaction = transaction.wake(&Wake::Cluster { cluster: cluster.reference() });
        }
        Ok(self.table.commit(transaction).await?)
    }

    /// Writes the cluster too, so that a job which wakes it meanwhile is not overlooked.
    async fn rest(&self, cluster: &Cluster) -> Result<(), Error> {
        let transaction = Transaction::new().replace_cluster(cluster).rest(&cluster.uid);
        Ok(self.table.commit(transaction).await?)
    }

    /// The cluster as it is now, for writes that may follow another write of the same plan.
    async fn fresh(&self, cluster: &Cluster) -> Result<Cluster, Error> {
        let fresh = self.table.cluster(&cluster.reference()).await?;
        Ok(fresh.ok_or(gone("cluster", "change"))?)
    }
}

/// Removes the node's record and everything that names it.
pub(crate) fn forget_node(transaction: Transaction, node: &Node) -> Transaction {
    let transaction = usages::remove_node(transaction, node).unmark_idle(&node.cluster, &node.id);
    match node.machine() {
        Some(machine) => transaction.disown_instance(&machine.instance),
        None => transaction,
    }
}

/// What a plan names is not there any more: as good as a conflict.
pub(crate) fn gone(what: &'static str, transition: &'static str) -> Refused {
    Refused { what, state: "gone", transition }
}
