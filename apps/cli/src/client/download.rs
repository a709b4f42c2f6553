//! Reading files through signed links: without the token, and in ranges, so that a growing file
//! can be followed.

use super::{Client, ServiceError};
use anyhow::{Context as _, Result};
use reqwest::header::RANGE;
use reqwest::{Response, StatusCode, Url};

/// What a range of a file holds now.
#[derive(Debug, PartialEq)]
pub enum Download {
    /// The next bytes; none at the end of the file.
    Bytes(Vec<u8>),
    /// The link does not work any more, or the file is gone.
    Gone,
}

impl Client {
    /// Up to `length` bytes from `offset` on.
    pub async fn range(&self, link: &Url, offset: u64, length: u64) -> Result<Download> {
        let last = offset + length - 1;
        let answer = self.follow_link(link, Some(format!("bytes={offset}-{last}"))).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => Ok(Download::Bytes(bytes(answer).await?)),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Download::Bytes(Vec::new())),
            // The range was ignored: it is the whole file.
            StatusCode::OK => {
                let all = bytes(answer).await?;
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(all.len());
                Ok(Download::Bytes(all[from..].to_vec()))
            }
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::GONE => Ok(Download::Gone),
            _ => Err(refused(answer).await),
        }
    }

    /// The whole file, piece by piece.
    pub async fn download(&self, link: &Url) -> Result<Response> {
        let answer = self.follow_link(link, None).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }

    async fn follow_link(&self, link: &Url, range: Option<String>) -> Result<Response> {
        let mut request = self.http.get(link.clone());
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        request.send().await.map_err(|error| self.failed(error))
    }
}

async fn bytes(answer: Response) -> Result<Vec<u8>> {
    Ok(answer.bytes().await.context("the download broke off")?.to_vec())
}

async fn refused(answer: Response) -> anyhow::Error {
    let status = answer.status().as_u16();
    ServiceError::read(status, &answer.text().await.unwrap_or_default()).into()
}
