//! Who looks at the portal: a link is exchanged for a session, a session stands for a token.
//!
//! A session is in the cookie of the browser alone, encrypted: the service stores nothing, and who signs in gains nothing
//! that the token did not allow. When the token ends, so does the session.

use crate::Web;
use axum::Router;
use axum::extract::{Query, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};
use http::{Method, StatusCode};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a link can be opened: long enough for a browser to start.
const LINK_SECONDS: u64 = 60;

/// Links that are open at a time. The oldest gives way to the next.
const MOST_LINKS: usize = 100;

/// How long a session lasts: a working day.
const SESSION_SECONDS: u64 = 12 * 3600;

const COOKIE_NAME: &str = "batchai_session";

/// The links that were issued and not opened yet. They live in memory for a minute, so that each can be opened once.
#[derive(Default)]
pub struct PortalLinks(Mutex<HashMap<String, (String, Timestamp)>>);

impl PortalLinks {
    /// The code of a link that stands for this token, and when it ends.
    pub(crate) fn issue(&self, token: &str, now: Timestamp) -> (String, Timestamp) {
        let code: String =
            rand::random::<[u8; 24]>().iter().map(|byte| format!("{byte:02x}")).collect();
        let expires_at = now.plus_seconds(LINK_SECONDS);
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, (_, end)| now < *end);
        if links.len() >= MOST_LINKS {
            let oldest = links.iter().min_by_key(|(_, (_, end))| *end);
            let oldest = oldest.map(|(code, _)| code.clone());
            oldest.map(|code| links.remove(&code));
        }
        links.insert(code.clone(), (token.to_owned(), expires_at));
        (code, expires_at)
    }

    /// The token of a link, which cannot be opened again.
    fn redeem(&self, code: &str, now: Timestamp) -> Option<String> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, expires_at) = links.remove(code)?;
        (now < expires_at).then_some(token)
    }
}

impl std::fmt::Debug for PortalLinks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PortalLinks")
    }
}

/// What the cookie of a browser has, encrypted.
#[derive(Serialize, Deserialize)]
struct Session {
    token: String,
    expires_at: Timestamp,
}

/// The routes of the portal. `api` is the API with its authentication.
pub(crate) fn routes(web: &Web, api: Router) -> Router {
    let pages = portal::pages(api)
        .layer(axum::middleware::from_fn_with_state(web.clone(), require_session));
    Router::new()
        .route("/portal/sign-in", get(sign_in))
        .route("/portal/sign-out", post(sign_out))
        .with_state(web.clone())
        .merge(portal::assets())
        .merge(pages)
}

#[derive(Deserialize)]
struct SignIn {
    #[serde(default)]
    code: String,
}

/// Exchanges a link for a session.
async fn sign_in(
    State(web): State<Web>,
    Query(SignIn { code }): Query<SignIn>,
    headers: HeaderMap,
) -> Response {
    let now = web.control.context.now();
    let token = web.portal_links.as_ref().and_then(|links| links.redeem(&code, now));
    let Some(token) = token else {
        return portal::signed_out("This link has been opened already, or is older than a minute.");
    };
    let session = Session { token, expires_at: now.plus_seconds(SESSION_SECONDS) };
    let Ok(session) = serde_json::to_string(&session) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let sealed = web.control.context.keys.seal_session(&session);
    let cookie = cookie(&web, &headers, &sealed, SESSION_SECONDS);
    // A page of this site, and not a redirection: to a browser that came here from another site, a redirection would be a
    // request of that site, which has no cookie.
    let page = Html(portal::entrance());
    ([(SET_COOKIE, cookie)], portal::with_headers(page.into_response())).into_response()
}

async fn sign_out(State(web): State<Web>, headers: HeaderMap) -> Response {
    if !is_own_origin(&web, &headers) {
        return foreign_origin();
    }
    let gone = cookie(&web, &headers, "", 0);
    ([(SET_COOKIE, gone)], Redirect::to("/portal/")).into_response()
}

/// Only requests of the portal itself have it (`SameSite=Strict`), and no script can read it.
fn cookie(web: &Web, headers: &HeaderMap, value: &str, seconds: u64) -> HeaderValue {
    let secure = if base_url(web, headers).starts_with("https://") { "; Secure" } else { "" };
    let text = format!(
        "{COOKIE_NAME}={value}; Path=/portal; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Replaces the cookie of a request by the token that it stands for.
async fn require_session(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    if !is_read && !is_own_origin(&web, request.headers()) {
        return foreign_origin();
    }
    let Some(session) = session_of(&web, request.headers()) else {
        return portal::signed_out("You are not signed in, or your session has ended.");
    };
    let Ok(authorization) = HeaderValue::from_str(&format!("Bearer {}", session.token)) else {
        return portal::signed_out("Your session cannot be read.");
    };
    request.headers_mut().insert(AUTHORIZATION, authorization);
    let response = next.run(request).await;
    match response.status() {
        StatusCode::UNAUTHORIZED => portal::signed_out("Your token has ended or was revoked."),
        _ => response,
    }
}

fn session_of(web: &Web, headers: &HeaderMap) -> Option<Session> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|text| text.split(';')).filter_map(|it| it.trim().split_once('='));
    let context = &web.control.context;
    pairs.find_map(|(name, value)| {
        let opened = (name == COOKIE_NAME).then(|| context.keys.open_session(value))??;
        let session: Session = serde_json::from_str(&opened).ok()?;
        (context.now() < session.expires_at).then_some(session)
    })
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
    crate::response::of_failure(control::Error::denied("ForeignOrigin", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(0).plus_seconds(seconds)
    }

    #[test]
    fn a_link_can_be_opened_once() {
        let links = PortalLinks::default();
        let (code, end) = links.issue("token", at(0));
        assert_eq!(end, at(LINK_SECONDS));
        assert_eq!(links.redeem("another", at(1)), None);
        assert_eq!(links.redeem(&code, at(1)).as_deref(), Some("token"));
        assert_eq!(links.redeem(&code, at(1)), None);
    }

    #[test]
    fn a_link_ends() {
        let links = PortalLinks::default();
        let (code, end) = links.issue("token", at(0));
        assert_eq!(links.redeem(&code, end), None);
    }

    #[test]
    fn links_that_nobody_opens_do_not_pile_up() {
        let links = PortalLinks::default();
        let codes: Vec<_> =
            (0..=MOST_LINKS as u64).map(|i| links.issue("t", at(i / 60)).0).collect();
        assert_eq!(links.0.lock().unwrap().len(), MOST_LINKS);
        assert_eq!(links.redeem(&codes[MOST_LINKS], at(2)).as_deref(), Some("t"));
        links.issue("t", at(600));
        assert_eq!(links.0.lock().unwrap().len(), 1);
    }
}
