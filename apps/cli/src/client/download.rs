//! Downloads through signed links: without the token, and in ranges, to follow a growing file.

use super::{Client, ServiceError};
use anyhow::{Context as _, Result};
use reqwest::header::RANGE;
use reqwest::{Response, StatusCode, Url};

/// The answer for a range of a file.
#[derive(Debug, PartialEq)]
pub enum Download {
    /// The bytes of the range; empty at the end of the file.
    Bytes(Vec<u8>),
    /// The link has expired, or the file was moved or deleted.
    NotFound,
}

impl Client {
    /// Reads up to `length` bytes from `offset` on.
    pub async fn range(&self, link: &Url, offset: u64, length: u64) -> Result<Download> {
        let last = offset + length - 1;
        let answer = self.follow_link(link, Some(format!("bytes={offset}-{last}"))).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => Ok(Download::Bytes(bytes(answer).await?)),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Download::Bytes(Vec::new())),
            // The server ignored the range and sent the whole file.
            StatusCode::OK => {
                let all = bytes(answer).await?;
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
                Ok(Download::Bytes(all[from..].to_vec()))
            }
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE => Ok(Download::NotFound),
            _ => Err(error_of(answer).await),
        }
    }

    /// Downloads a whole file as a stream.
    pub async fn download(&self, link: &Url) -> Result<Response> {
        let answer = self.follow_link(link, None).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(error_of(answer).await) }
    }

    async fn follow_link(&self, link: &Url, range: Option<String>) -> Result<Response> {
        let mut request = self.http.get(link.clone());
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        request.send().await.map_err(|error| self.request_error(error))
    }
}

async fn bytes(answer: Response) -> Result<Vec<u8>> {
    Ok(answer.bytes().await.context("the connection closed during the download")?.to_vec())
}

async fn error_of(answer: Response) -> anyhow::Error {
    ServiceError::of(answer).await.into()
}
