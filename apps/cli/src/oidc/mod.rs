//! Sign-in with an OpenID Connect issuer: the device flow (RFC 8628) and the renewal of its tokens.
//!
//! Written with the HTTP client that the command line has anyway: two requests and a loop. Nothing that
//! an issuer sends is trusted beyond its own session; the service verifies the tokens.

mod claims;
mod device;
mod tokens;

pub use claims::Claims;
pub use device::{Prompt, sign_in};
pub use tokens::{refresh, revoke};

use anyhow::{Context as _, Result, bail};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer descriptions of issuers are cut.
const DESCRIPTION_CHARACTERS: usize = 300;

/// An issuer, as its discovery document describes it.
pub struct Issuer {
    http: reqwest::Client,
    endpoints: Endpoints,
}

#[derive(Deserialize)]
#[serde(try_from = "Configuration")]
struct Endpoints {
    issuer: String,
    token: Url,
    device_authorization: Option<Url>,
    revocation: Option<Url>,
    scopes_supported: Option<Vec<String>>,
}

/// The discovery document (OpenID Connect Discovery 1.0; RFC 8414).
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
}

impl TryFrom<Configuration> for Endpoints {
    type Error = anyhow::Error;

    /// Every endpoint is a protected URL.
    fn try_from(document: Configuration) -> Result<Self> {
        let protected = |text: String| -> Result<Url> {
            let url = text.parse().with_context(|| format!("{text:?} is not a URL"))?;
            require_protected(&url)?;
            Ok(url)
        };
        Ok(Self {
            issuer: document.issuer,
            token: protected(document.token_endpoint)?,
            device_authorization: document
                .device_authorization_endpoint
                .map(protected)
                .transpose()?,
            revocation: document.revocation_endpoint.map(protected).transpose()?,
            scopes_supported: document.scopes_supported,
        })
    }
}

/// An error that the issuer answered with (RFC 6749, section 5.2).
#[derive(Debug, Deserialize)]
pub struct OauthError {
    pub error: String,
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
    pub async fn discover(issuer: &str) -> Result<Self> {
        let url: Url = issuer.parse().with_context(|| format!("{issuer:?} is not a URL"))?;
        require_protected(&url)?;
        let mut builder = tls::Servers::of(issuer)
            .client()
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if crate::client::is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().context("cannot create the HTTP client")?;
        let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        tracing::debug!(url = document, "request");
        let endpoints = discovery(&http, &document)
            .await
            .with_context(|| format!("{document} is not the configuration of an issuer"))?;
        if endpoints.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            bail!("{document} is the configuration of another issuer: {}", endpoints.issuer);
        }
        Ok(Self { http, endpoints })
    }

    /// Sends a form. `Ok(Err(…))` is a refusal by the issuer, `Err` a failed request.
    async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<Result<T, OauthError>> {
        let (status, text) = self.send(url, form).await?;
        // The text may have tokens: the errors say nothing of it.
        if status.is_success() {
            let answer = serde_json::from_str(&text).ok();
            return answer.map(Ok).with_context(|| format!("{url} did not answer with tokens"));
        }
        match serde_json::from_str::<OauthError>(&text) {
            Ok(refused) => Ok(Err(refused)),
            Err(_) => bail!("{url} answered {status}"),
        }
    }

    async fn send(&self, url: &Url, form: &[(&str, &str)]) -> Result<(StatusCode, String)> {
        tracing::debug!(%url, "request");
        let mut encoded = url.clone();
        encoded.query_pairs_mut().clear().extend_pairs(form);
        let request = self
            .http
            .post(url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(encoded.query().unwrap_or_default().to_owned());
        let failed = || format!("the request to {} failed", url.host_str().unwrap_or_default());
        let answer = request.send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(failed)?;
        let status = answer.status();
        tracing::debug!(status = status.as_u16(), "answer");
        let text = answer.text().await.map_err(reqwest::Error::without_url);
        Ok((status, text.with_context(failed)?))
    }
}

async fn discovery(http: &reqwest::Client, url: &str) -> Result<Endpoints> {
    let answer = http.get(url).send().await?.error_for_status()?;
    Ok(answer.json().await?)
}

/// Tokens must not travel unencrypted, except to this machine.
pub fn require_protected(url: &Url) -> Result<()> {
    if url.scheme() == "https" || (url.scheme() == "http" && crate::client::is_loopback(url)) {
        return Ok(());
    }
    bail!("{url} must be an https:// URL: tokens are sent there");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_without_encryption() {
        let is_allowed = |url: &str| require_protected(&url.parse().unwrap()).is_ok();
        assert!(is_allowed("https://issuer.example") && is_allowed("http://127.0.0.1:1/x"));
        assert!(!is_allowed("http://issuer.example") && !is_allowed("ftp://127.0.0.1"));
    }

    #[test]
    fn errors_of_issuers_are_shown_in_one_line() {
        let error: OauthError = serde_json::from_str(
            r#"{"error":"invalid_scope","error_description":"Unknown\nscope\u001b[31m"}"#,
        )
        .unwrap();
        insta::assert_snapshot!(error, @"Unknownscope[31m (invalid_scope)");
    }
}
