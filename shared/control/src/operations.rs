//! Long-running operations, and the outcomes of requests that write.
//!
//! An operation that completes with the request that started it is not stored: its signed URL contains
//! its result. Only an operation that takes longer (the end of a running job, a deletion, the
//! provisioning of a file server) has a record, which expires a day after its last change.

use crate::{ApiError, ApiErrorKind, Context, Error};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lifecycle::jobs::Completion;
use model::{Operation, Timestamp, Uid};

/// The long-running operations of the service.
#[derive(Clone)]
pub struct Operations {
    context: Context,
}

/// A long-running operation that was started, or has already completed, and its URL.
#[derive(Clone, Debug)]
pub struct StartedOperation {
    /// The id of the operation.
    pub operation: Uid,
    /// The region of the workspace, which is part of the URLs of the operation.
    pub location: String,
    /// The signed result in the URLs of an operation that has already completed.
    pub completed: Option<String>,
}

/// The outcome of a PUT.
#[derive(Debug)]
pub enum PutOutcome<T> {
    /// The resource is being created.
    Accepted(StartedOperation),
    /// The resource exists already, exactly as requested.
    Unchanged(Box<T>),
}

impl Operations {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// One operation. `completed` is the signed result in its URL, if it has one.
    ///
    /// # Errors
    /// 404 when there is no such operation, or it has expired.
    pub async fn get(&self, id: &Uid, completed: Option<&str>) -> Result<Operation, Error> {
        let missing = || {
            let message = format!(
                "The specified operation {id} is not found; operations are kept for 24 hours"
            );
            ApiError::new(ApiErrorKind::NotFound, "OperationNotFound", message)
        };
        let found = match completed {
            Some(text) => self.read_completed(id, text),
            None => self.context.table.operation(id).await?,
        };
        // The table removes expired items, but not immediately.
        let now = self.context.now().epoch_seconds();
        Ok(found.filter(|it| now < it.expires_at).ok_or_else(missing)?)
    }

    fn read_completed(&self, id: &Uid, text: &str) -> Option<Operation> {
        let (body, signature) = text.split_once('.')?;
        if !self.context.keys.is_operation_signed(id, body, signature) {
            return None;
        }
        let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let (millis, resource) = body.split_once(' ')?;
        let at = Timestamp(millis.parse().ok()?);
        Some(Operation::started(id.clone(), resource.to_owned(), at).succeeded(at))
    }
}

/// An operation that completed with its request. `resource` is the operation key of its resource.
pub(crate) fn done(
    context: &Context,
    operation: Uid,
    location: &str,
    resource: &str,
) -> StartedOperation {
    let body = URL_SAFE_NO_PAD.encode(format!("{} {resource}", context.now().0));
    let signature = context.keys.sign_operation(&operation, &body);
    let completed = Some(format!("{body}.{signature}"));
    StartedOperation { operation, location: location.to_owned(), completed }
}

/// An operation that has a record and completes later.
pub(crate) fn stored(operation: Uid, location: &str) -> StartedOperation {
    StartedOperation { operation, location: location.to_owned(), completed: None }
}

/// Either of both, as a reaction returned it.
pub(crate) fn pending(
    context: &Context,
    pending: Completion,
    operation: Uid,
    location: &str,
    resource: &str,
) -> StartedOperation {
    match pending {
        Completion::Immediate => done(context, operation, location, resource),
        Completion::Operation(operation) => stored(operation, location),
    }
}
