//! The schedule, which EventBridge Scheduler is on AWS, at a shorter interval.

use crate::machines::ProcessMachines;
use control::files::MountedFiles;
use control::{Control, Function};
use model::Timestamp;
use sqlite::{SWEEP_ITEMS, Sqlite};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often expired items and leftover directories are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Visits all targets at every tick.
pub fn start(control: Control, tick: Duration) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for function in Function::ALL {
                let visited = control::schedule::visit(&control.context, function).await;
                if let Err(error) = visited {
                    let error = error.chain();
                    tracing::warn!(?function, error, "the schedule could not visit the targets");
                }
            }
        }
    })
}

/// Periodically removes expired items, uploads that nobody continued, and directories of nodes whose removal failed
/// before.
pub fn start_sweeping(
    storage: Arc<Sqlite>,
    machines: Arc<ProcessMachines>,
    files: MountedFiles,
    control: Control,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            machines.sweep().await;
            sweep(files.clone(), control.context.now()).await;
            loop {
                match storage.sweep(control.context.now()).await {
                    Ok(removed) if removed == SWEEP_ITEMS => {}
                    Ok(removed) => {
                        tracing::debug!(removed, "removed expired items");
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "could not remove expired items");
                        break;
                    }
                }
            }
        }
    })
}

async fn sweep(files: MountedFiles, now: Timestamp) {
    let swept = tokio::task::spawn_blocking(move || files.sweep(now)).await;
    if let Err(error) = swept.map_err(std::io::Error::from).flatten() {
        tracing::warn!(%error, "could not remove unfinished uploads");
    }
}
