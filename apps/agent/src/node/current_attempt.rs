//! The attempt on this node, and what is reported about it.

use protocol::{AttemptKey, AttemptReport, End, EndDetails, Progress};

use crate::attempt::Attempt;
use crate::plan::AttemptPhase;

pub struct CurrentAttempt {
    pub key: AttemptKey,
    pub state: AttemptState,
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

    pub fn needs_assignment(&self) -> bool {
        matches!(self.state, AttemptState::Live { needs_assignment: true, .. })
    }
}
