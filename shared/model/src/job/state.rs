//! The state of a job.

use crate::{Attempt, ResourceError, Timestamp, Uid};
use serde::{Deserialize, Serialize};

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum JobState {
    /// It waits for nodes.
    Queued {
        /// When it was queued or requeued.
        since: Timestamp,
    },
    /// It has nodes.
    Running {
        /// The live attempt.
        attempt: Attempt,
    },
    /// It was asked to end while it was running.
    Terminating {
        /// When.
        since: Timestamp,
        /// The live attempt.
        attempt: Attempt,
        /// Id of the operation that completes with the end. A deletion has its operation in
        /// [`Job::deletion`].
        operation: Option<Uid>,
    },
    /// It succeeded.
    Succeeded {
        /// Start of the last attempt.
        started_at: Timestamp,
        /// End of the job.
        ended_at: Timestamp,
    },
    /// It failed.
    Failed {
        /// Start of the last attempt, or the end if there was none.
        started_at: Timestamp,
        /// End of the job.
        ended_at: Timestamp,
        /// Exit code of the command, if it has one.
        exit_code: Option<i32>,
        /// Why it failed.
        error: ResourceError,
    },
}

impl JobState {
    /// The name of the state (`executionState`).
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Terminating { .. } => "terminating",
            Self::Succeeded { .. } => "succeeded",
            Self::Failed { .. } => "failed",
        }
    }

    /// When the job entered this state (`executionStateTransitionTime`).
    pub fn since(&self) -> Timestamp {
        match self {
            Self::Queued { since } | Self::Terminating { since, .. } => *since,
            Self::Running { attempt } => attempt.started_at,
            Self::Succeeded { ended_at, .. } | Self::Failed { ended_at, .. } => *ended_at,
        }
    }

    /// Whether the job has ended.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Queued { .. } | Self::Running { .. } | Self::Terminating { .. } => false,
            Self::Succeeded { .. } | Self::Failed { .. } => true,
        }
    }

    /// The live attempt.
    pub fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Running { attempt } | Self::Terminating { attempt, .. } => Some(attempt),
            Self::Queued { .. } | Self::Succeeded { .. } | Self::Failed { .. } => None,
        }
    }

    pub(super) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Self::Running { attempt } | Self::Terminating { attempt, .. } => Some(attempt),
            Self::Queued { .. } | Self::Succeeded { .. } | Self::Failed { .. } => None,
        }
    }
}
