//! The attempt that is on the node, as the node sees it.

use protocol::{AttemptKey, AttemptReport, End, Progress};

use crate::attempt::Attempt;
use crate::plan::Standing;

/// The attempt that is on this node.
pub struct Present {
    pub key: AttemptKey,
    pub condition: Condition,
}

pub enum Condition {
    Live {
        attempt: Attempt,
        progress: Progress,
        needs_assignment: bool,
    },
    /// Killed without a report; still reported as it was, until it is gone.
    Fenced {
        progress: Progress,
    },
    /// To be reported until it is acknowledged.
    Ended(End),
}

impl Present {
    pub fn has_ended(&self) -> bool {
        matches!(self.condition, Condition::Ended(_))
    }

    pub fn standing(&self) -> Standing {
        match self.condition {
            Condition::Live { .. } => Standing::Live,
            Condition::Fenced { .. } => Standing::Fenced,
            Condition::Ended(_) => Standing::Ended,
        }
    }

    pub fn report(&self) -> AttemptReport {
        let progress = match &self.condition {
            Condition::Live { progress, .. } | Condition::Fenced { progress } => progress.clone(),
            Condition::Ended(end) => Progress::Ended { end: end.clone() },
        };
        let needs_assignment = self.needs_assignment();
        AttemptReport { key: self.key.clone(), progress, needs_assignment }
    }

    pub fn needs_assignment(&self) -> bool {
        matches!(self.condition, Condition::Live { needs_assignment: true, .. })
    }
}
