//! Who may ask: the bearer token, and the host that the request was meant for.

use crate::{Failure, Web, answer};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use control::Error;
use control::keys::constant_time_eq;
use http::header::{AUTHORIZATION, HOST};
use model::Principal;

/// Loopback is not a boundary: any web page can send requests there. So the local service demands
/// a token, and that the request names a loopback host (a page that was resolved to loopback by
/// its own DNS names another).
pub struct Access {
    /// The service's own token, which may do everything.
    pub token: String,
    pub loopback_only: bool,
}

/// Whose token it is: the service's own, or one that it gave out.
async fn identify(web: &Web, token: Option<&str>) -> Result<Principal, Failure> {
    let given = token.ok_or(UNAUTHENTICATED)?;
    if constant_time_eq(&web.access.token, given) {
        return Ok(Principal::Service);
    }
    let principal = web.control.tokens.principal_of(given).await?;
    principal.map(Principal::Known).ok_or(UNAUTHENTICATED)
}

pub(crate) const UNAUTHENTICATED: Failure = Failure::Unauthenticated(
    "Authentication failed: send a token of the service in the header 'Authorization: Bearer TOKEN'",
);

pub(crate) fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Leaves with the request who asks.
pub(crate) async fn require_token(
    State(web): State<Web>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = bearer(&request).map(str::to_owned);
    match identify(&web, token.as_deref()).await {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(refused) => answer::refused(refused),
    }
}

/// Only the service's own token will do.
pub(crate) async fn require_service(request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(Principal::Service) => next.run(request).await,
        Some(Principal::Known(_)) | None => answer::refused(Error::denied(
            "AuthorizationFailed",
            "This takes the service's own token",
        )),
    }
}

pub(crate) async fn check_host(State(web): State<Web>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !web.access.loopback_only || is_loopback(host) {
        return next.run(request).await;
    }
    let message = format!(
        "This service answers on loopback addresses only, not as '{}'",
        host.escape_debug()
    );
    answer::refused(Error::denied("HostNotAllowed", message))
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for host in ["127.0.0.1:8470", "localhost", "LOCALHOST:1", "[::1]:80", "127.3.2.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.org", "example.org:8470", "127.0.0.1.example.org", "10.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
