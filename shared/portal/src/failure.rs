//! What the API refused, as a page.

use crate::shell::Shell;
use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;

/// An error of the API.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The body of an error, as Azure Resource Manager has it.
#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    code: String,
    message: String,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    failure: &'a Failure,
}

impl Failure {
    pub(crate) fn of_answer(status: StatusCode, body: &[u8]) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(ErrorBody { error: ErrorDetail { code, message } }) => {
                Self { status, code, message }
            }
            Err(_) => Self {
                status,
                code: status.as_str().to_owned(),
                message: "The service gave no reason; see its log".to_owned(),
            },
        }
    }

    /// An answer that the portal does not understand.
    pub(crate) fn unreadable(path: &str) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "UnreadableAnswer".to_owned(),
            message: format!(
                "The portal cannot read the answer to {path}; see the log of the service"
            ),
        }
    }

    /// What somebody typed into a form.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "InvalidForm".to_owned(),
            message: message.into(),
        }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: "NotFound".to_owned(), message: message.into() }
    }

    /// A form that would be refused.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code: "AuthorizationFailed".to_owned(),
            message: message.into(),
        }
    }

    /// A role is missing, or the resource may not be seen.
    pub(crate) fn is_denied(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let shell = Shell::new(match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Not allowed",
            _ => "Not possible",
        });
        let mut response = shell.whole(&FailurePage { failure: &self });
        *response.status_mut() = self.status;
        response
    }
}
