//! Responses: common headers (docs/contract.md, "REST conventions") and error bodies. Internal errors
//! are logged here and nowhere else.

use crate::Failure;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use control::{ApiErrorKind, Error};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, PRAGMA, WWW_AUTHENTICATE,
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use std::any::Any;
use wire::ErrorBody;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const ARM_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
/// The version of the service, in every response. `batchai doctor` compares it with its own.
const VERSION: HeaderName = HeaderName::from_static("x-batchai-version");

/// A response with a JSON body.
pub(crate) fn json<T: Serialize>(status: StatusCode, headers: HeaderMap, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => {
            let mut response = (status, headers, bytes).into_response();
            response.headers_mut().insert(CONTENT_TYPE, JSON);
            response
        }
        Err(failure) => error(failure.into()),
    }
}

/// The response of a handler, or that of its failure.
pub fn respond(outcome: Result<Response, impl Into<Failure>>) -> Response {
    outcome.unwrap_or_else(of_failure)
}

pub(crate) fn of_failure(failure: impl Into<Failure>) -> Response {
    let failure = failure.into();
    let message = failure.to_string();
    let body = |code| ErrorBody::new(code, message);
    match failure {
        Failure::Control(failure) => error(failure),
        Failure::Unauthenticated(_) => {
            let headers = header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            json(StatusCode::UNAUTHORIZED, headers, &body("AuthenticationFailed"))
        }
        Failure::MethodNotAllowed { allowed, .. } => {
            let allowed = HeaderValue::from_str(&allowed.join(", "));
            let headers = allowed.map(|it| header(ALLOW, it)).unwrap_or_default();
            json(StatusCode::METHOD_NOT_ALLOWED, headers, &body("MethodNotAllowed"))
        }
        Failure::BodyTooLarge => {
            json(StatusCode::PAYLOAD_TOO_LARGE, HeaderMap::new(), &body("RequestTooLarge"))
        }
    }
}

fn header(name: HeaderName, value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value)])
}

fn error(failure: Error) -> Response {
    match failure {
        Error::Api(error) => json(status_of(error.kind), HeaderMap::new(), &error.body),
        internal_error => match storage_failure(&internal_error) {
            Some((status, body)) => {
                log(&internal_error);
                json(status, HeaderMap::new(), &body)
            }
            None => internal(&internal_error),
        },
    }
}

fn status_of(kind: ApiErrorKind) -> StatusCode {
    match kind {
        ApiErrorKind::Invalid => StatusCode::BAD_REQUEST,
        ApiErrorKind::Denied => StatusCode::FORBIDDEN,
        ApiErrorKind::NotFound => StatusCode::NOT_FOUND,
        ApiErrorKind::Conflict => StatusCode::CONFLICT,
        ApiErrorKind::Gone => StatusCode::GONE,
    }
}

/// Failures of storage that the caller can act on have a status and a message of their own.
fn storage_failure(failure: &Error) -> Option<(StatusCode, ErrorBody)> {
    const BUSY: (StatusCode, &str, &str) =
        (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", "The service is busy; retry in a moment");
    let (status, code, message) = match failure {
        Error::Busy | Error::Stale(_) => BUSY,
        Error::Table(table) => table_failure(table, BUSY)?,
        Error::Io(error) => disk_failure(error)?,
        Error::Api(_) | Error::Port(_) | Error::Json(_) | Error::Sealed | Error::NotProvided(_) => {
            return None;
        }
    };
    Some((status, ErrorBody::new(code, message)))
}

/// Status, code and message.
type StorageFailure = (StatusCode, &'static str, &'static str);

/// Of the disk of a file server.
fn disk_failure(failure: &std::io::Error) -> Option<StorageFailure> {
    use std::io::ErrorKind;
    let is_full = matches!(failure.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    is_full.then_some((
        StatusCode::INSUFFICIENT_STORAGE,
        "StorageFull",
        "The disk of the file server is full; free some space and retry",
    ))
}

fn table_failure(failure: &table::Error, busy: StorageFailure) -> Option<StorageFailure> {
    Some(match failure {
        table::Error::TooLarge(_) => (
            StatusCode::BAD_REQUEST,
            "RequestTooLarge",
            "The resource is larger than the service can store",
        ),
        table::Error::StorageFull(_) => (
            StatusCode::INSUFFICIENT_STORAGE,
            "StorageFull",
            "The disk of the service is full; free some space and retry",
        ),
        table::Error::Throttled(_) | table::Error::Conflict { .. } => busy,
        table::Error::Invalid(_) | table::Error::Other(_) => return None,
    })
}

fn internal(failure: &Error) -> Response {
    log(failure);
    let body = ErrorBody::new(
        "InternalServerError",
        "Internal error; see the log of the service under the request id of this response",
    );
    json(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), &body)
}

fn log(failure: &Error) {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(failure);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    tracing::error!(error = %failure, causes = causes.join(": "), "a request failed");
}

pub(crate) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    tracing::error!("a request handler panicked");
    let body = ErrorBody::new("InternalServerError", "Internal error; see the log of the service");
    json(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), &body)
}

/// Adds the headers of every response, and the request id under which errors are logged.
pub(crate) async fn common_headers(request: Request, next: Next) -> Response {
    let id = request_id();
    let span =
        tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = tracing::Instrument::instrument(next.run(request), span).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(EXPIRES, HeaderValue::from_static("-1"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id.clone());
        headers.insert(ARM_REQUEST_ID, id);
    }
    response
}

/// A random UUID: several instances of a Lambda function share one log.
fn request_id() -> String {
    model::Uid::from_bytes(rand::random()).to_string()
}
