//! The schedule: every target that is not dormant is visited by every function that serves it, by
//! way of hints, so that one invocation never walks all of them.

use crate::{Context, Error, Function};
use model::Target;

/// Hints one function at every scheduled target that it serves. Answers how many.
///
/// # Errors
/// When the list cannot be read.
pub async fn visit(context: &Context, function: Function) -> Result<usize, Error> {
    let now = context.now();
    context.uptime.reachable_since(now);
    let targets = context.table.scheduled_targets().await?;
    let served = targets.iter().filter(|target| serves(function, target));
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
        | Target::Experiment { .. }
        | Target::Workspace { .. }
        | Target::ResourceGroup { .. } => function == Function::Recovery,
    }
}
