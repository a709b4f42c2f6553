//! Long-running operations (docs/contract.md, "Long-running operations"). The names of the two URLs
//! seem swapped, but the Batch AI service sent them so.

use super::Call;
use crate::response;
use axum::response::{IntoResponse, Response};
use control::Error;
use control::operations::StartedOperation;
use http::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use model::{Operation, OperationState, limits};

/// The query parameter with the result of an operation that completed with its request (see
/// `control::operations`).
const COMPLETED: &str = "completed";

const ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");

impl Call<'_> {
    /// 202 with both URLs. They are absolute: the SDK ignores relative ones.
    pub(crate) fn accepted(&self, started: &StartedOperation) -> Result<Response, Error> {
        let subscription = self.route.subscription()?;
        let url = |kind: &str| {
            let StartedOperation { operation, location, completed } = started;
            let completed = completed.iter().map(|text| format!("&{COMPLETED}={text}"));
            let url = format!(
                "{}/subscriptions/{subscription}/providers/Microsoft.BatchAI/locations/{location}/{kind}/{operation}?api-version={}{}",
                self.base,
                wire::API_VERSION,
                completed.collect::<String>()
            );
            HeaderValue::from_str(&url)
        };
        let mut response = StatusCode::ACCEPTED.into_response();
        let headers = response.headers_mut();
        if let (Ok(results), Ok(statuses)) = (url("operationresults"), url("operationstatuses")) {
            headers.insert(ASYNC_OPERATION, results);
            headers.insert(LOCATION, statuses);
        }
        let done = started.completed.is_some();
        let seconds = if done { 0 } else { limits::RETRY_AFTER_SECONDS };
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        Ok(response)
    }

    /// 202 for a deletion that began, 204 when there was nothing to delete.
    pub(crate) fn deleted(&self, started: Option<StartedOperation>) -> Result<Response, Error> {
        match started {
            Some(started) => self.accepted(&started),
            None => self.no_content(),
        }
    }

    pub(crate) async fn operation(&self) -> Result<Operation, Error> {
        let id = self.route.operation_id()?;
        let given = self.query.iter().find(|(name, _)| name == COMPLETED);
        let completed = given.map(|(_, text)| text.as_str());
        self.web.control.operations.get(&id, completed).await
    }

    /// 200 in every state; the body has the status of the operation.
    pub(crate) async fn operation_result(&self) -> Result<Response, Error> {
        let operation = self.operation().await?;
        let url = format!("{}{}", self.base, self.path);
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_SECONDS));
        Ok(response::json(StatusCode::OK, headers, &wire::operation(&operation, &url)))
    }

    /// 202 while the operation is in progress, then 204. No recording has this response; it is our
    /// choice (docs/contract.md, "Long-running operations").
    pub(crate) async fn operation_status(&self) -> Result<Response, Error> {
        let operation = self.operation().await?;
        let status = match operation.state {
            OperationState::InProgress => StatusCode::ACCEPTED,
            OperationState::Succeeded { .. } | OperationState::Failed { .. } => {
                StatusCode::NO_CONTENT
            }
        };
        let retry = [(RETRY_AFTER, HeaderValue::from(limits::RETRY_AFTER_SECONDS))];
        Ok((status, retry).into_response())
    }
}
