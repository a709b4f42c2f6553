//! The dispatcher: starts queued jobs on idle nodes.

use crate::execute::{Progress, execute};
use crate::{Context, Error, Function};
use model::{Cluster, ClusterRef, Target, limits};
use scheduler::Action;
use scheduler::dispatch::{self, DispatchSnapshot};

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
/// as there are idle nodes, and further ones only when backfill is possible.
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
    let mut queue = context.table.queue_head(&reference, ceiling, shallow).await?;
    let mut running = Vec::new();
    if dispatch::depends_on_running(&cluster, &queue, &idle) {
        queue = context.table.queue_head(&reference, ceiling, limits::BACKFILL_DEPTH).await?;
        running = dispatch::busy_until(&context.table.nodes(&reference).await?);
    }
    Ok(Some(DispatchSnapshot { cluster, queue, idle, running }))
}
