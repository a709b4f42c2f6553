//! OpenID Connect as a client: the discovery document of an issuer, requests to its endpoints, the claims of its tokens, and
//! the authorization code flow with PKCE.
//!
//! Requests go through the HTTP client of the program ([`Http`]): the command line and the functions have different ones.

#![warn(missing_docs)]

mod claims;
pub mod code;

pub use claims::{Audience, Claims};
pub use url::Url;

use async_trait::async_trait;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Longer descriptions of issuers are cut.
const DESCRIPTION_CHARACTERS: usize = 300;

/// Why no answer came.
pub type HttpError = Box<dyn std::error::Error + Send + Sync>;

/// Sends requests to an issuer. It follows no redirections and has a timeout.
#[async_trait]
pub trait Http: Send + Sync {
    /// Sends a request; returns the answer, whatever its status is.
    ///
    /// # Errors
    /// When no answer came, or not all of it. The error must not have the body of the request.
    async fn send(&self, request: Request<String>) -> Result<Response<String>, HttpError>;
}

/// Why an issuer gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Of a setting, or of the discovery document.
    #[error("{0:?} is not a URL")]
    NotAUrl(String, #[source] url::ParseError),
    /// Tokens must not travel unencrypted, except to this machine.
    #[error("{0} must be an https:// URL: tokens are sent there")]
    Unprotected(Url),
    /// The URL, and why.
    #[error("{0} is not the configuration of an issuer")]
    NoConfiguration(String, #[source] HttpError),
    /// The URL, and the issuer that its document names.
    #[error("{0} is the configuration of another issuer: {1}")]
    AnotherIssuer(String, String),
    /// The host, and why.
    #[error("the request to {0} failed")]
    Request(String, #[source] HttpError),
    /// Its text is not shown: it may have tokens.
    #[error("{0} did not answer with tokens")]
    NoTokens(Url),
    /// A status without an error of OAuth.
    #[error("{0} answered {1}")]
    Status(Url, StatusCode),
}

/// An issuer, as its discovery document describes it.
#[derive(Clone)]
pub struct Issuer {
    http: Arc<dyn Http>,
    /// What the document says.
    pub endpoints: Endpoints,
}

/// The endpoints of an issuer. Each of them is protected.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The issuer, as its tokens name it.
    pub issuer: String,
    /// Where a browser is sent to sign in.
    pub authorization: Option<Url>,
    /// Where tokens are given.
    pub token: Url,
    /// Where the device flow begins (RFC 8628).
    pub device_authorization: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation: Option<Url>,
    /// The scopes that it knows, if it says so.
    pub scopes_supported: Option<Vec<String>>,
}

/// The discovery document (OpenID Connect Discovery 1.0; RFC 8414).
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
}

impl TryFrom<Configuration> for Endpoints {
    type Error = Error;

    fn try_from(document: Configuration) -> Result<Self, Error> {
        let optional = |text: Option<String>| text.as_deref().map(protected).transpose();
        Ok(Self {
            issuer: document.issuer,
            authorization: optional(document.authorization_endpoint)?,
            token: protected(&document.token_endpoint)?,
            device_authorization: optional(document.device_authorization_endpoint)?,
            revocation: optional(document.revocation_endpoint)?,
            scopes_supported: document.scopes_supported,
        })
    }
}

/// An error that the issuer answered with (RFC 6749, section 5.2).
#[derive(Debug, Deserialize)]
pub struct OauthError {
    /// Its code.
    pub error: String,
    /// In words.
    #[serde(default)]
    pub error_description: String,
}

impl fmt::Display for OauthError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| -> String {
            text.chars().filter(|it| !it.is_control()).take(DESCRIPTION_CHARACTERS).collect()
        };
        match shown(&self.error_description) {
            text if text.is_empty() => formatter.write_str(&shown(&self.error)),
            text => write!(formatter, "{text} ({})", shown(&self.error)),
        }
    }
}

impl std::error::Error for OauthError {}

impl Issuer {
    /// Reads the discovery document of an issuer.
    ///
    /// # Errors
    /// When there is none, or it is that of another issuer, or an endpoint is not protected.
    pub async fn discover(http: Arc<dyn Http>, issuer: &str) -> Result<Self, Error> {
        protected(issuer)?;
        let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let unusable = |error: HttpError| Error::NoConfiguration(document.clone(), error);
        let request = Request::get(&document).header(ACCEPT, "application/json");
        let request = request.body(String::new()).map_err(|error| unusable(error.into()))?;
        let answer = http.send(request).await.map_err(unusable)?;
        if !answer.status().is_success() {
            return Err(unusable(format!("it answered {}", answer.status()).into()));
        }
        let read: Configuration =
            serde_json::from_str(answer.body()).map_err(|error| unusable(error.into()))?;
        if read.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(Error::AnotherIssuer(document, read.issuer));
        }
        Ok(Self { http, endpoints: read.try_into()? })
    }

    /// Sends a form. `Ok(Err(…))` is a refusal by the issuer.
    ///
    /// # Errors
    /// When the request failed, or the answer is neither what was asked for nor an error of OAuth.
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<Result<T, OauthError>, Error> {
        let answer = self.send(url, form).await?;
        if answer.status().is_success() {
            let read = serde_json::from_str(answer.body());
            return read.map(Ok).map_err(|_| Error::NoTokens(url.clone()));
        }
        match serde_json::from_str::<OauthError>(answer.body()) {
            Ok(refused) => Ok(Err(refused)),
            Err(_) => Err(Error::Status(url.clone(), answer.status())),
        }
    }

    /// Sends a form; returns whatever is answered.
    ///
    /// # Errors
    /// When the request failed.
    pub async fn send(&self, url: &Url, form: &[(&str, &str)]) -> Result<Response<String>, Error> {
        let host = || url.host_str().unwrap_or_default().to_owned();
        let failed = |error: HttpError| Error::Request(host(), error);
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(encoded(form))
            .map_err(|error| failed(error.into()))?;
        self.http.send(request).await.map_err(failed)
    }
}

fn encoded(form: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
}

fn protected(text: &str) -> Result<Url, Error> {
    let url = text.parse().map_err(|error| Error::NotAUrl(text.to_owned(), error))?;
    require_protected(&url)?;
    Ok(url)
}

/// Tokens must not travel unencrypted, except to this machine.
///
/// # Errors
/// When the URL is neither `https://` nor `http://` to a loopback address.
pub fn require_protected(url: &Url) -> Result<(), Error> {
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)) {
        return Ok(());
    }
    Err(Error::Unprotected(url.clone()))
}

/// Whether a URL leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_without_encryption() {
        let is_allowed = |url: &str| protected(url).is_ok();
        assert!(is_allowed("https://issuer.example") && is_allowed("http://127.0.0.1:1/x"));
        assert!(is_allowed("http://localhost") && is_allowed("http://[::1]:8470"));
        assert!(!is_allowed("http://issuer.example") && !is_allowed("ftp://127.0.0.1"));
        assert!(!is_allowed("http://127.0.0.1.example") && !is_allowed("issuer"));
    }

    #[test]
    fn errors_of_issuers_are_shown_in_one_line() {
        let error: OauthError = serde_json::from_str(
            r#"{"error":"invalid_scope","error_description":"Unknown\nscope\u001b[31m"}"#,
        )
        .unwrap();
        insta::assert_snapshot!(error, @"Unknownscope[31m (invalid_scope)");
    }

    /// Answers every request with a document.
    struct Document(&'static str);

    #[async_trait]
    impl Http for Document {
        async fn send(&self, request: Request<String>) -> Result<Response<String>, HttpError> {
            assert_eq!(
                request.uri().to_string(),
                "https://i.example/.well-known/openid-configuration"
            );
            Ok(Response::new(self.0.to_owned()))
        }
    }

    #[tokio::test]
    async fn a_document_must_be_of_the_issuer_and_its_endpoints_protected() {
        let discover = async |document| {
            Issuer::discover(Arc::new(Document(document)), "https://i.example/")
                .await
                .map(|issuer| issuer.endpoints.token.to_string())
                .map_err(|error| error.to_string())
        };
        let good = r#"{"issuer":"https://i.example","token_endpoint":"https://i.example/t"}"#;
        assert_eq!(discover(good).await.unwrap(), "https://i.example/t");
        let another = r#"{"issuer":"https://j.example","token_endpoint":"https://i.example/t"}"#;
        insta::assert_snapshot!(discover(another).await.unwrap_err(), @"https://i.example/.well-known/openid-configuration is the configuration of another issuer: https://j.example");
        let open = r#"{"issuer":"https://i.example","token_endpoint":"http://i.example/t"}"#;
        insta::assert_snapshot!(discover(open).await.unwrap_err(), @"http://i.example/t must be an https:// URL: tokens are sent there");
        insta::assert_snapshot!(discover("<html>").await.unwrap_err(), @"https://i.example/.well-known/openid-configuration is not the configuration of an issuer");
    }
}
