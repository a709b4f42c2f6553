//! Signing in with a link, which stands for a token: where the service gives tokens.

use super::session::{Identity, signed_in};
use crate::Web;
use axum::response::Response;
use http::HeaderMap;
use model::Timestamp;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How long a link can be opened: long enough for a browser to start.
const LINK_SECONDS: u64 = 60;

/// Links that are open at a time. The oldest gives way to the next.
const MOST_LINKS: usize = 100;

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

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    code: String,
}

/// Exchanges a link for a session.
pub(super) fn open(
    web: &Web,
    links: &PortalLinks,
    Link { code }: Link,
    headers: &HeaderMap,
) -> Response {
    match links.redeem(&code, web.control.context.now()) {
        Some(token) => signed_in(web, headers, Identity::Token(token), portal::HOME),
        None => web.signed_out("This link has been opened already, or is older than a minute."),
    }
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
