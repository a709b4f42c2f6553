//! Carries out plans: each action is read for, applied by `lifecycle`, committed, and followed by
//! the call to the cloud that belongs to it. Nothing is decided here.
//!
//! A failing action is its own failure: it is shown on the cluster, and the rest of the plan goes
//! on.

use crate::context::replan;
use crate::{Context, Error};
use lifecycle::actions::{self, ClusterRead, LaunchIds};
use lifecycle::{Draft, LaunchRequest, capacity, nodes};
use model::{Cluster, ClusterRef, Instance, Node, NodeId, ResourceError};
use scheduler::Action;

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Complete,
    /// The state changed meanwhile; the remaining actions were dropped, and a new plan is needed.
    Stale,
}

/// `cluster` and `nodes` are the records that the plan was made on.
///
/// # Errors
/// What the table reports; a failing action is recorded instead.
pub(crate) async fn execute(
    context: &Context,
    cluster: &Cluster,
    nodes: &[Node],
    plan: Vec<Action>,
) -> Result<Progress, Error> {
    for action in plan {
        tracing::debug!(cluster = %cluster.name, ?action, "carrying out");
        match Box::pin(carry_out(context, cluster, nodes, &action)).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => return Ok(Progress::Stale),
            Err(error) if error.is_systemic() => return Err(error),
            Err(error) => record(context, cluster, &action, &error).await?,
        }
    }
    Ok(Progress::Complete)
}

async fn carry_out(
    context: &Context,
    cluster: &Cluster,
    nodes: &[Node],
    action: &Action,
) -> Result<(), Error> {
    match action {
        Action::Remove { node } => return remove(context, cluster, node).await,
        Action::TerminateStray { instance } => {
            tracing::warn!(cluster = %cluster.name, instance, "terminating one without a node");
            let instances = [instance.clone()];
            context.machines.terminate(&cluster.reference(), &instances).await?;
            return Ok(());
        }
        _ => {}
    }
    let mut draft = read_for(context, cluster, nodes, action).await?;
    let fresh = launch_ids(context, cluster, action);
    actions::apply(&mut draft, action, fresh)?;
    for request in context.commit(draft).await? {
        bring_up(context, request).await?;
    }
    Ok(())
}

/// Everything that the action concerns, as it is now; but of a node that is to leave, the record
/// that the plan was made on. If that node has reported or taken another job since, the commit
/// conflicts.
async fn read_for(
    context: &Context,
    cluster: &Cluster,
    planned: &[Node],
    action: &Action,
) -> Result<Draft, Error> {
    let reference = cluster.reference();
    let affected = actions::affected_records(action);
    let mut draft = context.draft();
    match affected.cluster {
        ClusterRead::None => {}
        ClusterRead::Planned => draft.read_cluster(cluster.clone()),
        ClusterRead::Current => {
            if let Some(fresh) = context.table.cluster(&reference).await? {
                draft.read_cluster(fresh);
            }
        }
    }
    let mut jobs = Vec::from_iter(affected.job);
    let nodes = match action {
        Action::Leave { node, .. } => planned.iter().filter(|it| it.id == *node).cloned().collect(),
        _ => context.table.nodes_named(&reference, &affected.nodes).await?,
    };
    for node in nodes {
        jobs.extend(node.attempt().filter(|_| affected.running_job).map(|it| it.job.clone()));
        draft.read_node(node);
    }
    for job in jobs {
        if let Some(job) = context.table.job(&job).await? {
            draft.read_job(job);
        }
    }
    Ok(draft)
}

fn launch_ids(context: &Context, cluster: &Cluster, action: &Action) -> Option<LaunchIds> {
    let Action::Launch { count, .. } = action else { return None };
    let low_priority = capacity::is_low_priority(cluster);
    let node = |_| NodeId::new(&context.new_uid(), low_priority);
    Some(LaunchIds { launch: context.new_uid(), nodes: (0..*count).map(node).collect() })
}

/// Terminates the instance first. The node's record is removed only when nothing of the instance
/// runs any more.
async fn remove(context: &Context, cluster: &Cluster, id: &NodeId) -> Result<(), Error> {
    let reference = cluster.reference();
    let Some(node) = context.table.node(&reference, id).await? else { return Ok(()) };
    if let Some(instance) = node.instance() {
        let instances = [instance.id.clone()];
        let ended = context.machines.terminate(&reference, &instances).await?;
        if !ended.contains(&instances[0]) {
            return Ok(());
        }
    }
    let mut draft = context.draft();
    let occupant = node.attempt().map(|attempt| attempt.job.clone());
    draft.read_node(node);
    if let Some(job) = occupant
        && let Some(job) = context.table.job(&job).await?
    {
        draft.read_job(job);
    }
    nodes::removed(&mut draft, id)?;
    context.commit(draft).await?;
    Ok(())
}

/// Asks for the instances of a recorded launch and records what came. What was refused is no longer
/// intended; what is unknown stays intended and is asked for again.
async fn bring_up(context: &Context, request: LaunchRequest) -> Result<(), Error> {
    let outcome = context.machines.launch(&request).await?;
    for (id, instance) in &outcome.launched {
        record_instance(context, &request.cluster, id, instance).await?;
    }
    let Some(error) = outcome.refused else { return Ok(()) };
    let came = |id: &&NodeId| outcome.launched.iter().all(|(launched, _)| launched != *id);
    let missing: Vec<NodeId> = request.nodes.iter().filter(came).cloned().collect();
    replan(|| async {
        let mut draft = context.draft();
        if let Some(cluster) = context.table.cluster(&request.cluster).await? {
            draft.read_cluster(cluster);
        }
        for node in context.table.nodes_named(&request.cluster, &missing).await? {
            draft.read_node(node);
        }
        capacity::withdrawn(&mut draft, &missing, error.clone());
        context.commit(draft).await
    })
    .await?;
    Ok(())
}

/// The node may have registered by itself already, or be unwanted by now; both is fine.
async fn record_instance(
    context: &Context,
    cluster: &ClusterRef,
    id: &NodeId,
    instance: &Instance,
) -> Result<(), Error> {
    replan(|| async {
        let Some(node) = context.table.node(cluster, id).await? else { return Ok(Vec::new()) };
        let mut draft = context.draft();
        draft.read_node(node);
        capacity::launched(&mut draft, id, instance.clone());
        context.commit(draft).await
    })
    .await?;
    Ok(())
}

/// The failure is shown; what failed is tried again after a pause.
async fn record(
    context: &Context,
    cluster: &Cluster,
    action: &Action,
    failure: &Error,
) -> Result<(), Error> {
    tracing::error!(cluster = %cluster.name, ?action, error = failure.chain(), "an action failed");
    let shown = |code: &str| ResourceError::new(code, failure.chain());
    replan(|| async {
        let mut draft = context.draft();
        if let Some(fresh) = context.table.cluster(&cluster.reference()).await? {
            draft.read_cluster(fresh);
        }
        match action {
            Action::Remove { node: id } => {
                if let Some(node) = context.table.node(&cluster.reference(), id).await? {
                    draft.read_node(node);
                    nodes::removal_failed(&mut draft, id, &shown("NodeRemovalFailed"))?;
                }
            }
            Action::Launch { .. } | Action::Relaunch { .. } => {
                capacity::record_failure(&mut draft, shown("NodeLaunchFailed"));
            }
            _ => capacity::show_error(&mut draft, shown("ActionFailed")),
        }
        context.commit(draft).await
    })
    .await?;
    Ok(())
}
