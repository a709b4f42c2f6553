//! The place of a job in the queue, and what it waits for there.

use crate::{JobRef, SweepKey, SweepLimit, Timestamp};
use serde::{Deserialize, Serialize};

/// What a queued job waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The kind of obstacle.
    pub reason: WaitingReason,
    /// Names the obstacle and says what to do.
    pub message: String,
    /// Since when the job waits for this.
    pub since: Timestamp,
}

/// The kind of obstacle that a queued job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingReason {
    /// The cluster's specification is not supported, so it never has nodes.
    Cluster,
    /// A setting of the cluster that the user can change.
    Setting,
    /// Other jobs of its sweep, which runs no more of them at a time.
    Sweep,
    /// Nodes that quota or cloud do not provide at the moment.
    Capacity,
    /// Nodes that cannot run jobs have the place of those that could.
    Unusable,
    /// Nodes that are busy or in preparation.
    Nodes,
}

impl WaitingReason {
    /// The code in responses.
    pub fn code(self) -> &'static str {
        match self {
            Self::Cluster => "WaitsForCluster",
            Self::Setting => "WaitsForSetting",
            Self::Sweep => "WaitsForSweep",
            Self::Capacity => "WaitsForCapacity",
            Self::Unusable => "WaitsForUsableNodes",
            Self::Nodes => "WaitsForNodes",
        }
    }
}

/// The place of a job in the queue of its cluster, with everything that dispatch needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueEntry {
    /// The job.
    pub job: JobRef,
    /// Rank of its priority: lower comes first.
    pub rank: u8,
    /// When it was submitted: earlier comes first within a rank.
    pub submitted_at: Timestamp,
    /// Number of nodes that it needs.
    pub node_count: u32,
    /// Longest run time of an attempt, in seconds.
    pub max_wall_clock_seconds: u64,
    /// The limit of its sweep, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepLimit>,
}

impl QueueEntry {
    /// The sweep that limits it.
    pub fn sweep_key(&self) -> Option<SweepKey> {
        let name = self.sweep.as_ref()?.name.clone();
        Some(SweepKey { experiment: self.job.experiment.clone(), name })
    }
}
