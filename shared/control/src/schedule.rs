//! The schedule: sends a hint for every active target to every function that reconciles it. The
//! functions do the work, so no single invocation visits all targets.

use crate::{Context, Error, Function};
use model::{Target, Timestamp};
use std::collections::BTreeSet;

/// Sends one function a hint for every scheduled target that it reconciles. Returns their number.
///
/// # Errors
/// When the list cannot be read.
pub async fn visit(context: &Context, function: Function) -> Result<usize, Error> {
    let now = context.now();
    context.uptime.reachable_since(now);
    let targets = targets(context, function).await?;
    if let Err(error) = context.hints.send_all(function, &targets).await {
        tracing::warn!(?function, %error, "could not send all hints; the next visit repeats them");
    }
    Ok(targets.len())
}

/// The targets that the function reconciles now. Recovery also reconciles every cluster with
/// instances, whether it is dormant or no longer exists: its instances may be strays.
///
/// # Errors
/// When the list cannot be read.
pub async fn targets(context: &Context, function: Function) -> Result<Vec<Target>, Error> {
    let mut targets = context.table.scheduled_targets().await?;
    if function == Function::Recovery {
        match context.machines.clusters().await {
            Ok(clusters) => {
                let with_instances =
                    clusters.into_iter().map(|cluster| Target::Cluster { cluster });
                let listed: BTreeSet<_> = targets.iter().map(|it| it.uid().clone()).collect();
                targets.extend(with_instances.filter(|it| !listed.contains(it.uid())));
            }
            Err(error) => tracing::warn!(%error, "could not list the clusters with instances"),
        }
    }
    let now = context.now();
    targets.retain(|target| serves(function, target) && is_due(target, now));
    Ok(targets)
}

fn serves(function: Function, target: &Target) -> bool {
    (function == Function::Provisioner) == target.cluster().is_none()
}

fn is_due(target: &Target, now: Timestamp) -> bool {
    match target {
        Target::RemovedFileServer { not_before, .. } => now >= *not_before,
        Target::Cluster { .. }
        | Target::FileServer { .. }
        | Target::Experiment { .. }
        | Target::Workspace { .. }
        | Target::ResourceGroup { .. } => true,
    }
}
