//! The metadata service of an instance, version 2: every request has a session token.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use tls::Servers;

use crate::clock::{self, Uptime};

/// The longest lifetime of a session token (EC2 User Guide, "Use IMDSv2").
const TOKEN_SECONDS: u64 = 6 * 3600;
/// Half of it, so that no token expires while it is in use.
const RENEW_TOKEN_AFTER_SECONDS: u64 = TOKEN_SECONDS / 2;
/// The service is on the machine itself.
const LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    #[error("the instance metadata service cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the instance metadata service answered {status} for {path}")]
    Refused { path: String, status: StatusCode },
    #[error("the instance metadata has no usable {0}")]
    Unusable(&'static str),
}

pub struct Metadata {
    client: Client,
    base: String,
    token: Option<(String, Uptime)>,
}

/// A value, and the time of the service when it was read: that of the machine may be wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Value {
    pub text: String,
    pub read_at: Timestamp,
}

impl Metadata {
    /// `base`: the base URL of the service, such as [`super::METADATA`].
    pub fn new(base: &str) -> Result<Self, reqwest::Error> {
        let client = Servers::WithoutTls.client().no_proxy().timeout(LIMIT).build()?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// The value at `path` below `meta-data`; `None` when there is no such item.
    pub async fn get(&mut self, path: &str) -> Result<Option<Value>, MetadataError> {
        let mut response = self.request(path).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // The token was issued to an instance that was stopped and started since.
            self.token = None;
            response = self.request(path).await?;
        }
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let read_at = clock::date_of(response.headers()).unwrap_or_else(clock::now);
                Ok(Some(Value { text: response.text().await?, read_at }))
            }
            status => Err(MetadataError::Refused { path: path.to_owned(), status }),
        }
    }

    async fn request(&mut self, path: &str) -> Result<Response, MetadataError> {
        let token = self.token().await?;
        let get = self.call(Method::GET, &format!("meta-data/{path}"));
        Ok(get.header("x-aws-ec2-metadata-token", token).send().await?)
    }

    async fn token(&mut self) -> Result<String, MetadataError> {
        if let Some((token, renew_at)) = &self.token
            && !renew_at.remaining().is_zero()
        {
            return Ok(token.clone());
        }
        let renew_at = Uptime::now().after_seconds(RENEW_TOKEN_AFTER_SECONDS);
        let put = self.call(Method::PUT, "api/token");
        let put = put.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS);
        let response = put.send().await?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(MetadataError::Refused { path: "api/token".to_owned(), status });
        }
        let token = response.text().await?;
        self.token = Some((token.clone(), renew_at));
        Ok(token)
    }

    fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}/latest/{path}", self.base))
    }
}
