//! Signs the requests of a node with the role of its instance, at the time of the control plane.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;
use reqwest::{Request, StatusCode};

use super::credentials::RoleCredentials;
use super::metadata::{Metadata, MetadataError};
use super::signature::{self, Message, Scope};
use crate::clock;

/// AWS accepts signatures that are at most five minutes old. Less than this is the network's.
const NOTABLE_SKEW_SECONDS: i64 = 30;

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("the node has no credentials")]
    Credentials(#[source] MetadataError),
    #[error("the request cannot be signed")]
    Unsignable,
}

pub struct Signer {
    credentials: RoleCredentials,
    region: String,
    /// To be added to the time of this machine.
    skew: SignedDuration,
}

impl Signer {
    pub fn new(metadata: Metadata, region: &str) -> Self {
        Self {
            credentials: RoleCredentials::new(metadata),
            region: region.to_owned(),
            skew: SignedDuration::ZERO,
        }
    }

    pub async fn sign(&mut self, request: &mut Request) -> Result<(), SigningError> {
        let credentials = self.credentials.current().await.map_err(SigningError::Credentials)?;
        let host = authority(request).ok_or(SigningError::Unsignable)?;
        let scope = Scope {
            region: &self.region,
            service: service(&host),
            time: clock::now().checked_add(self.skew).unwrap_or_else(|_| clock::now()),
        };
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        let message = Message { path: request.url().path(), host: &host, body };
        for (name, value) in signature::headers(&credentials, scope, message) {
            let value = value.parse().map_err(|_| SigningError::Unsignable)?;
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    /// Learns from a response: the time of the control plane, and whether it takes the credentials.
    pub fn learn(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(date) = clock::date_of(headers) {
            self.learn_time(clock::now(), date);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            self.credentials.refused();
        }
    }

    fn learn_time(&mut self, own: Timestamp, date: Timestamp) {
        let skew = date.duration_since(own);
        let is_notable = skew.as_secs().abs() >= NOTABLE_SKEW_SECONDS;
        let new = if is_notable { skew } else { SignedDuration::ZERO };
        if is_notable && self.skew.is_zero() {
            let seconds = skew.as_secs();
            tracing::warn!(seconds, "the clock of this machine is wrong");
        }
        self.skew = new;
    }
}

/// The value of the header `Host`.
fn authority(request: &Request) -> Option<String> {
    let host = request.url().host_str()?;
    Some(match request.url().port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// The name of the service that verifies the signature.
fn service(host: &str) -> &'static str {
    if host.contains(".lambda-url.") { "lambda" } else { "execute-api" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_that_of_the_host() {
        assert_eq!(service("abc.execute-api.eu-west-1.amazonaws.com"), "execute-api");
        assert_eq!(service("abc.lambda-url.eu-west-1.on.aws"), "lambda");
        assert_eq!(service("api.example.org"), "execute-api");
    }

    #[test]
    fn only_a_notable_skew_is_corrected() {
        let mut signer = Signer::new(Metadata::new("http://127.0.0.1").unwrap(), "r");
        let own: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
        let mut skew = |date: &str| {
            signer.learn_time(own, date.parse().unwrap());
            signer.skew.as_secs()
        };
        assert_eq!(skew("2026-11-22T06:00:29Z"), 0);
        assert_eq!(skew("2026-11-22T07:00:00Z"), 3600);
        assert_eq!(skew("2026-11-22T05:50:00Z"), -600);
        assert_eq!(skew("2026-11-22T06:00:01Z"), 0, "the clock was set");
    }
}
