//! Sign-in with an OpenID Connect issuer: the device flow (RFC 8628) and the renewal of its tokens.
//!
//! Nothing that an issuer sends is trusted beyond its own session; the service verifies the tokens.

mod device;
mod tokens;

pub use device::{Prompt, by_device};
pub use tokens::{refresh, revoke};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use http::{Request, Response};
use oidc::{Http, HttpError, Issuer, Url};
use std::sync::Arc;
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

struct Client(reqwest::Client);

#[async_trait]
impl Http for Client {
    async fn send(&self, request: Request<String>) -> Result<Response<String>, HttpError> {
        tracing::debug!(url = %request.uri(), "request");
        let without_url = |error: reqwest::Error| error.without_url();
        let answer = self.0.execute(request.try_into()?).await.map_err(without_url)?;
        let status = answer.status();
        tracing::debug!(status = status.as_u16(), "answer");
        let mut response = Response::new(answer.text().await.map_err(without_url)?);
        *response.status_mut() = status;
        Ok(response)
    }
}

/// Reads the discovery document of an issuer.
pub async fn discover(issuer: &str) -> Result<Issuer> {
    let mut builder = tls::Servers::of(issuer)
        .client()
        .timeout(REQUEST_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none());
    if issuer.parse::<Url>().is_ok_and(|url| oidc::is_loopback(&url)) {
        builder = builder.no_proxy();
    }
    let http = builder.build().context("cannot create the HTTP client")?;
    Ok(Issuer::discover(Arc::new(Client(http)), issuer).await?)
}
