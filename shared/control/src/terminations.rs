//! Terminates the instances of a plan: those of nodes that are removed, and those without a node. One
//! call for all of them; each has an outcome of its own.

use crate::ports::{PortError, Termination};
use crate::{Context, Error, execute, metrics};
use lifecycle::nodes;
use model::{Cluster, ClusterRef, Node, NodeId};
use scheduler::Action;

/// Terminates the instances of these nodes. The record of a node is removed only when its instance has
/// ended.
///
/// # Errors
/// What the table reports; a conflict when a record changed. A failing node is recorded instead.
pub(crate) async fn remove(
    context: &Context,
    cluster: &Cluster,
    ids: &[NodeId],
) -> Result<(), Error> {
    let reference = cluster.reference();
    let nodes = context.table.nodes_named(&reference, ids).await?;
    let (with_instance, without): (Vec<Node>, Vec<Node>) =
        nodes.into_iter().partition(|node| node.instance().is_some());
    for node in without {
        remove_record(context, node).await?;
    }
    let instances: Vec<String> =
        with_instance.iter().filter_map(Node::instance).map(|it| it.id.clone()).collect();
    let outcomes = terminate(context, &reference, &instances).await;
    for (node, outcome) in with_instance.into_iter().zip(outcomes) {
        let (id, outcome) = (node.id.clone(), outcome.map(|it| has_ended(context, &node, it)));
        let removed = match outcome {
            Ok(true) => remove_record(context, node).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error.into()),
        };
        match removed {
            Ok(()) => {}
            Err(error) if error.is_conflict() || error.is_systemic() => return Err(error),
            Err(error) => {
                execute::record(context, cluster, &Action::Remove { node: id }, &error).await?;
            }
        }
    }
    Ok(())
}

fn has_ended(context: &Context, node: &Node, outcome: Termination) -> bool {
    match outcome {
        Termination::Ended => true,
        Termination::Ending => false,
        Termination::Unknown => nodes::is_unknown_for_good(node, context.now()),
    }
}

/// The instance has ended.
async fn remove_record(context: &Context, node: Node) -> Result<(), Error> {
    let mut draft = context.draft();
    let (id, occupant) = (node.id.clone(), node.attempt().map(|attempt| attempt.job.clone()));
    draft.read_node(node);
    if let Some(job) = occupant
        && let Some(job) = context.table.job(&job).await?
    {
        draft.read_job(job);
    }
    nodes::removed(&mut draft, &id)?;
    context.commit(draft).await?;
    Ok(())
}

/// Terminates instances without a node.
///
/// # Errors
/// What the table reports.
pub(crate) async fn remove_strays(
    context: &Context,
    cluster: &Cluster,
    instances: &[String],
) -> Result<(), Error> {
    tracing::warn!(cluster = %cluster.name, ?instances, "terminating instances without a node");
    instances.iter().for_each(|_| metrics::leaked_instance());
    let outcomes = terminate(context, &cluster.reference(), instances).await;
    for (instance, outcome) in instances.iter().zip(outcomes) {
        if let Err(error) = outcome {
            let action = Action::TerminateStray { instance: instance.clone() };
            execute::record(context, cluster, &action, &error.into()).await?;
        }
    }
    Ok(())
}

/// Terminates the instances of a cluster that no longer exists. The schedule tries again what fails.
///
/// # Errors
/// When the instances cannot be listed.
pub(crate) async fn remove_all(context: &Context, cluster: &ClusterRef) -> Result<(), Error> {
    let found = context.machines.find(cluster).await?;
    let instances: Vec<String> =
        found.into_iter().filter(|it| it.exists()).map(|it| it.id).collect();
    if instances.is_empty() {
        return Ok(());
    }
    tracing::warn!(cluster = cluster.name, ?instances, "terminating instances without a cluster");
    instances.iter().for_each(|_| metrics::leaked_instance());
    for (instance, outcome) in instances.iter().zip(terminate(context, cluster, &instances).await) {
        if let Err(error) = outcome {
            tracing::error!(instance, %error, "could not terminate an instance");
        }
    }
    Ok(())
}

/// The outcome of each; of a call that fails as a whole, the same error for all.
async fn terminate(
    context: &Context,
    cluster: &ClusterRef,
    instances: &[String],
) -> Vec<Result<Termination, PortError>> {
    if instances.is_empty() {
        return Vec::new();
    }
    match context.machines.terminate(cluster, instances).await {
        Ok(outcomes) => outcomes,
        Err(error) => {
            let text = Error::from(error).chain();
            instances.iter().map(|_| Err(PortError::other(text.clone()))).collect()
        }
    }
}
