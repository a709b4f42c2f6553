//! Long-running operations, as clients poll them.

use crate::{ResourceError, Timestamp, Uid};
use serde::{Deserialize, Serialize};

/// A long-running operation of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id, part of the polling URL.
    pub id: Uid,
    /// Internal key of the resource, its names joined with `$` (`properties.resourceId` of the
    /// API).
    pub resource: String,
    /// When the request was accepted.
    pub started_at: Timestamp,
    /// When the record expires, in seconds since 1970 (the table's time to live).
    pub expires_at: i64,
    /// Its state.
    pub state: OperationState,
}

/// The state of a long-running operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum OperationState {
    /// Not complete.
    InProgress,
    /// Complete.
    Succeeded {
        /// When it completed.
        ended_at: Timestamp,
    },
    /// Failed.
    Failed {
        /// When it failed.
        ended_at: Timestamp,
        /// Why it failed.
        error: ResourceError,
    },
}

impl Operation {
    /// An operation in progress. It expires
    /// [`limits::OPERATION_SECONDS`](crate::limits::OPERATION_SECONDS) after `now`.
    pub fn started(id: Uid, resource: String, now: Timestamp) -> Self {
        let expires_at = now.plus_seconds(crate::limits::OPERATION_SECONDS).epoch_seconds();
        Self { id, resource, started_at: now, expires_at, state: OperationState::InProgress }
    }

    /// The operation, succeeded at this time. Its expiry counts from here.
    pub fn succeeded(self, now: Timestamp) -> Self {
        self.ended(OperationState::Succeeded { ended_at: now }, now)
    }

    /// The operation, failed at this time. Its expiry counts from here.
    pub fn failed(self, error: ResourceError, now: Timestamp) -> Self {
        self.ended(OperationState::Failed { ended_at: now, error }, now)
    }

    fn ended(mut self, state: OperationState, now: Timestamp) -> Self {
        self.state = state;
        self.expires_at = now.plus_seconds(crate::limits::OPERATION_SECONDS).epoch_seconds();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(5_000);
    const LATER: Timestamp = Timestamp(65_000);

    fn started() -> Operation {
        Operation::started(Uid::from_bytes([1; 16]), "s$g$w".into(), NOW)
    }

    /// A record expires a day after its start, or after its end once it has ended.
    #[test]
    fn an_operation_expires_a_day_after_it_ended() {
        assert_eq!(started().state, OperationState::InProgress);
        assert_eq!((started().expires_at, started().started_at), (86_405, NOW));
        let succeeded = started().succeeded(LATER);
        assert_eq!(succeeded.state, OperationState::Succeeded { ended_at: LATER });
        assert_eq!((succeeded.expires_at, succeeded.started_at), (86_465, NOW));
        assert_eq!((succeeded.id, succeeded.resource), (started().id, started().resource));
        let error = ResourceError::new("C", "m");
        let failed = started().failed(error.clone(), LATER);
        assert_eq!(failed.state, OperationState::Failed { ended_at: LATER, error });
        assert_eq!(failed.expires_at, 86_465);
    }
}
