//! Executes plans. For each action: reads its records, applies it with `lifecycle`, commits, then
//! makes the call to the cloud that belongs to it. Nothing is decided here.
//!
//! A failing action affects only itself: it is shown on the cluster, and the other actions are
//! executed.

use crate::context::replan;
use crate::ports::LaunchOutcome;
use crate::{Context, Error, metrics};
use lifecycle::actions::{self, ClusterRead, LaunchIds};
use lifecycle::{Draft, capacity, launches, nodes};
use model::{Cluster, Launch, LaunchRequest, Node, NodeId, ResourceError};
use scheduler::Action;

/// The result of executing a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Complete,
    /// The state changed in the meantime. The remaining actions were dropped; a new plan is needed.
    Stale,
    /// The time of this pass is over. The remaining actions are for the next one.
    OutOfTime,
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
    for (index, action) in plan.into_iter().enumerate() {
        if index > 0 && context.is_out_of_time() {
            return Ok(Progress::OutOfTime);
        }
        tracing::debug!(cluster = %cluster.name, ?action, "executing");
        match Box::pin(execute_action(context, cluster, nodes, &action)).await {
            Ok(()) => {}
            Err(error) if error.is_conflict() => return Ok(Progress::Stale),
            Err(error) if error.is_systemic() => return Err(error),
            Err(error) => record(context, cluster, &action, &error).await?,
        }
    }
    Ok(Progress::Complete)
}

async fn execute_action(
    context: &Context,
    cluster: &Cluster,
    nodes: &[Node],
    action: &Action,
) -> Result<(), Error> {
    match action {
        Action::Remove { node } => return remove(context, cluster, node).await,
        Action::TerminateStray { instance } => {
            tracing::warn!(cluster = %cluster.name, instance, "terminating an instance without a node");
            metrics::leaked_instance();
            let instances = [instance.clone()];
            context.machines.terminate(&cluster.reference(), &instances).await?;
            return Ok(());
        }
        Action::Start { .. }
        | Action::FailQueued { .. }
        | Action::EndAttempt { .. }
        | Action::Launch { .. }
        | Action::Relaunch { .. }
        | Action::Bind { .. }
        | Action::Leave { .. }
        | Action::RecordFailure { .. }
        | Action::ShowError { .. }
        | Action::SetAllocation { .. }
        | Action::MarkDormant
        | Action::MarkScheduled
        | Action::Unschedule
        | Action::FinishDeletion => {}
    }
    let mut draft = read_for(context, cluster, nodes, action).await?;
    let fresh = launch_ids(context, cluster, action);
    actions::apply(&mut draft, action, fresh)?;
    for request in context.commit(draft).await? {
        launch(context, request).await?;
    }
    Ok(())
}

/// Reads the newest records that the action affects. The exception is a node that is to leave: its
/// record is the one that the plan was made on, so the commit conflicts if the node reported or took
/// another job since.
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
    let nodes = if let Action::Leave { node, .. } = action {
        planned.iter().filter(|it| it.id == *node).cloned().collect()
    } else {
        context.table.nodes_named(&reference, &affected.nodes).await?
    };
    for node in nodes {
        jobs.extend(node.attempt().filter(|_| affected.running_job).map(|it| it.job.clone()));
        read_launch_of(context, &mut draft, &node).await?;
        draft.read_node(node);
    }
    if let Some(launch) = &affected.launch
        && let Some(launch) = context.table.launch(&reference, launch).await?
    {
        match affected.waiting_nodes {
            true => read_waiting_nodes(context, &mut draft, launch).await?,
            false => draft.read_launch(launch),
        }
    }
    for job in jobs {
        if let Some(job) = context.table.job(&job).await? {
            draft.read_job(job);
        }
    }
    Ok(draft)
}

/// The launch of a node records what becomes of the node, so it is read with every launching node.
pub(crate) async fn read_launch_of(
    context: &Context,
    draft: &mut Draft,
    node: &Node,
) -> Result<(), Error> {
    if nodes::is_launching(&node.state)
        && let Some(launch) = context.table.launch(&node.cluster, &node.launch).await?
    {
        draft.read_launch(launch);
    }
    Ok(())
}

fn launch_ids(context: &Context, cluster: &Cluster, action: &Action) -> Option<LaunchIds> {
    let Action::Launch { count, .. } = action else { return None };
    let low_priority = capacity::is_low_priority(cluster);
    let node = |_| NodeId::new(&context.new_uid(), low_priority);
    Some(LaunchIds { launch: context.new_uid(), nodes: (0..*count).map(node).collect() })
}

/// Terminates the instance first. The node's record is removed only when the instance is terminated.
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

/// Requests the instances of a recorded launch and binds those that were launched to its nodes.
/// Nodes without an instance are withdrawn. After an error it is unknown which instances exist:
/// their nodes stay recorded, and the request is repeated.
async fn launch(context: &Context, request: LaunchRequest) -> Result<(), Error> {
    let LaunchOutcome { launched, refused } = context.machines.launch(&request).await?;
    let cluster = &request.cluster;
    if refused.is_some() {
        metrics::launch_failure(&request);
    }
    let is_short = refused.is_some() || launched.len() < request.nodes.len();
    replan(|| async {
        let Some(launch) = context.table.launch(cluster, &request.launch).await? else {
            return Ok(Vec::new());
        };
        let mut draft = context.draft();
        if is_short && let Some(cluster) = context.table.cluster(cluster).await? {
            draft.read_cluster(cluster);
        }
        read_waiting_nodes(context, &mut draft, launch).await?;
        launches::answered(&mut draft, &request.launch, &launched, refused.clone());
        context.commit(draft).await
    })
    .await?;
    Ok(())
}

/// Reads the nodes of a launch that wait for an instance.
async fn read_waiting_nodes(
    context: &Context,
    draft: &mut Draft,
    launch: Launch,
) -> Result<(), Error> {
    let waiting: Vec<NodeId> = launch.waiting().cloned().collect();
    for node in context.table.nodes_named(&launch.request.cluster, &waiting).await? {
        draft.read_node(node);
    }
    draft.read_launch(launch);
    Ok(())
}

/// Shows the failure on the cluster. The action is retried after a backoff.
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
            Action::Start { .. }
            | Action::FailQueued { .. }
            | Action::EndAttempt { .. }
            | Action::Bind { .. }
            | Action::Leave { .. }
            | Action::TerminateStray { .. }
            | Action::RecordFailure { .. }
            | Action::ShowError { .. }
            | Action::SetAllocation { .. }
            | Action::MarkDormant
            | Action::MarkScheduled
            | Action::Unschedule
            | Action::FinishDeletion => capacity::show_error(&mut draft, shown("ActionFailed")),
        }
        context.commit(draft).await
    })
    .await?;
    Ok(())
}
