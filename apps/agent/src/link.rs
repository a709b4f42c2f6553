//! Requests to the control plane: one at a time. After each failure its address is read again, and the next try waits
//! longer.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

use protocol::{SignInRequest, SignInResponse, SyncRequest, SyncResponse};
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::options::{AgentOptions, EndpointSource};

/// How long the control plane may hold a request while nothing new is desired.
const HOLD: Duration = Duration::from_secs(8);
/// A response that takes longer was lost, or this process was stopped meanwhile. Either way the request is sent again;
/// nothing else follows from a missing response.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
    /// The control plane does not know this node.
    pub fn is_unwanted(&self) -> bool {
        let LinkError::Refused { status, code } = self else { return false };
        matches!(*status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE)
            && code == "NodeNotFound"
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
    /// From the last successful request.
    endpoint: Option<Url>,
    /// In segments, as names may contain characters that must be escaped.
    path: Vec<String>,
    token: String,
}

impl Link {
    /// To the reports of a node: `nodes/v1/…/sync`.
    pub fn of_node(
        options: &AgentOptions,
        node: &str,
        token: &str,
    ) -> Result<Self, reqwest::Error> {
        Self::new(options, "nodes", &[node, "sync"], token)
    }

    /// To the sign-in of this instance of a launch: `instances/v1/…/sign-in`.
    pub fn of_launch(options: &AgentOptions, launch: &str) -> Result<Self, reqwest::Error> {
        let rest = [launch, &options.instance, "sign-in"];
        Self::new(options, "instances", &rest, &options.token)
    }

    fn new(
        options: &AgentOptions,
        kind: &str,
        rest: &[&str],
        token: &str,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            // The proxy of the environment is for the downloads of jobs.
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(1)
            .build()?;
        let cluster = [&options.workspace_uid, &options.cluster_name, &options.cluster_uid];
        let path = [kind, "v1"].into_iter().chain(cluster.map(String::as_str));
        Ok(Self {
            client,
            source: options.endpoint.clone(),
            endpoint: None,
            path: path.chain(rest.iter().copied()).map(str::to_owned).collect(),
            token: token.to_owned(),
        })
    }

    /// Sends one report and returns the desired state. Dropping the future cancels the request.
    pub async fn exchange(
        &mut self,
        request: &SyncRequest,
        patience: Patience,
    ) -> Result<SyncResponse, LinkError> {
        self.send(request, patience).await
    }

    /// Sends one sign-in.
    pub async fn sign_in(&mut self, request: &SignInRequest) -> Result<SignInResponse, LinkError> {
        self.send(request, Patience::AtOnce).await
    }

    async fn send<Answer: DeserializeOwned>(
        &mut self,
        request: &impl Serialize,
        patience: Patience,
    ) -> Result<Answer, LinkError> {
        // Set again when the request has succeeded.
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
        let exponent = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = (FIRST_PAUSE * 2_u32.pow(exponent)).min(LONGEST_PAUSE);
        pause.mul_f64(0.5 + 0.5 * chance())
    }
}

/// From 0 to 1. The keys of the standard library's hasher are the only source of randomness without a dependency.
fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::NodeName;

    fn refused(status: u16, code: &str) -> LinkError {
        let status = StatusCode::from_u16(status).unwrap();
        LinkError::Refused { status, code: code.into() }
    }

    #[test]
    fn only_node_not_found_makes_a_node_unwanted() {
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
    fn the_address_is_made_of_escaped_segments() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let options = AgentOptions {
            endpoint: EndpointSource::File(file.path().into()),
            workspace_uid: "w".into(),
            cluster_name: "a b".into(),
            cluster_uid: "c".into(),
            node: NodeName::Known("n".into()),
            instance: "i".into(),
            address: "127.0.0.1".into(),
            token: "t".into(),
            root: "/".into(),
            keeper: None,
            unwanted_after: Duration::ZERO,
            disk_patience: Duration::ZERO,
            inherited: Vec::new(),
        };
        let link = Link::of_node(&options, "n", "t").unwrap();
        assert!(link.read_endpoint().is_err());
        std::fs::write(file.path(), "http://127.0.0.1:8080/base/\n").unwrap();
        let url = link.read_endpoint().unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8080/base/nodes/v1/w/a%20b/c/n/sync");
        let url = Link::of_launch(&options, "l").unwrap().read_endpoint().unwrap();
        let expected = "http://127.0.0.1:8080/base/instances/v1/w/a%20b/c/l/i/sign-in";
        assert_eq!(url.as_str(), expected);
    }
}
