//! The dispatcher: starts queued jobs on idle nodes.

use crate::execute::{Progress, execute};
use crate::{Context, Error, Function};
use model::{Cluster, ClusterRef, Node, QueueEntry, Target, limits};
use scheduler::Action;
use scheduler::dispatch::{self, DispatchSnapshot};
use scheduler::sweeps::Admission;

/// Plans per pass. Each plan but the last starts a job. The limit bounds one pass, not the work: the
/// hint at its end continues it.
const MAX_ROUNDS: usize = 64;

pub(crate) async fn reconcile(context: &Context, reference: &ClusterRef) -> Result<(), Error> {
    for _ in 0..MAX_ROUNDS {
        let Some(cluster) = context.table.cluster(reference).await? else { return Ok(()) };
        let Some(snapshot) = snapshot(context, cluster).await? else { return Ok(()) };
        let plan = dispatch::plan(&snapshot, context.now());
        let used: usize = plan.iter().map(Action::nodes_started).sum();
        let (started, planned) = (plan.len() as u32, !plan.is_empty());
        match execute(context, &snapshot.cluster, &[], plan).await? {
            Progress::Complete => {}
            Progress::Stale => continue,
            Progress::OutOfTime => break,
        }
        if !planned || (used > 0 && used == snapshot.idle.len()) {
            return request_capacity(context, &snapshot, started).await;
        }
    }
    let target = Target::Cluster { cluster: reference.clone() };
    context.hint(Function::Dispatcher, &target).await;
    Ok(())
}

async fn request_capacity(
    context: &Context,
    snapshot: &DispatchSnapshot,
    started: u32,
) -> Result<(), Error> {
    if snapshot.cluster.is_deleting() || dispatch::needs_capacity(snapshot, started) {
        let target = Target::Cluster { cluster: snapshot.cluster.reference() };
        context.hint(Function::Autoscaler, &target).await;
    }
    Ok(())
}

/// Reads only what the decision needs: no queue without idle nodes or room to grow, as many entries
/// as there are idle nodes, and further ones only when backfill is possible. The nodes are read only for
/// backfill, and for jobs of sweeps that have a limit.
async fn snapshot(context: &Context, cluster: Cluster) -> Result<Option<DispatchSnapshot>, Error> {
    let reference = cluster.reference();
    let ceiling = if cluster.is_deleting() { u32::MAX } else { cluster.scale.ceiling() };
    let most = limits::MAX_NODES_PER_CLUSTER as usize;
    let idle = context.table.idle_nodes(&reference, most).await?;
    let can_grow = cluster.planned_nodes < ceiling;
    if idle.is_empty() && !can_grow {
        return Ok(None);
    }
    let shallow = if cluster.is_deleting() { limits::BACKFILL_DEPTH } else { idle.len() + 1 };
    let fits = |entry: &QueueEntry| entry.node_count <= ceiling;
    let mut queue = context.table.queue_head(&reference, shallow, fits).await?;
    let mut nodes = None;
    if !cluster.is_deleting() && queue.iter().any(|entry| entry.sweep.is_some()) {
        let read = context.table.nodes(&reference).await?;
        queue = admitted(context, &reference, ceiling, &read, shallow).await?;
        nodes = Some(read);
    }
    let mut running = Vec::new();
    if dispatch::depends_on_running(&cluster, &queue, &idle) {
        let nodes = match nodes {
            Some(nodes) => nodes,
            None => context.table.nodes(&reference).await?,
        };
        queue = admitted(context, &reference, ceiling, &nodes, limits::BACKFILL_DEPTH).await?;
        running = dispatch::busy_until(&nodes);
    }
    Ok(Some(DispatchSnapshot { cluster, queue, idle, running }))
}

/// The first queued jobs that the cluster and their sweeps admit. The nodes were read after the cluster, whose
/// version a start of a job with a limit is planned on.
async fn admitted(
    context: &Context,
    reference: &ClusterRef,
    ceiling: u32,
    nodes: &[Node],
    limit: usize,
) -> Result<Vec<QueueEntry>, Error> {
    let mut admission = Admission::of(nodes);
    let admits = |entry: &QueueEntry| entry.node_count <= ceiling && admission.admits(entry);
    Ok(context.table.queue_head(reference, limit, admits).await?)
}
