//! Authentication: who sends a request, and the host that it names.

use crate::agent_access::AgentAccess;
use crate::{Failure, Web, response};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use control::Error;
use control::keys::constant_time_eq;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue};
use model::{Principal, Uid};
use sha2::{Digest, Sha256};

/// How requests are authenticated.
///
/// Loopback is not a security boundary: any web page can send requests to it. So the local service
/// requires a token, and a loopback name in `Host`: a page whose own domain resolves to loopback
/// (DNS rebinding) sends another name.
pub struct Access {
    /// How people prove who they are.
    pub people: PeopleAccess,
    /// Whether to refuse requests whose `Host` is not a loopback name or address.
    pub loopback_only: bool,
    /// How agents prove who they are.
    pub agents: AgentAccess,
}

/// How people prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeopleAccess {
    /// By bearer tokens.
    Tokens {
        /// The service's own token, which may do everything. Others are created with it.
        service: String,
    },
    /// The edge has verified the caller and added a [`VerifiedPerson`] to the extensions of the request.
    VerifiedPeople {
        /// The subject that may do everything.
        owner: String,
    },
}

impl PeopleAccess {
    /// The text that only the service itself, or its owner, can have been identified by.
    pub(crate) fn service(&self) -> &str {
        match self {
            Self::Tokens { service } => service,
            Self::VerifiedPeople { owner } => owner,
        }
    }
}

/// The subject of the identity token that came with a request, as the edge verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPerson(pub String);

impl VerifiedPerson {
    /// The id by which role assignments name this person: the subject if it is a UUID, else the first 16 bytes of
    /// its SHA-256 as one.
    pub fn id(&self) -> Uid {
        Uid::parse(&self.0).unwrap_or_else(|| {
            let digest = Sha256::digest(self.0.as_bytes());
            Uid::from_bytes(std::array::from_fn(|at| digest[at]))
        })
    }
}

/// The principal of a request: the service itself, or the one that a token was created for.
async fn identify(web: &Web, sender: &Sender) -> Result<Principal, Failure> {
    match &web.access.people {
        PeopleAccess::Tokens { service } => {
            let given = sender.token.as_deref().ok_or(UNAUTHENTICATED)?;
            if constant_time_eq(service, given) {
                return Ok(Principal::Service);
            }
            let principal = web.control.tokens.principal_of(given).await?;
            principal.map(Principal::Known).ok_or(UNAUTHENTICATED)
        }
        PeopleAccess::VerifiedPeople { owner } => {
            let person = sender.person.as_ref().ok_or(UNAUTHENTICATED)?;
            Ok(match person.0 == *owner {
                true => Principal::Service,
                false => Principal::Known(person.id()),
            })
        }
    }
}

/// What a request has about its sender.
struct Sender {
    token: Option<String>,
    person: Option<VerifiedPerson>,
}

pub(crate) const UNAUTHENTICATED: Failure = Failure::Unauthenticated(
    "Authentication failed: send a token of the service in the header 'Authorization: Bearer TOKEN'",
);

/// The caller as the service identified it: the id that role assignments name, or [`OWNER`]. In every
/// response to an authenticated request, because people cannot compute their id.
const PRINCIPAL: HeaderName = HeaderName::from_static("x-batchai-principal");

/// The value of [`PRINCIPAL`] for the service's own token and for the owner of a stack.
const OWNER: HeaderValue = HeaderValue::from_static("owner");

fn principal_header(principal: &Principal) -> Option<HeaderValue> {
    match principal {
        Principal::Service => Some(OWNER),
        Principal::Known(id) => HeaderValue::from_str(id.as_str()).ok(),
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Adds the [`Principal`] to the extensions of the request; refuses a request without a valid token.
pub(crate) async fn require_token(
    State(web): State<Web>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = bearer(request.headers()).map(str::to_owned);
    let sender = Sender { token, person: request.extensions().get().cloned() };
    match identify(&web, &sender).await {
        Ok(principal) => {
            let shown = principal_header(&principal);
            request.extensions_mut().insert(principal);
            let mut response = next.run(request).await;
            shown.map(|value| response.headers_mut().insert(PRINCIPAL, value));
            response
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
    fn every_subject_has_an_id() {
        let id = |subject: &str| VerifiedPerson(subject.to_owned()).id();
        let uuid = "0a9f1ff0-d5b5-41cb-8b15-6956d969ad41";
        assert_eq!(id(uuid).as_str(), uuid);
        assert_eq!(id("auth0|5f7c"), id("auth0|5f7c"));
        assert_ne!(id("auth0|5f7c"), id("auth0|5f7d"));
        assert!(Uid::parse(id("").as_str()).is_some());
    }

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
