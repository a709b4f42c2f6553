//! How answers look: common headers (docs/contract.md, "REST conventions"), error bodies, the one
//! place where a failure of ours is logged.

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

/// A JSON answer.
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

/// An answer, or what went wrong instead.
pub fn respond(outcome: Result<Response, impl Into<Failure>>) -> Response {
    outcome.unwrap_or_else(refused)
}

pub(crate) fn refused(failure: impl Into<Failure>) -> Response {
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
        Error::Api(told) => json(status_of(told.kind), HeaderMap::new(), &told.body),
        ours => match excuse(&ours) {
            Some((status, body)) => {
                log(&ours);
                json(status, HeaderMap::new(), &body)
            }
            None => internal(&ours),
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

/// Failures of storage that the caller can do something about are said plainly.
fn excuse(failure: &Error) -> Option<(StatusCode, ErrorBody)> {
    const BUSY: (StatusCode, &str, &str) = (
        StatusCode::SERVICE_UNAVAILABLE,
        "ServerBusy",
        "The service is busy; try again in a moment",
    );
    let (status, code, message) = match failure {
        Error::Busy | Error::Stale(_) => BUSY,
        Error::Table(table) => excuse_table(table, BUSY)?,
        Error::Api(_)
        | Error::Port(_)
        | Error::Io(_)
        | Error::Json(_)
        | Error::Sealed
        | Error::NotProvided(_) => return None,
    };
    Some((status, ErrorBody::new(code, message)))
}

type Excuse = (StatusCode, &'static str, &'static str);

fn excuse_table(failure: &table::Error, busy: Excuse) -> Option<Excuse> {
    Some(match failure {
        table::Error::TooLarge(_) => (
            StatusCode::BAD_REQUEST,
            "RequestTooLarge",
            "The resource is larger than the service can store",
        ),
        table::Error::StorageFull(_) => (
            StatusCode::INSUFFICIENT_STORAGE,
            "StorageFull",
            "There is no space left where the service keeps its data; free some and try again",
        ),
        table::Error::Throttled(_) | table::Error::Conflict { .. } => busy,
        table::Error::Invalid(_) | table::Error::Other(_) => return None,
    })
}

fn internal(failure: &Error) -> Response {
    log(failure);
    let body = ErrorBody::new(
        "InternalServerError",
        "The service failed; its log says more under the request id of this answer",
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
    let body = ErrorBody::new("InternalServerError", "The service failed; its log says more");
    json(StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), &body)
}

/// Headers that every answer has, and the request id under which failures are logged.
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
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id.clone());
        headers.insert(ARM_REQUEST_ID, id);
    }
    response
}

/// Random, so that no two containers answer with the same one.
fn request_id() -> String {
    model::Uid::from_bytes(rand::random()).to_string()
}
