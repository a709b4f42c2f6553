//! Signing in at an OpenID Connect issuer, with the authorization code flow and PKCE: where the edge verifies the tokens of
//! people.
//!
//! Between the two requests of a sign-in its secrets are in a cookie of the browser, encrypted. So any instance of the
//! service can complete it, and another browser cannot.

use super::session::{Cookie, Identity, signed_in};
use crate::Web;
use axum::response::{IntoResponse, Redirect, Response};
use control::ports::SecretError;
use http::HeaderMap;
use http::header::SET_COOKIE;
use model::Timestamp;
use oidc::code::{self, Client, Secrets};
use oidc::{Http, Issuer, OauthError};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How long a person may take to sign in.
const SIGN_IN_SECONDS: u64 = 600;

/// How long the document of the issuer is kept.
const DOCUMENT_SECONDS: u64 = 3600;

/// Longer paths of pages are not returned to: a cookie has 4 KiB.
const LONGEST_PAGE: usize = 1000;

const CALLBACK: &str = "/portal/sign-in/callback";

const COOKIE: Cookie = Cookie::of_sign_in("/portal/sign-in", SIGN_IN_SECONDS);

/// The issuer, and this service as a client of it.
pub struct PortalIssuer {
    http: Arc<dyn Http>,
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    /// The document of the issuer, and when it was read.
    document: Mutex<Option<(Timestamp, Issuer)>>,
}

impl PortalIssuer {
    /// `issuer` is its URL, as its tokens name it. `client_secret` is the ARN of the secret of this client, for issuers that
    /// demand one.
    pub fn new(
        http: Arc<dyn Http>,
        issuer: String,
        client_id: String,
        client_secret: Option<String>,
    ) -> Self {
        Self { http, issuer, client_id, client_secret, document: Mutex::default() }
    }
}

/// What the browser keeps during a sign-in.
#[derive(Serialize, Deserialize)]
struct SignIn {
    secrets: Secrets,
    /// The page that it began at.
    to: String,
    sign_in_ends_at: Timestamp,
}

/// The query of the first request.
#[derive(Deserialize)]
pub(super) struct Begin {
    #[serde(default)]
    to: String,
}

/// The query with which the issuer sends the browser back (OpenID Connect Core 1.0, sections 3.1.2.5 and 3.1.2.6).
#[derive(Deserialize)]
pub(super) struct Returned {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    error: Option<String>,
    #[serde(default)]
    error_description: String,
}

/// A request of a browser that signs in.
pub(super) struct SigningIn<'a> {
    pub(super) web: &'a Web,
    pub(super) issuer: &'a PortalIssuer,
    pub(super) headers: &'a HeaderMap,
}

impl SigningIn<'_> {
    /// Sends the browser to the issuer.
    pub(super) async fn begin(&self, Begin { to }: Begin) -> Response {
        let document = match self.document().await {
            Ok(document) => document,
            Err(error) => return self.failed(&error),
        };
        let secrets = Secrets::of(rand::random());
        let redirect_uri = self.redirect_uri();
        let Some(url) = code::authorization_url(&document, self.client(&redirect_uri), &secrets)
        else {
            return self.web.signed_out("The issuer offers no sign-in for browsers.");
        };
        let sign_in_ends_at = self.web.control.context.now().plus_seconds(SIGN_IN_SECONDS);
        let to = own_page(&to).to_owned();
        match COOKIE.set(self.web, self.headers, &SignIn { secrets, to, sign_in_ends_at }) {
            Some(cookie) => ([(SET_COOKIE, cookie)], Redirect::to(url.as_str())).into_response(),
            None => self.web.signed_out("The sign-in cannot begin."),
        }
    }

    /// Exchanges the code that the browser brings for a session.
    pub(super) async fn complete(&self, returned: Returned) -> Response {
        let begun: Option<SignIn> = COOKIE.read(self.web, self.headers);
        let now = self.web.control.context.now();
        let is_current = |it: &SignIn| {
            now < it.sign_in_ends_at
                && control::keys::constant_time_eq(&it.secrets.state, &returned.state)
        };
        let Some(SignIn { secrets, to, .. }) = begun.filter(is_current) else {
            return self.web.signed_out(
                "This sign-in was not begun in this browser, has ended, or another one was begun after it.",
            );
        };
        if let Some(error) = returned.error {
            let refused = OauthError { error, error_description: returned.error_description };
            return self.web.signed_out(&format!("The issuer refused the sign-in: {refused}"));
        }
        match self.subject(&secrets, &returned.code).await {
            Ok(Ok(subject)) => {
                let person = Identity::Person(subject);
                let mut response = signed_in(self.web, self.headers, person, &to);
                let gone = COOKIE.remove(self.web, self.headers);
                gone.map(|header| response.headers_mut().append(SET_COOKIE, header));
                response
            }
            Ok(Err(message)) => self.web.signed_out(&message),
            Err(error) => self.failed(&error),
        }
    }

    /// The subject that the issuer names, or a message for the person.
    async fn subject(
        &self,
        secrets: &Secrets,
        given: &str,
    ) -> Result<Result<String, String>, Failure> {
        let document = self.document().await?;
        let redirect_uri = self.redirect_uri();
        let client = self.client(&redirect_uri);
        let secret = self.client_secret().await?;
        let token = code::exchange(&document, client, secret.as_deref(), given, secrets).await?;
        let token = match token {
            Ok(token) => token,
            Err(refused) => return Ok(Err(format!("The issuer refused the sign-in: {refused}"))),
        };
        let now = self.web.control.context.now().epoch_seconds();
        let subject = code::subject(&document, client, secrets, &token, now);
        Ok(subject.map_err(|problem| format!("The ID token cannot be used: {problem}.")))
    }

    /// The document of the issuer. Read by one request at a time, so that many sign-ins do not flood the issuer.
    async fn document(&self) -> Result<Issuer, Failure> {
        let now = self.web.control.context.now();
        let mut kept = self.issuer.document.lock().await;
        let is_fresh = |(at, _): &&(Timestamp, Issuer)| now < at.plus_seconds(DOCUMENT_SECONDS);
        if let Some((_, document)) = kept.as_ref().filter(is_fresh) {
            return Ok(document.clone());
        }
        let read = Issuer::discover(Arc::clone(&self.issuer.http), &self.issuer.issuer).await?;
        *kept = Some((now, read.clone()));
        Ok(read)
    }

    async fn client_secret(&self) -> Result<Option<String>, Failure> {
        let Some(reference) = &self.issuer.client_secret else { return Ok(None) };
        Ok(Some(self.web.control.context.secret_store.read(reference).await?))
    }

    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", super::base_url(self.web, self.headers))
    }

    fn client<'a>(&'a self, redirect_uri: &'a str) -> Client<'a> {
        Client { id: &self.issuer.client_id, redirect_uri }
    }

    /// What the operator has to look at is in the log, not in the browser.
    fn failed(&self, error: &Failure) -> Response {
        tracing::error!(error = error.to_string(), "the sign-in at the issuer failed");
        self.web.signed_out(
            "The sign-in at the issuer failed. Try again; if it fails again, the log of the service says why.",
        )
    }
}

/// Why no sign-in can be completed at present.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", chain(.0))]
    Issuer(#[from] oidc::Error),
    #[error("the secret of the client: {0}")]
    Secret(String),
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::Secret(match error {
            SecretError::Unreadable(error) => error.message,
            SecretError::Port(error) => chain(&error),
        })
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// The page to go to after signing in: one of the portal, whatever the request names.
fn own_page(path: &str) -> &str {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = path.starts_with("/portal/") && !path.starts_with("/portal/sign-");
    match is_plain && is_page && path.len() <= LONGEST_PAGE {
        true => path,
        false => portal::HOME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_ends_at_a_page_of_the_portal() {
        let page = "/portal/workspaces/s/g/w/experiments/e?state=failed&after=a%2Fb";
        assert_eq!(own_page(page), page);
        for other in [
            "",
            "/",
            "//evil.example/portal/",
            "/portal",
            "https://evil.example/portal/",
            "/portal/\\evil",
            "/portal/a\nb",
            "/portal/sign-in",
        ] {
            assert_eq!(own_page(other), portal::HOME, "{other}");
        }
        assert_eq!(own_page(&format!("/portal/{}", "x".repeat(LONGEST_PAGE))), portal::HOME);
    }
}
