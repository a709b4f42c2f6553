//! One request for `batchai login` and `batchai doctor`, with what its answer tells about the service.

use super::{Address, Client, ServiceError};
use anyhow::Result;
use jiff::Timestamp;
use reqwest::{Method, Response};
use resources::time;

/// The answer to a request, whatever its status.
pub struct Probe {
    /// The version of the service; None from other implementations of the API, and from a proxy.
    pub version: Option<String>,
    /// How the service identified the caller: an id, or `owner`.
    pub principal: Option<String>,
    /// The clock of the service.
    pub date: Option<Timestamp>,
    /// The refusal, if the request was refused.
    pub refused: Option<ServiceError>,
}

impl Client {
    /// Reads `address`.
    ///
    /// # Errors
    /// When there is no token, or no answer.
    pub async fn probe(&self, address: &Address) -> Result<Probe> {
        let answer = self.exchange(Method::GET, self.url(address), None).await?;
        Ok(Probe {
            version: header(&answer, "x-batchai-version"),
            principal: header(&answer, "x-batchai-principal"),
            date: header(&answer, "date").and_then(|text| time::parse_http_date(&text)),
            refused: match answer.status().is_success() {
                true => None,
                false => Some(ServiceError::of(answer).await),
            },
        })
    }
}

fn header(answer: &Response, name: &str) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}
