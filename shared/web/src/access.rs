//! Who may ask: the bearer token, and the host that the request was meant for.

use crate::{Web, answer};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use control::keys::same;
use control::{ApiError, Kind};
use http::header::{AUTHORIZATION, HOST};

/// Loopback is not a boundary: any web page can send requests there. So the local service demands
/// its token, and that the request names a loopback host (a page that was resolved to loopback by
/// its own DNS names another).
pub struct Access {
    pub token: String,
    pub loopback_only: bool,
}

impl Access {
    fn admits(&self, request: &Request) -> bool {
        bearer(request).is_some_and(|given| same(&self.token, given))
    }
}

pub(crate) fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(crate) async fn require_token(
    State(web): State<Web>,
    request: Request,
    next: Next,
) -> Response {
    if web.access.admits(&request) {
        return next.run(request).await;
    }
    answer::error(
        ApiError::new(
            Kind::Unauthorized,
            "AuthenticationFailed",
            "Authentication failed: send the service's token in the header 'Authorization: Bearer TOKEN'",
        )
        .into(),
    )
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
    answer::error(control::Error::forbidden("HostNotAllowed", message))
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
