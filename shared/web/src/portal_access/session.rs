//! The session of a browser: a cookie, encrypted. The service stores nothing.

use crate::Web;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use model::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long a session lasts: a working day.
const SESSION_SECONDS: u64 = 12 * 3600;

/// Whom a session stands for.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Identity {
    /// Who has this token. When the token ends, so does the session.
    Token(String),
    /// The subject of an ID token.
    Person(String),
}

/// The content of a session's cookie.
#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) identity: Identity,
    expires_at: Timestamp,
}

/// A cookie of the portal. No script can read it.
#[derive(Clone, Copy)]
pub(super) struct Cookie {
    name: &'static str,
    path: &'static str,
    /// `Strict`: only requests of the portal's own pages have it. `Lax`: the return from another site has it too.
    same_site: &'static str,
    seconds: u64,
}

pub(super) const SESSION: Cookie = Cookie {
    name: "batchai_session",
    path: "/portal",
    same_site: "Strict",
    seconds: SESSION_SECONDS,
};

impl Cookie {
    /// Only for requests below `path`, for as long as a sign-in takes. The return from the issuer's site has it.
    pub(super) const fn of_sign_in(path: &'static str, seconds: u64) -> Self {
        Self { name: "batchai_sign_in", path, same_site: "Lax", seconds }
    }

    /// The header that stores a content in the browser.
    pub(super) fn set<T: Serialize>(
        self,
        web: &Web,
        headers: &HeaderMap,
        content: &T,
    ) -> Option<HeaderValue> {
        let text = serde_json::to_string(content).ok()?;
        let sealed = web.control.context.keys.seal_session(&text);
        self.header(web, headers, &sealed, self.seconds)
    }

    /// The header that removes it.
    pub(super) fn remove(self, web: &Web, headers: &HeaderMap) -> Option<HeaderValue> {
        self.header(web, headers, "", 0)
    }

    fn header(
        self,
        web: &Web,
        headers: &HeaderMap,
        value: &str,
        seconds: u64,
    ) -> Option<HeaderValue> {
        let Self { name, path, same_site, .. } = self;
        let is_secure = super::base_url(web, headers).starts_with("https://");
        let secure = if is_secure { "; Secure" } else { "" };
        let text = format!(
            "{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
        );
        HeaderValue::from_str(&text).ok()
    }

    /// The content that a browser sent, if this service wrote it.
    pub(super) fn read<T: DeserializeOwned>(self, web: &Web, headers: &HeaderMap) -> Option<T> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|text| text.split(';')).filter_map(|it| it.trim().split_once('='));
        pairs.find_map(|(name, value)| {
            let opened =
                (name == self.name).then(|| web.control.context.keys.open_session(value))??;
            serde_json::from_str(&opened).ok()
        })
    }
}

/// The session of a request.
pub(super) fn of_request(web: &Web, headers: &HeaderMap) -> Option<Session> {
    let session: Session = SESSION.read(web, headers)?;
    (web.control.context.now() < session.expires_at).then_some(session)
}

/// Begins a session, which goes on to a page of the portal.
pub(super) fn signed_in(web: &Web, headers: &HeaderMap, identity: Identity, to: &str) -> Response {
    let expires_at = web.control.context.now().plus_seconds(SESSION_SECONDS);
    let Some(cookie) = SESSION.set(web, headers, &Session { identity, expires_at }) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // A page of this site, and not a redirection: to a browser that came here from another site, a redirection would be a
    // request of that site, which has no cookie.
    ([(SET_COOKIE, cookie)], Html(portal::entrance(to))).into_response()
}
