//! The line to the control plane: one request at a time, its address looked up again after each
//! failure, and the pace at which it is tried again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

use protocol::{SyncRequest, SyncResponse};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;

use crate::options::{AgentOptions, EndpointSource};

/// How long the control plane may hold a request while nothing new is desired.
const HOLD: Duration = Duration::from_secs(8);
/// An answer that is later than this was lost with whoever should have sent it, or this process was
/// stopped meanwhile. Either way the question is asked again, and nothing follows from the silence.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A node may be faster than its own registration; this often it asks again without slowing down.
const QUICK_TRIES: u32 = 500;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("the address of the control plane is not known")]
    NoEndpoint(#[source] io::Error),
    #[error("the control plane cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the control plane answered {status} {code}")]
    Refused { status: StatusCode, code: String },
}

impl LinkError {
    /// The control plane knows of no such node.
    pub fn is_unwanted(&self) -> bool {
        let LinkError::Refused { status, code } = self else { return false };
        matches!(*status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE)
            && code == "NodeNotFound"
    }

    fn is_early(&self) -> bool {
        let LinkError::Refused { status, code } = self else { return false };
        *status == StatusCode::CONFLICT && code == "NodeNotRegistered"
    }
}

/// Whether the control plane may hold the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Hold,
    AtOnce,
}

pub struct Link {
    client: Client,
    source: EndpointSource,
    /// Known to work, or about to be tried.
    endpoint: Option<Url>,
    /// `nodes/v1/…/sync`, as segments, as names may hold characters that have to be escaped.
    path: [String; 7],
    token: String,
}

impl Link {
    pub fn new(options: &AgentOptions) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            // The proxy of the environment is for what jobs download.
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(1)
            .build()?;
        let path = [
            "nodes",
            "v1",
            &options.workspace_uid,
            &options.cluster_name,
            &options.cluster_uid,
            &options.node_id,
            "sync",
        ];
        Ok(Self {
            client,
            source: options.endpoint.clone(),
            endpoint: None,
            path: path.map(str::to_owned),
            token: options.token.clone(),
        })
    }

    /// Sends one request and returns the response. Dropping the future cancels the request.
    pub async fn exchange(
        &mut self,
        request: &SyncRequest,
        patience: Patience,
    ) -> Result<SyncResponse, LinkError> {
        // Taken out for the time of the request: only a good answer proves the address.
        let endpoint = match self.endpoint.take() {
            Some(endpoint) => endpoint,
            None => self.read_endpoint().map_err(LinkError::NoEndpoint)?,
        };
        let mut post = self.client.post(endpoint.clone()).bearer_auth(&self.token).json(request);
        post = match patience {
            Patience::Hold => post
                .header("prefer", format!("wait={}", HOLD.as_secs()))
                .timeout(HOLD + ANSWER_LIMIT),
            Patience::AtOnce => post.timeout(ANSWER_LIMIT),
        };
        let response = post.send().await?;
        let status = response.status();
        if !status.is_success() {
            let body = response.bytes().await.unwrap_or_default();
            return Err(LinkError::Refused { status, code: error_code(&body) });
        }
        let answer = response.json().await?;
        self.endpoint = Some(endpoint);
        Ok(answer)
    }

    fn read_endpoint(&self) -> io::Result<Url> {
        let base = match &self.source {
            EndpointSource::Url(url) => url.clone(),
            EndpointSource::File(path) => std::fs::read_to_string(path)?,
        };
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let mut url = Url::parse(base.trim()).map_err(|error| invalid(error.to_string()))?;
        url.path_segments_mut()
            .map_err(|()| invalid(format!("'{}' is no base URL", base.trim())))?
            .pop_if_empty()
            .extend(&self.path);
        Ok(url)
    }
}

/// The code of an ARM error body; empty when it is something else.
fn error_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Code,
    }
    #[derive(Deserialize)]
    struct Code {
        code: String,
    }
    serde_json::from_slice::<Body>(body).map(|body| body.error.code).unwrap_or_default()
}

/// How long to wait after failures in a row: doubling, with jitter, so that a hundred nodes do not
/// try again at the same moment.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    pub fn failed(&mut self, error: &LinkError) -> Duration {
        if self.failures == 0 {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            tracing::warn!(%error, reason, "trying again until the control plane answers");
        }
        let quick = error.is_early() && self.failures < QUICK_TRIES;
        let exponent = if quick { 0 } else { self.failures.min(16) };
        self.failures = self.failures.saturating_add(1);
        let pause = (FIRST_PAUSE * 2_u32.pow(exponent)).min(LONGEST_PAUSE);
        pause.mul_f64(0.5 + 0.5 * chance())
    }
}

/// From 0 to 1. The standard library's hasher keys are the one source of randomness at hand.
fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> LinkError {
        let status = StatusCode::from_u16(status).unwrap();
        LinkError::Refused { status, code: code.into() }
    }

    #[test]
    fn only_a_clear_word_makes_a_node_unwanted() {
        assert!(refused(404, "NodeNotFound").is_unwanted());
        assert!(refused(410, "NodeNotFound").is_unwanted());
        for (status, code) in [(404, ""), (403, "Forbidden"), (500, "NodeNotFound")] {
            assert!(!refused(status, code).is_unwanted());
        }
        assert_eq!(
            error_code(br#"{"error":{"code":"NodeNotFound","message":"m"}}"#),
            "NodeNotFound"
        );
        assert_eq!(error_code(b"<html>"), "");
    }

    #[test]
    fn pauses_grow_to_five_seconds_and_start_anew() {
        let mut backoff = Backoff::default();
        let error = refused(500, "");
        for limit in [20, 40, 80] {
            let pause = backoff.failed(&error);
            assert!(pause >= Duration::from_millis(limit / 2), "{pause:?}");
            assert!(pause <= Duration::from_millis(limit), "{pause:?}");
        }
        for _ in 0..1000 {
            assert!(backoff.failed(&error) <= LONGEST_PAUSE);
        }
        assert!(backoff.failed(&error) >= LONGEST_PAUSE / 2);
        backoff.succeeded();
        assert!(backoff.failed(&error) <= FIRST_PAUSE);
    }

    #[test]
    fn an_unregistered_node_asks_quickly_for_a_while() {
        let mut backoff = Backoff::default();
        let error = refused(409, "NodeNotRegistered");
        for _ in 0..QUICK_TRIES {
            assert!(backoff.failed(&error) <= FIRST_PAUSE);
        }
        assert!(backoff.failed(&error) > FIRST_PAUSE);
    }

    #[test]
    fn the_address_is_made_of_escaped_segments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = AgentOptions {
            endpoint: EndpointSource::File(file.path().into()),
            workspace_uid: "w".into(),
            cluster_name: "a b".into(),
            cluster_uid: "c".into(),
            node_id: "n".into(),
            instance: "i".into(),
            address: "127.0.0.1".into(),
            token: "t".into(),
            root: "/".into(),
            keeper: None,
            unwanted_after: Duration::ZERO,
            disk_patience: Duration::ZERO,
            inherited: Vec::new(),
        };
        let link = Link::new(&options).unwrap();
        assert!(link.read_endpoint().is_err());
        std::fs::write(file.path(), "http://127.0.0.1:8080/base/\n").unwrap();
        let url = link.read_endpoint().unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8080/base/nodes/v1/w/a%20b/c/n/sync");
    }
}
