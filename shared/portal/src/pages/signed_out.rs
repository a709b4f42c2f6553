//! For someone who has not signed in.

use crate::shell::Shell;
use askama::Template;
use axum::response::Response;
use http::StatusCode;

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOut<'a> {
    message: &'a str,
}

pub(crate) fn page(message: &str) -> Response {
    let mut response = Shell::new("Signed out").whole(&SignedOut { message });
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}
