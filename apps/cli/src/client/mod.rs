//! A client of the Batch AI REST API, version 2018-05-01.
//!
//! The token is sent only to the endpoint, never to the host of a link in an answer.

mod address;
mod download;
mod error;
mod operation;
mod probe;
mod token;
mod upload;

pub use address::{Address, Scope};
pub use download::Download;
pub use error::{ServiceError, Unreachable, is_denied, is_not_found, is_unreachable};
pub use probe::Probe;
pub use token::{Session, TokenCommand, TokenSource};

use crate::json::Json;
use crate::secret::Secret;
use anyhow::{Context as _, Result, bail};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use std::time::Duration;

const API_VERSION: &str = "2018-05-01";

/// Far longer than the service takes to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    token: TokenSource,
}

impl Client {
    pub fn new(endpoint: &str, token: TokenSource) -> Result<Self> {
        let endpoint: Url = endpoint.trim().parse().with_context(|| {
            format!("the endpoint {endpoint:?} is not a URL; use https://HOST or http://HOST:PORT")
        })?;
        if !["http", "https"].contains(&endpoint.scheme()) || !endpoint.has_host() {
            bail!("the endpoint {endpoint} is not a URL of a service; use https://HOST");
        }
        let mut builder = tls::Servers::of(endpoint.as_str())
            .client()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if oidc::is_loopback(&endpoint) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build().context("cannot create the HTTP client")?,
            endpoint,
            token,
        })
    }

    /// Whether the service is on this machine.
    pub fn is_local(&self) -> bool {
        oidc::is_loopback(&self.endpoint)
    }

    pub fn endpoint(&self) -> &str {
        self.endpoint.as_str().trim_end_matches('/')
    }

    /// The token that a request has now; None if there is none.
    pub async fn token(&self) -> Result<Option<Secret>> {
        self.token.token().await
    }

    pub async fn get(&self, address: &Address) -> Result<Json> {
        body(self.send(Method::GET, self.url(address), None).await?).await
    }

    /// Reads all pages of a list.
    pub async fn list(&self, address: &Address) -> Result<Vec<Json>> {
        self.pages(Method::GET, self.url(address)).await
    }

    /// Reads all pages of a list with `$filter`.
    pub async fn list_filtered(&self, address: &Address, filter: &str) -> Result<Vec<Json>> {
        let mut url = self.url(address);
        url.query_pairs_mut().append_pair("$filter", filter);
        self.pages(Method::GET, url).await
    }

    /// Reads a list that the API serves with POST: files of a job, nodes of a cluster.
    pub async fn list_by_post(
        &self,
        address: &Address,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<Json>> {
        let mut url = self.url(address);
        url.query_pairs_mut().extend_pairs(parameters);
        self.pages(Method::POST, url).await
    }

    /// Creates a resource, waits for the operation, and returns the resource.
    pub async fn put(&self, address: &Address, content: &impl Serialize) -> Result<Json> {
        let content = to_bytes(content)?;
        let answer = self.send(Method::PUT, self.url(address), Some(content)).await?;
        if self.finish(&answer).await? { self.get(address).await } else { body(answer).await }
    }

    /// As [`Self::put`], but returns the resource as it is when the service has accepted the request.
    pub async fn begin_put(&self, address: &Address, content: &impl Serialize) -> Result<Json> {
        let content = to_bytes(content)?;
        let answer = self.send(Method::PUT, self.url(address), Some(content)).await?;
        match answer.status() {
            StatusCode::ACCEPTED => self.get(address).await,
            _ => body(answer).await,
        }
    }

    pub async fn patch(&self, address: &Address, content: &impl Serialize) -> Result<Json> {
        let content = to_bytes(content)?;
        let answer = self.send(Method::PATCH, self.url(address), Some(content)).await?;
        if self.finish(&answer).await? { self.get(address).await } else { body(answer).await }
    }

    /// Deletes a resource and waits for the operation.
    pub async fn delete(&self, address: &Address) -> Result<()> {
        let answer = self.send(Method::DELETE, self.url(address), None).await?;
        self.finish(&answer).await.map(drop)
    }

    /// Begins to delete a resource.
    pub async fn begin_delete(&self, address: &Address) -> Result<()> {
        self.send(Method::DELETE, self.url(address), None).await.map(drop)
    }

    /// Deletes what the parameters of a resource name.
    pub async fn delete_with(&self, address: &Address, parameters: &[(&str, &str)]) -> Result<()> {
        let mut url = self.url(address);
        url.query_pairs_mut().extend_pairs(parameters);
        self.send(Method::DELETE, url, None).await.map(drop)
    }

    /// Runs an action of a resource and waits for the operation.
    pub async fn post(&self, address: &Address) -> Result<()> {
        let answer = self.send(Method::POST, self.url(address), None).await?;
        self.finish(&answer).await.map(drop)
    }

    /// Begins an action of a resource.
    pub async fn begin_post(&self, address: &Address) -> Result<()> {
        self.send(Method::POST, self.url(address), None).await.map(drop)
    }

    /// Sends a POST with a body and returns the answer.
    pub async fn post_json(&self, address: &Address, content: &impl Serialize) -> Result<Json> {
        let content = to_bytes(content)?;
        body(self.send(Method::POST, self.url(address), Some(content)).await?).await
    }

    /// Sends a POST below `/local/v1`, which only `batchai local` has.
    pub async fn post_local(&self, path: &[&str], content: &impl Serialize) -> Result<()> {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["local", "v1"]).extend(path);
        }
        self.send(Method::POST, url, Some(to_bytes(content)?)).await.map(drop)
    }

    fn url(&self, address: &Address) -> Url {
        let mut url = address.url(&self.endpoint);
        url.query_pairs_mut().append_pair("api-version", API_VERSION);
        url
    }

    async fn pages(&self, method: Method, first: Url) -> Result<Vec<Json>> {
        let mut items = Vec::new();
        let mut next = Some(first);
        while let Some(url) = next.take() {
            let mut page = body(self.send(method.clone(), url, None).await?).await?;
            match page.take("value") {
                Some(Json::Array(values)) => items.extend(values),
                _ => bail!("the answer of the service is not a list"),
            }
            if let Some(Json::Text(link)) = page.take("nextLink") {
                next = Some(link.parse().context("the link to the next page is not a URL")?);
            }
        }
        Ok(items)
    }

    /// Sends one request. An error status becomes a [`ServiceError`].
    async fn send(&self, method: Method, url: Url, content: Option<Vec<u8>>) -> Result<Response> {
        let answer = self.exchange(method, url, content).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(ServiceError::of(answer).await.into())
    }

    /// Sends one request and returns the answer, whatever its status.
    async fn exchange(
        &self,
        method: Method,
        url: Url,
        content: Option<Vec<u8>>,
    ) -> Result<Response> {
        tracing::debug!(%method, %url, "request");
        let mut request = self.http.request(method.clone(), url.clone());
        if self.is_endpoint(&url)
            && let Some(token) = self.token.token().await?
        {
            request = request.bearer_auth(token.expose());
        }
        request = match content {
            Some(content) => request.header(CONTENT_TYPE, "application/json").body(content),
            None if method == Method::POST => request.header(CONTENT_LENGTH, 0),
            None => request,
        };
        let answer = request.send().await.map_err(|error| self.request_error(error))?;
        tracing::debug!(status = answer.status().as_u16(), "answer");
        Ok(answer)
    }

    fn is_endpoint(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    fn request_error(&self, error: reqwest::Error) -> anyhow::Error {
        if error.is_connect() {
            let endpoint = self.endpoint.clone();
            return Unreachable { endpoint, cause: error::root_cause(&error) }.into();
        }
        anyhow::Error::new(error.without_url())
            .context(format!("the request to {} failed", self.endpoint()))
    }
}

async fn body(answer: Response) -> Result<Json> {
    let text = answer.text().await.context("the connection closed in the middle of an answer")?;
    Json::parse(&text)
}

fn to_bytes(content: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(content).context("the request cannot be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_validated() {
        for endpoint in ["http://127.0.0.1:8470\n", "https://example.org"] {
            assert!(Client::new(endpoint, TokenSource::none()).is_ok(), "{endpoint}");
        }
        let refusals = ["ftp://example.org", "127.0.0.1:8470", "nonsense"]
            .map(|text| Client::new(text, TokenSource::none()).err().expect("refused").to_string())
            .join("\n");
        insta::assert_snapshot!(refusals, @r#"
        the endpoint ftp://example.org/ is not a URL of a service; use https://HOST
        the endpoint "127.0.0.1:8470" is not a URL; use https://HOST or http://HOST:PORT
        the endpoint "nonsense" is not a URL; use https://HOST or http://HOST:PORT
        "#);
    }

    #[test]
    fn the_token_is_sent_only_to_the_endpoint() {
        let client = Client::new("http://127.0.0.1:8470", TokenSource::none()).unwrap();
        assert!(client.is_endpoint(&"http://127.0.0.1:8470/local/v1".parse().unwrap()));
        assert!(!client.is_endpoint(&"http://127.0.0.1:8471/".parse().unwrap()));
        assert!(!client.is_endpoint(&"http://example.org:8470/".parse().unwrap()));
    }
}
