//! Recovery: reconciles overdue and lost nodes and stray instances, and handles interruption notices.

use crate::context::replan;
use crate::execute::{Progress, execute};
use crate::{Context, Control, Error, Function, metrics, terminations};
use lifecycle::nodes::{self, is_launching};
use model::{ClusterRef, Launch, Node, NodeId, Target};
use scheduler::recovery::{self, RecoverySnapshot};

/// Plans per pass; see the autoscaler.
const MAX_ROUNDS: usize = 16;

pub(crate) async fn reconcile(context: &Context, reference: &ClusterRef) -> Result<(), Error> {
    let mut before = None;
    for _ in 0..MAX_ROUNDS {
        let Some(snapshot) = snapshot(context, reference).await? else {
            return terminations::remove_all(context, reference).await;
        };
        metrics::heartbeats_missed(recovery::silent_nodes(&snapshot, context.now()));
        if let Some(silent) = recovery::mass_silence(&snapshot, context.now()) {
            metrics::mass_silence(silent);
            let (cluster, nodes) = (&reference.name, snapshot.nodes.len());
            tracing::error!(cluster, silent, nodes, "many nodes are silent");
        }
        let plan = recovery::plan(&snapshot, context.now());
        if plan.is_empty() || before.as_ref() == Some(&plan) {
            return Ok(());
        }
        let progress = execute(context, &snapshot.cluster, &snapshot.nodes, plan.clone()).await?;
        if progress == Progress::OutOfTime {
            context.hint(Function::Recovery, &Target::Cluster { cluster: reference.clone() }).await;
            return Ok(());
        }
        before = (progress == Progress::Complete).then_some(plan);
        let target = Target::Cluster { cluster: reference.clone() };
        context.hint(Function::Autoscaler, &target).await;
    }
    Ok(())
}

/// Instances are listed before the nodes are read, so that every listed instance of a launch has its
/// node in the snapshot.
async fn snapshot(
    context: &Context,
    reference: &ClusterRef,
) -> Result<Option<RecoverySnapshot>, Error> {
    let instances = match context.machines.find(reference).await {
        Ok(instances) => Some(instances),
        Err(error) => {
            tracing::warn!(cluster = reference.name, %error, "could not list the instances");
            None
        }
    };
    let Some(cluster) = context.table.cluster(reference).await? else { return Ok(None) };
    let nodes = context.table.nodes(reference).await?;
    let mut running = Vec::new();
    for attempt in nodes.iter().filter_map(Node::attempt) {
        if !running.contains(&attempt.job) {
            running.push(attempt.job.clone());
        }
    }
    let jobs = context.table.jobs_named(&running).await?;
    let listening_since = context.uptime.reachable_since(context.now());
    let launches = waited_for(context, reference, &nodes).await?;
    Ok(Some(RecoverySnapshot { cluster, nodes, jobs, launches, instances, listening_since }))
}

/// The launches of which a node waits for its instance.
pub(crate) async fn waited_for(
    context: &Context,
    cluster: &ClusterRef,
    nodes: &[Node],
) -> Result<Vec<Launch>, Error> {
    let launching = nodes.iter().filter(|it| is_launching(&it.state));
    let mut ids: Vec<_> = launching.map(|it| it.launch.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(context.table.launches_named(cluster, &ids).await?)
}

impl Control {
    /// Handles a notice that an instance will be interrupted in this many seconds. Returns whether the
    /// instance is a node of this service.
    ///
    /// # Errors
    /// What the table reports; the notice must be delivered again.
    pub async fn handle_interruption(
        &self,
        instance: &str,
        notice_seconds: u64,
    ) -> Result<bool, Error> {
        let Some(owner) = self.context.table.instance_owner(instance).await? else {
            return Ok(false);
        };
        let context = &self.context;
        replan(|| interrupt(context, &owner.cluster, &owner.node, notice_seconds)).await?;
        Ok(true)
    }

    /// Handles EC2's recommendation to replace an instance. Returns whether the instance is a node of this
    /// service.
    ///
    /// # Errors
    /// What the table reports; the notice must be delivered again.
    pub async fn handle_rebalance_recommendation(&self, instance: &str) -> Result<bool, Error> {
        let Some(owner) = self.context.table.instance_owner(instance).await? else {
            return Ok(false);
        };
        replan(|| recommend_rebalance(&self.context, &owner.cluster, &owner.node)).await?;
        Ok(true)
    }

    /// Handles a notice that an instance ends or has ended: recovery reconciles its cluster, and the
    /// autoscaler removes a node that was waiting for this end. Returns whether the instance is a node of
    /// this service.
    ///
    /// # Errors
    /// What the table reports; the notice must be delivered again.
    pub async fn handle_instance_end(&self, instance: &str) -> Result<bool, Error> {
        let Some(owner) = self.context.table.instance_owner(instance).await? else {
            return Ok(false);
        };
        let target = Target::Cluster { cluster: owner.cluster };
        self.context.hint(Function::Recovery, &target).await;
        self.context.hint(Function::Autoscaler, &target).await;
        Ok(true)
    }
}

async fn recommend_rebalance(
    context: &Context,
    cluster: &ClusterRef,
    id: &NodeId,
) -> Result<(), Error> {
    let Some(node) = context.table.node(cluster, id).await? else { return Ok(()) };
    let mut draft = context.draft();
    if let Some(cluster) = context.table.cluster(cluster).await? {
        draft.read_cluster(cluster);
    }
    draft.read_node(node);
    nodes::rebalance_recommended(&mut draft, id)?;
    context.commit(draft).await?;
    Ok(())
}

async fn interrupt(
    context: &Context,
    cluster: &ClusterRef,
    id: &NodeId,
    notice_seconds: u64,
) -> Result<(), Error> {
    let Some(node) = context.table.node(cluster, id).await? else { return Ok(()) };
    let mut draft = context.draft();
    if let Some(attempt) = node.attempt()
        && let Some(job) = context.table.job(&attempt.job).await?
    {
        draft.read_job(job);
    }
    if let Some(cluster) = context.table.cluster(cluster).await? {
        draft.read_cluster(cluster);
    }
    draft.read_node(node);
    nodes::interrupted(&mut draft, id, notice_seconds)?;
    context.commit(draft).await?;
    Ok(())
}
