//! The dispatcher: starts queued jobs on idle nodes.

use crate::ports::Function;
use crate::trigger::{Trigger, each_hint};
use crate::{Control, Error};
use aws_lambda_events::sqs::SqsBatchResponse;
use model::{Cluster, ClusterRef, Wake, limits};
use scheduler::Action;
use scheduler::dispatch::{self, DispatchSnapshot};

/// Plans per look. Each one starts something or is the last, so this bounds one run of the
/// function, not the work: the next hint or the schedule goes on.
const MAX_ROUNDS: usize = 64;

/// The Lambda handler; one machine calls it in process.
///
/// # Errors
/// When the schedule's walk failed; failed hints are in the answer.
pub async fn handle(control: &Control, trigger: Trigger) -> Result<SqsBatchResponse, Error> {
    match trigger {
        Trigger::Hints(hints) => Ok(each_hint(hints, |wake| Box::pin(look(control, wake))).await),
        Trigger::Event(_) => {
            control.each_awake(|wake| Box::pin(look(control, wake))).await?;
            Ok(SqsBatchResponse::default())
        }
    }
}

async fn look(control: &Control, wake: Wake) -> Result<(), Error> {
    match wake {
        Wake::Cluster { cluster } => control.dispatch(&cluster).await,
        Wake::FileServer { .. }
        | Wake::Experiment { .. }
        | Wake::Workspace { .. }
        | Wake::ResourceGroup { .. } => Ok(()),
    }
}

impl Control {
    async fn dispatch(&self, reference: &ClusterRef) -> Result<(), Error> {
        for _ in 0..MAX_ROUNDS {
            let Some(cluster) = self.table.cluster(reference).await? else { return Ok(()) };
            let Some(snapshot) = self.dispatch_snapshot(cluster).await? else { return Ok(()) };
            let actions = dispatch::plan(&snapshot, self.now());
            let used: usize = actions.iter().map(nodes_used).sum();
            let started = actions.len() as u32;
            let planned = !actions.is_empty();
            if !self.execute(&snapshot.cluster, actions).await? {
                continue;
            }
            if !planned || (used > 0 && used == snapshot.idle.len()) {
                return self.ask_for_capacity(&snapshot, started).await;
            }
        }
        self.hint_cluster(Function::Dispatcher, reference).await;
        Ok(())
    }

    async fn ask_for_capacity(
        &self,
        snapshot: &DispatchSnapshot,
        started: u32,
    ) -> Result<(), Error> {
        let deleting = snapshot.cluster.is_deleting();
        if deleting || dispatch::wants_capacity(snapshot, started) {
            self.hint_cluster(Function::Autoscaler, &snapshot.cluster.reference()).await;
        }
        Ok(())
    }

    /// Reads as little as the decision needs: no queue without idle nodes or room to grow, as many
    /// entries as there are idle nodes, deeper only when one of them is passed over.
    async fn dispatch_snapshot(&self, cluster: Cluster) -> Result<Option<DispatchSnapshot>, Error> {
        let reference = cluster.reference();
        let ceiling = if cluster.is_deleting() { u32::MAX } else { cluster.scale.ceiling() };
        let idle =
            self.table.idle_nodes(&reference, limits::MAX_NODES_PER_CLUSTER as usize).await?;
        let can_grow = cluster.planned_nodes < ceiling;
        if idle.is_empty() && !can_grow {
            return Ok(None);
        }
        let shallow = if cluster.is_deleting() { limits::BACKFILL_DEPTH } else { idle.len() + 1 };
        let mut queue = self.table.startable(&reference, ceiling, shallow).await?;
        let mut attempts = Vec::new();
        if dispatch::must_know_attempts(&cluster, &queue, idle.len()) {
            queue = self.table.startable(&reference, ceiling, limits::BACKFILL_DEPTH).await?;
            attempts = self.table.attempts(&reference).await?;
        }
        Ok(Some(DispatchSnapshot { cluster, queue, idle, attempts }))
    }
}

fn nodes_used(action: &Action) -> usize {
    match action {
        Action::Start { nodes, .. } => nodes.len(),
        _ => 0,
    }
}
