//! Long-running operations: an answer 202 has the URL to poll until the operation has ended.

use super::error::{ErrorContent, ServiceError};
use super::{Client, body};
use anyhow::{Context as _, Result};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Operation {
    status: String,
    error: Option<ErrorContent>,
}

impl Client {
    /// Waits for the operation that an answer started. Returns false if it started none.
    pub(super) async fn finish(&self, answer: &Response) -> Result<bool> {
        if answer.status() != StatusCode::ACCEPTED {
            return Ok(false);
        }
        let Some(url) = url_in(answer, "azure-asyncoperation")? else {
            return self.finish_at_location(answer).await;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let answer = self.send(Method::GET, url.clone(), None).await?;
            pause = next_pause(pause, retry_after(&answer));
            let operation: Operation = body(answer).await?.read()?;
            match operation.status.to_ascii_lowercase().as_str() {
                "succeeded" => return Ok(true),
                "failed" | "canceled" | "cancelled" => return Err(failure(operation).into()),
                _ => {}
            }
        }
    }

    /// The older protocol: the URL in `Location` answers 202 until the operation has ended.
    async fn finish_at_location(&self, answer: &Response) -> Result<bool> {
        let Some(url) = url_in(answer, "location")? else { return Ok(false) };
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let answer = self.send(Method::GET, url.clone(), None).await?;
            if answer.status() != StatusCode::ACCEPTED {
                return Ok(true);
            }
            pause = next_pause(pause, retry_after(&answer));
        }
    }
}

fn url_in(answer: &Response, header: &str) -> Result<Option<Url>> {
    let Some(header) = answer.headers().get(header) else { return Ok(None) };
    let text = header.to_str().context("the address of the operation is not text")?;
    text.parse().map(Some).context("the address of the operation is not a URL")
}

/// The header `Retry-After` in seconds.
fn retry_after(answer: &Response) -> Option<u64> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// Follows `Retry-After` from 2 seconds up. Below, its resolution of one second is too coarse for
/// operations that take milliseconds.
fn next_pause(pause: Duration, retry_after: Option<u64>) -> Duration {
    match retry_after {
        Some(seconds) if seconds > 1 => Duration::from_secs(seconds),
        Some(_) | None => (pause * 3 / 2).min(LONGEST_PAUSE),
    }
}

fn failure(operation: Operation) -> ServiceError {
    match operation.error {
        Some(content) => ServiceError::new(200, content),
        None => ServiceError {
            status: 200,
            code: "OperationFailed".to_owned(),
            message: "The operation failed without an error message".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_one_second_unless_retry_after_is_longer() {
        let mut pause = FIRST_PAUSE;
        let mut total = Duration::ZERO;
        for _ in 0..20 {
            pause = next_pause(pause, Some(1));
            total += pause;
            assert!(pause <= LONGEST_PAUSE);
        }
        assert_eq!(pause, LONGEST_PAUSE);
        assert!(total > Duration::from_secs(10));
        assert_eq!(next_pause(pause, Some(15)), Duration::from_secs(15));
    }
}
