//! The autoscaler: brings the number of nodes to what is wanted, and ends what leaves.

use crate::trigger::{Trigger, each_hint};
use crate::{Control, Error, provided};
use aws_lambda_events::sqs::SqsBatchResponse;
use model::{ClusterRef, Wake, limits};
use scheduler::capacity::{self, CapacitySettings, CapacitySnapshot};

/// Plans per look: growing, shrinking, removing and settling are a handful; the rest is for writes
/// of others in between.
const MAX_ROUNDS: usize = 16;

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
        Wake::Cluster { cluster } => control.scale(&cluster).await,
        Wake::FileServer { .. }
        | Wake::Experiment { .. }
        | Wake::Workspace { .. }
        | Wake::ResourceGroup { .. } => Ok(()),
    }
}

impl Control {
    async fn scale(&self, reference: &ClusterRef) -> Result<(), Error> {
        let settings = CapacitySettings { idle_seconds: self.settings.idle_seconds };
        let mut before = None;
        for _ in 0..MAX_ROUNDS {
            let Some(snapshot) = self.capacity_snapshot(reference).await? else { return Ok(()) };
            let actions = capacity::plan(&snapshot, settings, self.now());
            // The same plan twice waits for the world (a machine that is still ending).
            if actions.is_empty() || before.as_ref() == Some(&actions) {
                return Ok(());
            }
            before = self.execute(&snapshot.cluster, actions.clone()).await?.then_some(actions);
        }
        Ok(())
    }

    /// The cluster is read first: see [`CapacitySnapshot`].
    async fn capacity_snapshot(
        &self,
        reference: &ClusterRef,
    ) -> Result<Option<CapacitySnapshot>, Error> {
        let Some(cluster) = self.table.cluster(reference).await? else { return Ok(None) };
        let ceiling = if cluster.is_deleting() { u32::MAX } else { cluster.scale.ceiling() };
        let depth = limits::MAX_NODES_PER_CLUSTER as usize;
        let queue = self.table.startable(reference, ceiling, depth).await?;
        let queued = queue.into_iter().map(|entry| entry.node_count).collect();
        let nodes = self.table.nodes(reference).await?;
        let strays = match nodes.is_empty() {
            true => self.running_machines(reference).await?,
            false => Vec::new(),
        };
        let quota_left = self.nodes_left(&cluster.charge()).await?;
        let blocked = provided::cluster_problem(&cluster.spec).is_some();
        Ok(Some(CapacitySnapshot { cluster, blocked, nodes, queued, quota_left, strays }))
    }

    /// Asked for only when no node is recorded: a cluster with machines must not go to rest.
    async fn running_machines(&self, reference: &ClusterRef) -> Result<Vec<String>, Error> {
        let found = self.machines.find(reference).await?;
        Ok(found.into_iter().filter(|found| found.running).map(|found| found.instance).collect())
    }
}
