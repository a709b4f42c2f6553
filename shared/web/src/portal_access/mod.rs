//! Who looks at the portal: a browser signs in with a link or at an issuer, and has a session from then on.
//!
//! A session is in the cookie of the browser alone, encrypted: the service stores nothing, and who signs in gains nothing
//! that the token or the roles did not allow.

mod issuer;
mod links;
mod session;

pub use issuer::PortalIssuer;
pub use links::PortalLinks;

use crate::{OutputFiles, PeopleAccess, VerifiedPerson, Web, response};
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};
use http::{Method, StatusCode};
use issuer::SigningIn;
use session::{Identity, SESSION};
use std::sync::Arc;

/// How browsers sign in to the portal.
#[derive(Clone)]
pub enum PortalSignIn {
    /// With links that stand for tokens of the service.
    Links(Arc<PortalLinks>),
    /// At the issuer whose tokens the edge verifies.
    Issuer(Arc<PortalIssuer>),
    /// The portal is closed.
    Closed,
}

impl PortalSignIn {
    fn way(&self) -> portal::SignIn {
        match self {
            Self::Links(_) => portal::SignIn::Command,
            Self::Issuer(_) => portal::SignIn::Page,
            Self::Closed => portal::SignIn::Closed,
        }
    }
}

/// The routes of the portal. `api` is the API with its authentication.
pub(crate) fn routes(web: &Web, api: Router) -> Router {
    let pages = portal::pages(api)
        .layer(axum::middleware::from_fn_with_state(web.clone(), require_session));
    let files = match &web.files {
        OutputFiles::Here(_) => None,
        OutputFiles::At { url } => Some(url.as_str()),
    };
    let policy = portal::Policy::new(files);
    Router::new()
        .route("/portal/sign-in", get(sign_in))
        .route("/portal/sign-in/callback", get(returned))
        .route("/portal/sign-out", post(sign_out))
        .with_state(web.clone())
        .merge(portal::assets())
        .merge(pages)
        .layer(axum::middleware::map_response(move |response| {
            std::future::ready(policy.add_to(response))
        }))
}

impl Web {
    /// The page of who has no session.
    fn signed_out(&self, message: &str) -> Response {
        portal::signed_out(message, self.portal.way(), None)
    }
}

async fn sign_in(
    State(web): State<Web>,
    link: Result<Query<links::Link>, QueryRejection>,
    page: Result<Query<issuer::Begin>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    match (&web.portal, link, page) {
        (PortalSignIn::Links(links), Ok(Query(link)), _) => {
            links::open(&web, links, link, &headers)
        }
        (PortalSignIn::Issuer(issuer), _, Ok(Query(page))) => {
            SigningIn { web: &web, issuer, headers: &headers }.begin(page).await
        }
        _ => web.signed_out("This is no link of the portal."),
    }
}

/// The issuer has sent the browser back.
async fn returned(
    State(web): State<Web>,
    query: Result<Query<issuer::Returned>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    match (&web.portal, query) {
        (PortalSignIn::Issuer(issuer), Ok(Query(query))) => {
            SigningIn { web: &web, issuer, headers: &headers }.complete(query).await
        }
        _ => web.signed_out("This is no link of the portal."),
    }
}

async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Response {
    if !is_own_origin(&web, &headers) {
        return foreign_origin();
    }
    let mut response = Redirect::to(portal::HOME).into_response();
    let gone = SESSION.remove(&web, &headers);
    gone.map(|header| response.headers_mut().insert(SET_COOKIE, header));
    response
}

/// Replaces the cookie of a request by what it stands for.
async fn require_session(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if !is_read && !is_own_origin(&web, request.headers()) {
        return foreign_origin();
    }
    let page = request.uri().path_and_query().map(ToString::to_string);
    let signed_out = |message| portal::signed_out(message, web.portal.way(), page.as_deref());
    let Some(session) = session::of_request(&web, request.headers()) else {
        return signed_out("You are not signed in, or your session has ended.");
    };
    request.headers_mut().remove(AUTHORIZATION);
    match (session.identity, &web.access.people) {
        (Identity::Token(token), PeopleAccess::Tokens { .. }) => {
            let Ok(authorization) = HeaderValue::from_str(&format!("Bearer {token}")) else {
                return signed_out("Your session cannot be read.");
            };
            request.headers_mut().insert(AUTHORIZATION, authorization);
        }
        (Identity::Person(subject), PeopleAccess::VerifiedPeople { .. }) => {
            request.extensions_mut().insert(VerifiedPerson(subject));
        }
        (Identity::Token(_) | Identity::Person(_), _) => {
            return signed_out("Your session is of another kind of sign-in.");
        }
    }
    let response = next.run(request).await;
    match response.status() {
        StatusCode::UNAUTHORIZED => signed_out("Your token has ended or was revoked."),
        _ => response,
    }
}

fn base_url(web: &Web, headers: &HeaderMap) -> String {
    crate::arm::base_url(headers, web.behind_proxy)
}

/// Whether a change comes from a page of this service. Another port of this machine is another origin, but the same site,
/// so the cookie alone does not tell.
fn is_own_origin(web: &Web, headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    headers.contains_key(HOST) && origin == Some(base_url(web, headers).as_str())
}

fn foreign_origin() -> Response {
    let message = "A change of the portal must come from a page of the portal";
    response::of_failure(control::Error::denied("ForeignOrigin", message))
}
