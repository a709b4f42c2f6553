//! For someone who has not signed in.

use crate::links::segment;
use crate::shell::Shell;
use askama::Template;
use axum::response::Response;
use http::StatusCode;

/// How a browser signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// With a link of `batchai portal`.
    Command,
    /// On the page of an issuer.
    Page,
    /// Not at all.
    Closed,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOut<'a> {
    message: &'a str,
    way: SignIn,
    /// Where the sign-in begins.
    begin: String,
}

pub(crate) fn page(message: &str, way: SignIn, page: Option<&str>) -> Response {
    let begin = match page {
        Some(page) => format!("/portal/sign-in?to={}", segment(page)),
        None => "/portal/sign-in".to_owned(),
    };
    let message = if way == SignIn::Closed { "This service has no portal." } else { message };
    let mut response = Shell::new("Signed out").whole(&SignedOut { message, way, begin });
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}
