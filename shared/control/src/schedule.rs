//! The schedule: sends a hint for every active target to every function that reconciles it. The
//! functions do the work, so no single invocation visits all targets.

use crate::{Context, Error, Function};
use model::{Target, Timestamp};

/// Sends one function a hint for every scheduled target that it reconciles. Returns their number.
///
/// # Errors
/// When the list cannot be read.
pub async fn visit(context: &Context, function: Function) -> Result<usize, Error> {
    let now = context.now();
    context.uptime.reachable_since(now);
    let targets = context.table.scheduled_targets().await?;
    let served = targets.iter().filter(|target| serves(function, target) && is_due(target, now));
    let mut hinted = 0;
    for target in served {
        context.hint(function, target).await;
        hinted += 1;
    }
    Ok(hinted)
}

fn serves(function: Function, target: &Target) -> bool {
    match target {
        Target::Cluster { .. } => true,
        Target::FileServer { .. }
        | Target::RemovedFileServer { .. }
        | Target::Experiment { .. }
        | Target::Workspace { .. }
        | Target::ResourceGroup { .. } => function == Function::Recovery,
    }
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
