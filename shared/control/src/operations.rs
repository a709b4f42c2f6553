//! Long-running operations and what the API's writes answer.

use crate::{Control, Error};
use model::{Operation, Timestamp, Uid};

/// A long-running operation that was started (or is done already), and where to ask after it.
#[derive(Clone, Debug)]
pub struct Started {
    pub operation: Uid,
    /// The region of the workspace, which stands in the URLs of the operation.
    pub location: String,
    /// Whether it has ended already, so that nobody need wait before asking.
    pub is_done: bool,
}

/// What a PUT did.
#[derive(Debug)]
pub enum Put<T> {
    Accepted(Started),
    /// It was there already, just as asked for.
    Unchanged(Box<T>),
}

impl Control {
    pub async fn operation(&self, id: &Uid) -> Result<Operation, Error> {
        let missing = || {
            let message = format!(
                "The specified operation {id} is not found; operations can be asked after for 24 hours"
            );
            crate::ApiError::new(crate::Kind::NotFound, "OperationNotFound", message)
        };
        // The table forgets what has expired, but not at once.
        let found = self.table.operation(id).await?;
        let known = found.filter(|it| self.now().epoch_seconds() < it.expires_at);
        Ok(known.ok_or_else(missing)?)
    }
}

/// An operation that is over when it is answered.
pub(crate) fn done(id: Uid, resource: String, now: Timestamp) -> Operation {
    Operation::started(id, resource, now).succeeded(now)
}
