//! Uploads to a signed link, and digests of files through the link of their download: without the token.

use super::{Client, ServiceError, body};

use anyhow::{Context as _, Result, bail};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use reqwest::{Method, Response, Url};
use serde::Deserialize;

const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// The SHA-256 of a file of the service.
#[derive(Debug, PartialEq)]
pub struct Digest {
    /// Of how many bytes from its start: it may grow.
    pub length: u64,
    /// In lower-case hexadecimal digits.
    pub sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DigestAnswer {
    length: u64,
    sha256: Option<String>,
    digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FinishAnswer {
    complete: bool,
    check: Option<String>,
}

impl Client {
    /// How many bytes of an upload the service has; 0 when no file can be at its path: an answer to HEAD does not say
    /// why, the one to the first chunk does.
    pub async fn uploaded_bytes(&self, link: &Url) -> Result<u64> {
        let answer = match self.exchange_with_link(Method::HEAD, link, None).await {
            Err(error) if is_conflict(&error) => return Ok(0),
            answer => answer?,
        };
        let offset = answer.headers().get(UPLOAD_OFFSET).and_then(|it| it.to_str().ok());
        offset.and_then(|it| it.parse().ok()).context("the service does not say what it has")
    }

    /// Appends a chunk to an upload that has `offset` bytes.
    pub async fn append(&self, link: &Url, offset: u64, chunk: Vec<u8>) -> Result<()> {
        self.exchange_with_link(Method::PATCH, link, Some((offset, chunk))).await.map(drop)
    }

    /// Gives a file its name after its last chunk. The service checks all of its bytes.
    pub async fn finish_upload(&self, link: &Url) -> Result<()> {
        let mut next = link.clone();
        loop {
            let answer = self.exchange_with_link(Method::POST, &next, None).await?;
            let answer: FinishAnswer = body(answer).await?.read()?;
            match answer {
                FinishAnswer { complete: true, .. } => return Ok(()),
                FinishAnswer { check: Some(check), .. } => next = with(link, "check", &check),
                FinishAnswer { check: None, .. } => bail!("the service does not finish the upload"),
            }
        }
    }

    /// The digest of the file of a download link.
    pub async fn digest(&self, link: &Url) -> Result<Digest> {
        let mut state = String::new();
        loop {
            let link = with(link, "digest", &state);
            let answer = self.exchange_with_link(Method::GET, &link, None).await?;
            let answer: DigestAnswer = body(answer).await?.read()?;
            match (answer.sha256, answer.digest) {
                (Some(sha256), _) => return Ok(Digest { length: answer.length, sha256 }),
                (None, Some(next)) => state = next,
                (None, None) => bail!("the service does not compute the checksum"),
            }
        }
    }

    async fn exchange_with_link(
        &self,
        method: Method,
        link: &Url,
        chunk: Option<(u64, Vec<u8>)>,
    ) -> Result<Response> {
        let mut request = self.http.request(method.clone(), link.clone());
        request = match chunk {
            Some((offset, bytes)) => request
                .header(UPLOAD_OFFSET, offset)
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(bytes),
            None if method == Method::POST => request.header(CONTENT_LENGTH, 0),
            None => request,
        };
        let answer = request.send().await.map_err(|error| self.request_error(error))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(ServiceError::of(answer).await.into())
    }
}

fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ServiceError>().is_some_and(|error| error.status == 409)
}

fn with(link: &Url, name: &str, value: &str) -> Url {
    let mut link = link.clone();
    link.query_pairs_mut().append_pair(name, value);
    link
}
