//! Authentication: the bearer token of a request, and the host that it names.

use crate::agent_access::AgentAccess;
use crate::{Failure, Web, response};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use control::Error;
use control::keys::constant_time_eq;
use http::header::{AUTHORIZATION, HOST};
use model::Principal;

/// How requests are authenticated.
///
/// Loopback is not a security boundary: any web page can send requests to it. So the local service
/// requires a token, and a loopback name in `Host`: a page whose own domain resolves to loopback
/// (DNS rebinding) sends another name.
pub struct Access {
    /// The service's own token, which may do everything.
    pub token: String,
    /// Whether to refuse requests whose `Host` is not a loopback name or address.
    pub loopback_only: bool,
    /// How agents prove who they are.
    pub agents: AgentAccess,
}

/// The principal of a token: the service itself, or the one that the token was created for.
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

/// Adds the [`Principal`] to the extensions of the request; refuses a request without a valid token.
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
        Err(failure) => response::of_failure(failure),
    }
}

/// Refuses every principal but the service itself.
pub(crate) async fn require_service(request: Request, next: Next) -> Response {
    match request.extensions().get::<Principal>() {
        Some(Principal::Service) => next.run(request).await,
        Some(Principal::Known(_)) | None => response::of_failure(Error::denied(
            "AuthorizationFailed",
            "This operation requires the service's own token",
        )),
    }
}

pub(crate) async fn check_host(State(web): State<Web>, request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !web.access.loopback_only || is_loopback(host) {
        return next.run(request).await;
    }
    let message = format!(
        "This service accepts requests to loopback addresses only, not to '{}'",
        host.escape_debug()
    );
    response::of_failure(Error::denied("HostNotAllowed", message))
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
