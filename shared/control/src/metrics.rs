//! Metrics of the service. Each is a trace event with the target [`TARGET`] and the fields `name`, `unit`,
//! `value` and, for some, `pool`. Functions on AWS write them in CloudWatch's embedded metric format;
//! `batchai local` ignores them.

use lifecycle::Event;
use model::{LaunchRequest, LeaveReason, Pool, PoolRefusal, VmPriority};

/// The target of the events.
pub const TARGET: &str = "metric";

/// All metrics, in the order of the alphabet. Dashboard and alarms of the stack name them.
pub const NAMES: [&str; 8] = [
    "DispatchLatency",
    "HeartbeatsMissed",
    "Interruptions",
    "LaunchFailures",
    "LeakedInstances",
    "MassSilence",
    "QueueDepth",
    "Requeues",
];

macro_rules! record {
    ($name:literal, $unit:literal, $value:expr $(, pool = $pool:expr)?) => {
        tracing::trace!(target: TARGET, name = $name, unit = $unit, value = $value as u64 $(, pool = $pool)?)
    };
}

/// The metrics of what a commit did.
pub(crate) fn event(event: &Event) {
    match event {
        // From submission, or from the end of the former attempt, to the assignment to nodes.
        Event::JobStarted { waited, .. } => record!("DispatchLatency", "Milliseconds", *waited),
        Event::JobEnded { state: "queued", .. } => record!("Requeues", "Count", 1),
        Event::NodeLeaving { reason: LeaveReason::Interrupted, .. } => {
            record!("Interruptions", "Count", 1);
        }
        Event::JobEnded { .. }
        | Event::NodeLeaving { .. }
        | Event::AttemptEnding { .. }
        | Event::MemberEnded { .. }
        | Event::Launching { .. }
        | Event::NodeIdle { .. }
        | Event::NodeFailed { .. }
        | Event::RebalanceRecommended { .. }
        | Event::NodeRemoved { .. }
        | Event::ClusterDeleted { .. } => {}
    }
}

/// Number of jobs in the queue of a cluster.
pub(crate) fn queue_depth(jobs: usize) {
    record!("QueueDepth", "Count", jobs);
}

/// Number of nodes of a cluster that have not reported in time.
pub(crate) fn heartbeats_missed(nodes: usize) {
    if nodes > 0 {
        record!("HeartbeatsMissed", "Count", nodes);
    }
}

/// So many nodes of a cluster are silent that our own outage is likelier than theirs.
pub(crate) fn mass_silence(nodes: usize) {
    record!("MassSilence", "Count", nodes);
}

/// An instance without a node or cluster was found.
pub(crate) fn leaked_instance() {
    record!("LeakedInstances", "Count", 1);
}

/// A launch was refused in whole or in part: by these pools, or, where none is named, as a whole.
pub(crate) fn launch_failures(request: &LaunchRequest, pools: &[PoolRefusal]) {
    let launch_failure = |pool: String| record!("LaunchFailures", "Count", 1, pool = pool.as_str());
    for PoolRefusal { pool, .. } in pools {
        let Pool { vm_size, subnet, priority } = pool;
        launch_failure(format!("{} {vm_size} {subnet}", market(*priority)));
    }
    if pools.is_empty() {
        launch_failure(format!("{} {}", market(request.priority), request.vm_size));
    }
}

fn market(priority: VmPriority) -> &'static str {
    match priority {
        VmPriority::Dedicated => "on-demand",
        VmPriority::LowPriority => "spot",
    }
}
