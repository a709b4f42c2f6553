//! Recovery: what is overdue, lost or left over, and what is being deleted.

use crate::ports::Function;
use crate::trigger::{INTERRUPTION, Trigger, each_hint};
use crate::{Control, Error};
use aws_lambda_events::eventbridge::EventBridgeEvent;
use aws_lambda_events::sqs::SqsBatchResponse;
use model::{ClusterRef, Ending, LeaveReason, Node, NodeId, Wake, limits};
use scheduler::recovery::{self, RecoverySnapshot};
use serde_json::Value;

/// Plans per look; see the autoscaler.
const MAX_ROUNDS: usize = 16;

/// Of a notice, the part that is kept for flushing logs and for the last report.
pub fn flush_reserve_seconds(notice_seconds: u64) -> u64 {
    (notice_seconds / 5).min(2)
}

/// The Lambda handler; one machine calls it in process. Interruption notices have their own path
/// and do not wait behind others.
///
/// # Errors
/// When an event could not be dealt with; failed hints are in the answer.
pub async fn handle(control: &Control, trigger: Trigger) -> Result<SqsBatchResponse, Error> {
    match trigger {
        Trigger::Hints(hints) => {
            return Ok(each_hint(hints, |wake| Box::pin(look(control, wake))).await);
        }
        Trigger::Event(event) if event.detail_type == INTERRUPTION => {
            control.notice_arrived(&event).await?;
        }
        Trigger::Event(_) => control.each_awake(|wake| Box::pin(look(control, wake))).await?,
    }
    Ok(SqsBatchResponse::default())
}

async fn look(control: &Control, wake: Wake) -> Result<(), Error> {
    match wake {
        Wake::Cluster { cluster } => control.recover(&cluster).await,
        Wake::FileServer { workspace, name, uid } => {
            control.settle_file_server(&workspace, &name, &uid).await
        }
        Wake::Experiment { workspace, name, uid } => {
            control.clear_experiment(&workspace, &name, &uid).await
        }
        Wake::Workspace { subscription, resource_group, name, uid } => {
            control.clear_workspace(&subscription, &resource_group, &name, &uid).await
        }
        Wake::ResourceGroup { subscription, name, uid } => {
            control.clear_resource_group(&subscription, &name, &uid).await
        }
    }
}

impl Control {
    async fn recover(&self, reference: &ClusterRef) -> Result<(), Error> {
        let mut before = None;
        for _ in 0..MAX_ROUNDS {
            let Some(snapshot) = self.recovery_snapshot(reference).await? else { return Ok(()) };
            let actions = recovery::plan(&snapshot, self.now());
            if actions.is_empty() || before.as_ref() == Some(&actions) {
                return Ok(());
            }
            before = self.execute(&snapshot.cluster, actions.clone()).await?.then_some(actions);
            self.hint_cluster(Function::Autoscaler, reference).await;
        }
        Ok(())
    }

    /// Machines are listed before the nodes are read: one that comes up in between has a node.
    async fn recovery_snapshot(
        &self,
        reference: &ClusterRef,
    ) -> Result<Option<RecoverySnapshot>, Error> {
        let machines = match self.machines.find(reference).await {
            Ok(machines) => Some(machines),
            Err(error) => {
                tracing::warn!(cluster = reference.name, %error, "machines could not be listed");
                None
            }
        };
        let Some(cluster) = self.table.cluster(reference).await? else { return Ok(None) };
        // Attempts before nodes: an attempt that starts in between is not yet looked for, and a
        // member whose node is read later without it has really ended.
        let attempts = self.table.attempts(reference).await?;
        let nodes = self.table.nodes(reference).await?;
        let listening_since = self.settings.listening_since;
        Ok(Some(RecoverySnapshot { cluster, nodes, attempts, machines, listening_since }))
    }

    /// EventBridge says that an instance will be interrupted.
    async fn notice_arrived(&self, event: &EventBridgeEvent<Value>) -> Result<(), Error> {
        let instance = event.detail.get("instance-id").and_then(Value::as_str).unwrap_or_default();
        let Some(owner) = self.table.instance_owner(instance).await? else {
            tracing::info!(instance, "an interruption notice for a machine that is not a node");
            return Ok(());
        };
        // Locally the notice may be shorter than EC2's; the event then says how long it is.
        let seconds = event.detail.get("notice-seconds").and_then(Value::as_u64);
        let seconds = seconds.unwrap_or(limits::SPOT_NOTICE_SECONDS);
        self.interrupt(&owner.cluster, &owner.node, seconds).await
    }

    /// The node is being taken away: its job gets the time that is left, and goes back to the
    /// queue.
    pub(crate) async fn interrupt(
        &self,
        cluster: &ClusterRef,
        id: &NodeId,
        notice_seconds: u64,
    ) -> Result<(), Error> {
        crate::replan(|| self.try_interrupt(cluster, id, notice_seconds)).await?;
        self.hint_cluster(Function::Autoscaler, cluster).await;
        Ok(())
    }

    async fn try_interrupt(
        &self,
        reference: &ClusterRef,
        id: &NodeId,
        notice_seconds: u64,
    ) -> Result<(), Error> {
        let Some(node) = self.table.node(reference, id).await? else { return Ok(()) };
        let node = self.mark_interrupted(node, notice_seconds).await?;
        let occupant = node.occupant();
        let Some(cluster) = self.table.cluster(reference).await? else { return Ok(()) };
        if let Some(attempt) = occupant {
            let grace = notice_seconds - flush_reserve_seconds(notice_seconds);
            let ending = Ending::Interrupted { node: id.clone() };
            self.end_attempt(&cluster, attempt, ending, grace).await?;
        }
        Ok(())
    }

    /// A node that is known to be going keeps its reason and its deadline.
    pub(crate) async fn mark_interrupted(
        &self,
        node: Node,
        notice_seconds: u64,
    ) -> Result<Node, Error> {
        let reason = LeaveReason::Interrupted;
        if node.clone().leave(reason, self.now()).is_err() {
            return Ok(node);
        }
        self.leave_until(node, reason, notice_seconds).await
    }
}
