//! The attempt on this node, and what is reported about it.

use std::sync::Arc;

use protocol::{AttemptKey, AttemptReport, End, JobMetric, Progress};

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
    Ended(End),
}

impl CurrentAttempt {
    pub fn has_ended(&self) -> bool {
        matches!(self.state, AttemptState::Ended(_))
    }

    pub fn phase(&self) -> AttemptPhase {
        match self.state {
            AttemptState::Live { .. } => AttemptPhase::Live,
            AttemptState::Fenced { .. } => AttemptPhase::Fenced,
            AttemptState::Ended(_) => AttemptPhase::Ended,
        }
    }

    pub fn report(&self) -> AttemptReport {
        let progress = match &self.state {
            AttemptState::Live { progress, .. } | AttemptState::Fenced { progress } => {
                progress.clone()
            }
            AttemptState::Ended(end) => Progress::Ended { end: end.clone() },
        };
        let needs_assignment = self.needs_assignment();
        AttemptReport { key: self.key.clone(), progress, needs_assignment }
    }

    /// All metrics with the end of the attempt, so that the last values are not lost; before it those that are new.
    pub fn metrics(&self) -> Vec<JobMetric> {
        match &self.state {
            AttemptState::Live { .. } => self.metrics.unacknowledged(),
            AttemptState::Fenced { .. } => Vec::new(),
            AttemptState::Ended(_) => self.metrics.all(),
        }
    }

    pub fn needs_assignment(&self) -> bool {
        matches!(self.state, AttemptState::Live { needs_assignment: true, .. })
    }
}
