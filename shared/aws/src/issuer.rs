//! Requests to the issuer at which people sign in to the portal.

use crate::http_client::HttpClient;
use async_trait::async_trait;
use aws_smithy_types::body::SdkBody;
use http::{Request, Response};
use oidc::{Http, HttpError};
use std::time::Duration;

/// A person waits for both requests of a sign-in, and the function for no longer than its own timeout.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Documents and tokens are a few kilobytes.
const MOST_BYTES: usize = 1 << 20;

/// The issuer, over HTTP.
pub(crate) struct IssuerHttp(HttpClient);

impl IssuerHttp {
    pub(crate) fn new() -> Self {
        Self(HttpClient::new(TIMEOUT))
    }
}

#[async_trait]
impl Http for IssuerHttp {
    async fn send(&self, request: Request<String>) -> Result<Response<String>, HttpError> {
        let (status, body) = self.0.send(request.map(SdkBody::from)).await?;
        if body.len() > MOST_BYTES {
            return Err("the answer is too long".into());
        }
        let text = String::from_utf8(body.to_vec())?;
        Ok(Response::builder().status(status).body(text)?)
    }
}
