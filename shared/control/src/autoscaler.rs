//! The autoscaler: launches nodes up to the wanted number, and removes nodes that are leaving.

use crate::execute::{Progress, execute};
use crate::{Context, Error, Function, metrics, recovery};
use lifecycle::unsupported;
use model::{ClusterRef, QueueEntry, Target, limits};
use scheduler::capacity::{self, CapacitySettings, CapacitySnapshot};
use scheduler::sweeps::Admission;

/// Plans per pass. Launching, shrinking, removing and settling take a handful; the others are for
/// conflicts with other writers.
const MAX_ROUNDS: usize = 16;

pub(crate) async fn reconcile(context: &Context, reference: &ClusterRef) -> Result<(), Error> {
    let settings = CapacitySettings { idle_seconds: context.settings.idle_seconds };
    let mut before = None;
    for _ in 0..MAX_ROUNDS {
        let Some(snapshot) = snapshot(context, reference).await? else { return Ok(()) };
        metrics::queue_depth(snapshot.queued.len());
        let plan = capacity::plan(&snapshot, settings, context.now());
        // The same plan twice: it waits for something external, such as an instance that is terminating.
        if plan.is_empty() || before.as_ref() == Some(&plan) {
            return Ok(());
        }
        let progress = execute(context, &snapshot.cluster, &snapshot.nodes, plan.clone()).await?;
        if progress == Progress::OutOfTime {
            context
                .hint(Function::Autoscaler, &Target::Cluster { cluster: reference.clone() })
                .await;
            return Ok(());
        }
        before = (progress == Progress::Complete).then_some(plan);
    }
    Ok(())
}

/// The cluster is read first (see [`CapacitySnapshot`]), and the nodes before the queue: a job that
/// loses its node in between is in the queue when that is read.
async fn snapshot(
    context: &Context,
    reference: &ClusterRef,
) -> Result<Option<CapacitySnapshot>, Error> {
    let Some(cluster) = context.table.cluster(reference).await? else { return Ok(None) };
    let ceiling = if cluster.is_deleting() { u32::MAX } else { cluster.scale.ceiling() };
    let nodes = context.table.nodes(reference).await?;
    let depth = limits::MAX_NODES_PER_CLUSTER as usize;
    let mut admission = Admission::of(&nodes);
    let admits = |entry: &QueueEntry| {
        entry.node_count <= ceiling && (cluster.is_deleting() || admission.admits(entry))
    };
    let queue = context.table.queue_head(reference, depth, admits).await?;
    let queued = queue.into_iter().map(|entry| entry.node_count).collect();
    let launches = recovery::waited_for(context, reference, &nodes).await?;
    let strays = match nodes.is_empty() {
        true => instances_left(context, reference).await?,
        false => Vec::new(),
    };
    let quota_left = crate::usages::nodes_left(context, &cluster.charge()).await?;
    let blocked = unsupported::cluster_problem(&cluster.spec).is_some();
    Ok(Some(CapacitySnapshot { cluster, blocked, nodes, queued, quota_left, launches, strays }))
}

/// Read only when the cluster has no nodes: one with instances must not become dormant.
async fn instances_left(context: &Context, reference: &ClusterRef) -> Result<Vec<String>, Error> {
    let found = context.machines.find(reference).await?;
    Ok(found
        .into_iter()
        .filter(scheduler::recovery::FoundInstance::exists)
        .map(|found| found.id)
        .collect())
}
