//! The attempt on this node, and what is reported about it.

use std::sync::Arc;

use protocol::{AttemptKey, AttemptReport, End, EndDetails, JobMetric, Progress};

use crate::attempt::Attempt;
use crate::job_metrics::JobMetrics;
use crate::plan::AttemptPhase;

pub struct CurrentAttempt {
    pub key: AttemptKey,
    pub state: AttemptState,
    pub metrics: Arc<JobMetrics>,
}

pub enum AttemptState {
    Live {
        attempt: Attempt,
        progress: Progress,
        needs_assignment: bool,
    },
    /// Being killed because the control plane no longer knows it; reported as before until it has ended.
    Fenced {
        progress: Progress,
    },
    /// To be reported until it is acknowledged.
    Ended(End, Option<Box<EndDetails>>),
}

impl CurrentAttempt {
    pub fn has_ended(&self) -> bool {
        matches!(self.state, AttemptState::Ended(..))
    }

    pub fn phase(&self) -> AttemptPhase {
        match self.state {
            AttemptState::Live { .. } => AttemptPhase::Live,
            AttemptState::Fenced { .. } => AttemptPhase::Fenced,
            AttemptState::Ended(..) => AttemptPhase::Ended,
        }
    }

    pub fn report(&self) -> AttemptReport {
        let (progress, end_details) = match &self.state {
            AttemptState::Live { progress, .. } | AttemptState::Fenced { progress } => {
                (progress.clone(), None)
            }
            AttemptState::Ended(end, details) => {
                (Progress::Ended { end: end.clone() }, details.clone())
            }
        };
        let needs_assignment = self.needs_assignment();
        AttemptReport { key: self.key.clone(), progress, needs_assignment, end_details }
    }

    /// All metrics with the end of the attempt, so that the last values are not lost; before it those that are new.
    pub fn metrics(&self) -> Vec<JobMetric> {
        match &self.state {
            AttemptState::Live { .. } => self.metrics.unacknowledged(),
            AttemptState::Fenced { .. } => Vec::new(),
            AttemptState::Ended(..) => self.metrics.all(),
        }
    }

    pub fn needs_assignment(&self) -> bool {
        matches!(self.state, AttemptState::Live { needs_assignment: true, .. })
    }
}
