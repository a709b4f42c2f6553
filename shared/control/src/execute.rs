//! Executes plans. For each action: reads its records, applies it with `lifecycle`, commits, then
//! makes the call to the cloud that belongs to it. Nothing is decided here.
//!
//! A failing action affects only itself: it is shown on the cluster, and the other actions are
//! executed.

use crate::context::replan;
use crate::ports::LaunchOutcome;
use crate::{Context, Error, metrics, terminations};
use lifecycle::actions::{self, ClusterRead};
use lifecycle::capacity::{self, NewLaunch};
use lifecycle::{Draft, launches, nodes};
use model::{Cluster, Launch, LaunchRequest, Node, NodeId, Offering, Price, ResourceError};
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
    for (index, step) in steps(plan).into_iter().enumerate() {
        if index > 0 && context.is_out_of_time() {
            return Ok(Progress::OutOfTime);
        }
        tracing::debug!(cluster = %cluster.name, ?step, "executing");
        let done = match &step {
            Step::Remove(nodes) => Box::pin(terminations::remove(context, cluster, nodes)).await,
            Step::TerminateStrays(instances) => {
                Box::pin(terminations::remove_strays(context, cluster, instances)).await
            }
            Step::Single(action) => {
                match Box::pin(execute_action(context, cluster, nodes, action)).await {
                    Err(error) if !error.is_conflict() && !error.is_systemic() => {
                        record(context, cluster, action, &error).await
                    }
                    done => done,
                }
            }
        };
        match done {
            Ok(()) => {}
            Err(error) if error.is_conflict() => return Ok(Progress::Stale),
            Err(error) => return Err(error),
        }
    }
    Ok(Progress::Complete)
}

/// One action, or several that are one call of the cloud.
#[derive(Debug)]
enum Step {
    Remove(Vec<NodeId>),
    TerminateStrays(Vec<String>),
    Single(Action),
}

/// Instances that are terminated in one step, at most: between steps a pass may end.
const TERMINATIONS_PER_STEP: usize = 100;

/// Joins terminations that follow each other.
fn steps(plan: Vec<Action>) -> Vec<Step> {
    let mut steps = Vec::new();
    for action in plan {
        match (action, steps.last_mut()) {
            (Action::Remove { node }, Some(Step::Remove(nodes)))
                if nodes.len() < TERMINATIONS_PER_STEP =>
            {
                nodes.push(node);
            }
            (Action::Remove { node }, _) => steps.push(Step::Remove(vec![node])),
            (Action::TerminateStray { instance }, Some(Step::TerminateStrays(instances)))
                if instances.len() < TERMINATIONS_PER_STEP =>
            {
                instances.push(instance);
            }
            (Action::TerminateStray { instance }, _) => {
                steps.push(Step::TerminateStrays(vec![instance]));
            }
            (action, _) => steps.push(Step::Single(action)),
        }
    }
    steps
}

async fn execute_action(
    context: &Context,
    cluster: &Cluster,
    nodes: &[Node],
    action: &Action,
) -> Result<(), Error> {
    if let Action::Price { nodes } = action {
        return Box::pin(price(context, cluster, nodes)).await;
    }
    let mut draft = read_for(context, cluster, nodes, action).await?;
    match new_launch(context, cluster, action) {
        Ok(new) => actions::apply(&mut draft, action, new)?,
        Err(refused) => capacity::record_failure(&mut draft, refused),
    }
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

/// What a launch needs besides its action; for other actions nothing.
///
/// # Errors
/// Why the provider can launch no instance for this cluster.
fn new_launch(
    context: &Context,
    cluster: &Cluster,
    action: &Action,
) -> Result<Option<NewLaunch>, ResourceError> {
    let Action::Launch { count, zone, .. } = action else { return Ok(None) };
    let placement = context.machines.placement(cluster, zone.as_deref())?;
    let low_priority = capacity::is_low_priority(cluster);
    let node = |_| NodeId::new(&context.new_uid(), low_priority);
    let nodes = (0..*count).map(node).collect();
    Ok(Some(NewLaunch { launch: context.new_uid(), nodes, placement }))
}

/// Records what nodes cost. A node without a price is asked for again in a later pass; nothing waits for it.
async fn price(context: &Context, cluster: &Cluster, ids: &[NodeId]) -> Result<(), Error> {
    let mut draft = context.draft();
    let nodes = context.table.nodes_named(&cluster.reference(), ids).await?;
    let offerings: Vec<Offering> = nodes.iter().map(|node| node.offering.clone()).collect();
    let prices = context.machines.prices(&offerings, context.now()).await;
    let known = |(_, price): &(Node, Price)| !price.is_not_asked();
    for (node, price) in nodes.into_iter().zip(prices).filter(known) {
        let id = node.id.clone();
        draft.read_node(node);
        nodes::priced(&mut draft, &id, price)?;
    }
    context.commit(draft).await?;
    Ok(())
}

/// Requests the instances of a recorded launch and binds those that were launched to its nodes.
/// Nodes without an instance are withdrawn. After an error it is unknown which instances exist:
/// their nodes stay recorded, and the request is repeated.
async fn launch(context: &Context, request: LaunchRequest) -> Result<(), Error> {
    let outcome = context.machines.launch(&request).await?;
    let LaunchOutcome { launched, refused, pools } = &outcome;
    let cluster = &request.cluster;
    if refused.is_some() {
        metrics::launch_failures(&request, pools);
    }
    let is_short = refused.is_some() || launched.len() < request.nodes.len();
    let shows = is_short || !pools.is_empty();
    replan(|| async {
        let Some(launch) = context.table.launch(cluster, &request.launch).await? else {
            return Ok(Vec::new());
        };
        let mut draft = context.draft();
        if shows && let Some(cluster) = context.table.cluster(cluster).await? {
            draft.read_cluster(cluster);
        }
        read_waiting_nodes(context, &mut draft, launch).await?;
        launches::answered(&mut draft, &request.launch, outcome.clone());
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
pub(crate) async fn record(
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
            | Action::Describe { .. }
            | Action::Price { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminations_are_joined_in_steps_of_limited_size() {
        let node = |number: usize| NodeId::parse(&format!("tvm-{number}")).expect("a name");
        let mut plan: Vec<Action> = (0..250).map(|it| Action::Remove { node: node(it) }).collect();
        plan.push(Action::TerminateStray { instance: "i-1".to_owned() });
        plan.push(Action::TerminateStray { instance: "i-2".to_owned() });
        let sizes: Vec<usize> = steps(plan)
            .iter()
            .map(|step| match step {
                Step::Remove(nodes) => nodes.len(),
                Step::TerminateStrays(instances) => instances.len(),
                Step::Single(_) => 0,
            })
            .collect();
        assert_eq!(sizes, [100, 100, 50, 2]);
    }
}
