//! The errors of a request that callers distinguish.

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, Url};
use serde::Deserialize;
use std::fmt;

/// The service answered with an error.
#[derive(Debug)]
pub struct ServiceError {
    /// 200 for an operation that failed after it was accepted.
    pub status: u16,
    pub code: String,
    pub message: String,
}

/// No connection to the service.
#[derive(Debug)]
pub struct Unreachable {
    pub endpoint: Url,
    /// What failed: the name, the connection, the certificate.
    pub cause: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorContent,
}

#[derive(Deserialize)]
pub(super) struct ErrorContent {
    code: String,
    message: String,
}

impl ServiceError {
    /// The error in an answer.
    pub(super) async fn of(answer: Response) -> Self {
        let status = answer.status().as_u16();
        // API Gateway says there, and not in the body, what is wrong with a token.
        let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|it| it.to_str().ok());
        let description = challenge.and_then(error_description).map(str::to_owned);
        let mut error = Self::read(status, &answer.text().await.unwrap_or_default());
        if let Some(description) = description {
            error.message = description;
        }
        error
    }

    fn read(status: u16, text: &str) -> Self {
        match serde_json::from_str::<ErrorBody>(text) {
            Ok(body) => Self::new(status, body.error),
            Err(_) => Self {
                status,
                code: format!("Http{status}"),
                message: match text.trim() {
                    "" => "The answer has no error message".to_owned(),
                    text => text.chars().take(500).collect(),
                },
            },
        }
    }

    pub(super) fn new(status: u16, content: ErrorContent) -> Self {
        Self { status, code: content.code, message: content.message }
    }
}

/// The description in a challenge (RFC 6750, section 3).
fn error_description(challenge: &str) -> Option<&str> {
    let (_, rest) = challenge.split_once("error_description=\"")?;
    rest.split_once('"').map(|(text, _)| text).filter(|text| !text.is_empty())
}

/// The innermost cause of an error.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

impl fmt::Display for ServiceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message.trim_end_matches('.'), self.code)
    }
}

impl std::error::Error for ServiceError {}

impl fmt::Display for Unreachable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoint = self.endpoint.as_str().trim_end_matches('/');
        write!(formatter, "cannot connect to {endpoint}: {}", self.cause)
    }
}

impl std::error::Error for Unreachable {}

pub fn is_not_found(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ServiceError>().is_some_and(|error| error.status == 404)
}

/// Whether the roles of the caller do not allow the request.
pub fn is_denied(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ServiceError>().is_some_and(|error| error.status == 403)
}

/// Whether a retry can succeed: the service is restarting, or the connection broke.
pub fn is_unreachable(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Unreachable>()
            || cause.downcast_ref::<reqwest::Error>().is_some_and(|error| !error.is_builder())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_message_and_code() {
        let body = r#"{"error":{"code":"JobNotFound","message":"The specified job a is not found","details":[]}}"#;
        insta::assert_snapshot!(ServiceError::read(404, body), @"The specified job a is not found (JobNotFound)");
        insta::assert_snapshot!(ServiceError::read(502, "Bad gateway\n"), @"Bad gateway (Http502)");
        insta::assert_snapshot!(ServiceError::read(500, ""), @"The answer has no error message (Http500)");
    }

    #[test]
    fn a_challenge_describes_what_is_wrong() {
        let challenge =
            r#"Bearer scope="" error="invalid_token" error_description="the token has expired""#;
        assert_eq!(error_description(challenge), Some("the token has expired"));
        assert_eq!(error_description("Bearer"), None);
    }
}
