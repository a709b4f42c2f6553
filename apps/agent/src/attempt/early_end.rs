//! Why an attempt ends before its command has ended by itself, and the outcome that follows.

use std::io;

use protocol::End;

use super::Outcome;
use crate::fault::{Fault, Owner};
use crate::problem::NotProvided;

/// Why the steps end early.
pub enum EarlyEnd {
    Over(Outcome),
    NotProvided(NotProvided),
}

impl From<Outcome> for EarlyEnd {
    fn from(outcome: Outcome) -> Self {
        EarlyEnd::Over(outcome)
    }
}

impl From<NotProvided> for EarlyEnd {
    fn from(error: NotProvided) -> Self {
        EarlyEnd::NotProvided(error)
    }
}

impl From<EarlyEnd> for Outcome {
    fn from(stop: EarlyEnd) -> Self {
        match stop {
            EarlyEnd::Over(outcome) => outcome,
            EarlyEnd::NotProvided(error) => error.into(),
        }
    }
}

impl From<NotProvided> for Outcome {
    fn from(error: NotProvided) -> Self {
        Outcome::Ended(match error.fault() {
            Fault::Job => End::NotProvided { problem: error.into() },
            Fault::Node | Fault::Disk => End::NodeFailed { problem: error.into() },
        })
    }
}

pub fn cannot_store(error: io::Error) -> NotProvided {
    NotProvided::storage("store the state of the attempt", Owner::Agent, "agent")(error)
}

pub fn not_started(reason: String, fault: Fault) -> NotProvided {
    NotProvided::Start { what: "job", reason, fault }
}

pub fn lost(reason: &str) -> Outcome {
    Outcome::Ended(End::Lost { reason: reason.to_owned() })
}
