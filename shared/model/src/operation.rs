//! Long-running operations, as clients poll them.

use crate::{ResourceError, Timestamp, Uid};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    pub id: Uid,
    /// Internal key of the resource, joined with `$` (`properties.resourceId` of the contract).
    pub resource: String,
    pub started_at: Timestamp,
    /// Seconds since 1970; the table's time to live.
    pub expires_at: i64,
    pub state: OperationState,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum OperationState {
    InProgress,
    Succeeded { ended_at: Timestamp },
    Failed { ended_at: Timestamp, error: ResourceError },
}

impl Operation {
    pub fn started(id: Uid, resource: String, now: Timestamp) -> Self {
        let expires_at = now.plus_seconds(crate::limits::OPERATION_SECONDS).epoch_seconds();
        Self { id, resource, started_at: now, expires_at, state: OperationState::InProgress }
    }

    pub fn succeeded(self, now: Timestamp) -> Self {
        self.ended(OperationState::Succeeded { ended_at: now }, now)
    }

    pub fn failed(self, error: ResourceError, now: Timestamp) -> Self {
        self.ended(OperationState::Failed { ended_at: now, error }, now)
    }

    fn ended(mut self, state: OperationState, now: Timestamp) -> Self {
        self.state = state;
        self.expires_at = now.plus_seconds(crate::limits::OPERATION_SECONDS).epoch_seconds();
        self
    }
}
