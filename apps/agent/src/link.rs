//! Requests to the control plane: one at a time. After each failure its address is read again, and the next try waits
//! longer.

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::time::Duration;

use protocol::{SignInRequest, SignInResponse, SyncRequest, SyncResponse, VERSION, VERSION_HEADER};
use reqwest::{Client, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ec2::{Signer, SigningError};
use crate::options::{ClusterName, EndpointSource};
use tls::Servers;

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
    #[error("the request cannot be signed")]
    Unsigned(#[from] SigningError),
    #[error("the control plane answered {status} {code}")]
    Refused {
        status: StatusCode,
        code: String,
        #[source]
        message: Option<Message>,
    },
}

/// What a refusal says to people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Message(String);

impl LinkError {
    /// The control plane does not know this node.
    pub fn is_unwanted(&self) -> bool {
        let LinkError::Refused { status, code, .. } = self else { return false };
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

/// How requests prove whose they are.
pub enum Access {
    /// By the bearer token of the node or of the launch.
    Token(String),
    /// By a signature with the role of the EC2 instance.
    Signature(Box<Signer>),
}

pub struct Link {
    client: Client,
    source: EndpointSource,
    /// From the last successful request.
    endpoint: Option<Url>,
    /// In segments, as names may contain characters that must be escaped.
    path: Vec<String>,
    access: Access,
}

impl Link {
    pub fn new(source: &EndpointSource, access: Access) -> Result<Self, reqwest::Error> {
        let servers = match source {
            EndpointSource::Url(url) => Servers::of(url),
            EndpointSource::File(_) => Servers::WithoutTls,
        };
        let client = servers
            .client()
            // The proxy of the environment is for the downloads of jobs.
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_LIMIT)
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { client, source: source.clone(), endpoint: None, path: Vec::new(), access })
    }

    /// To the reports of a node: `nodes/v1/…/sync`.
    pub fn of_node(self, cluster: &ClusterName, node: &str) -> Self {
        self.to("nodes", cluster, &[node, "sync"])
    }

    /// To the sign-in of this instance of a launch: `instances/v1/…/sign-in`.
    pub fn of_sign_in(self, cluster: &ClusterName, launch: &str, instance: &str) -> Self {
        self.to("instances", cluster, &[launch, instance, "sign-in"])
    }

    /// With the token of the node, where nodes have tokens.
    pub fn with_token(mut self, token: Option<String>) -> Self {
        if let (Access::Token(own), Some(token)) = (&mut self.access, token) {
            *own = token;
        }
        self
    }

    fn to(mut self, kind: &str, cluster: &ClusterName, rest: &[&str]) -> Self {
        let cluster = [&cluster.workspace_uid, &cluster.name, &cluster.uid].map(String::as_str);
        let path = [kind, "v1"].into_iter().chain(cluster).chain(rest.iter().copied());
        self.path = path.map(str::to_owned).collect();
        self.endpoint = None;
        self
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
        let mut post = self.client.post(endpoint.clone()).json(request).timeout(ANSWER_LIMIT);
        post = post.header(VERSION_HEADER, VERSION);
        post = match (&self.access, patience) {
            (Access::Token(token), Patience::Hold) => post
                .bearer_auth(token)
                .header("prefer", format!("wait={}", HOLD.as_secs()))
                .timeout(HOLD + ANSWER_LIMIT),
            (Access::Token(token), Patience::AtOnce) => post.bearer_auth(token),
            // A function is paid for as long as it holds a request, so it does not.
            (Access::Signature(_), Patience::Hold | Patience::AtOnce) => post,
        };
        let mut post = post.build()?;
        if let Access::Signature(signer) = &mut self.access {
            signer.sign(&mut post).await?;
        }
        let response = self.client.execute(post).await?;
        if let Access::Signature(signer) = &mut self.access {
            signer.learn(response.status(), response.headers());
        }
        let status = response.status();
        if !status.is_success() {
            let body = response.bytes().await.unwrap_or_default();
            let (code, message) = error_of(&body);
            return Err(LinkError::Refused { status, code, message });
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

/// Code and message of an ARM error body, or the message of API Gateway. The code is empty when there is none.
fn error_of(body: &[u8]) -> (String, Option<Message>) {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        error: Error,
        /// Of API Gateway and of function URLs.
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    #[derive(Default, Deserialize)]
    struct Error {
        code: String,
        message: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    (body.error.code, body.error.message.or(body.message).map(Message))
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

    pub fn failed(&mut self, error: &dyn Error) -> Duration {
        if self.failures == 0 {
            let reasons =
                std::iter::successors(error.source(), |error: &&dyn Error| (*error).source());
            let reason = reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ");
            tracing::warn!(%error, reason, "trying again until there is an answer");
        }
        let exponent = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = (FIRST_PAUSE * 2_u32.pow(exponent)).min(LONGEST_PAUSE);
        pause.mul_f64(0.5 + 0.5 * chance())
    }
}

/// At least `interval`, and up to a tenth more, so that nodes that started together do not stay so.
pub fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(1.0 + 0.1 * chance())
}

/// From 0 to 1. The keys of the standard library's hasher are the only source of randomness without a dependency.
fn chance() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(0);
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> LinkError {
        let status = StatusCode::from_u16(status).unwrap();
        LinkError::Refused { status, code: code.into(), message: None }
    }

    #[test]
    fn only_node_not_found_makes_a_node_unwanted() {
        assert!(refused(404, "NodeNotFound").is_unwanted());
        assert!(refused(410, "NodeNotFound").is_unwanted());
        for (status, code) in [(404, ""), (403, "Forbidden"), (500, "NodeNotFound")] {
            assert!(!refused(status, code).is_unwanted());
        }
        let read = |body: &[u8]| {
            let (code, message) = error_of(body);
            (code, message.map(|it| it.0).unwrap_or_default())
        };
        let pair = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        let body = br#"{"error":{"code":"NodeNotFound","message":"m"}}"#;
        assert_eq!(read(body), pair("NodeNotFound", "m"));
        assert_eq!(read(br#"{"message":"Forbidden"}"#), pair("", "Forbidden"));
        assert_eq!(read(b"<html>"), pair("", ""));
    }

    #[test]
    fn a_node_asks_not_before_the_interval_and_at_most_a_tenth_later() {
        let interval = Duration::from_secs(10);
        let pauses: Vec<Duration> = (0..100).map(|_| jittered(interval)).collect();
        assert!(pauses.iter().all(|pause| *pause >= interval && *pause <= interval * 11 / 10));
        assert!(pauses.iter().max() > pauses.iter().min());
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
        let cluster =
            ClusterName { workspace_uid: "w".into(), name: "a b".into(), uid: "c".into() };
        let source = EndpointSource::File(file.path().into());
        let link = Link::new(&source, Access::Token("t".into())).unwrap().of_node(&cluster, "n");
        assert!(link.read_endpoint().is_err());
        std::fs::write(file.path(), "http://127.0.0.1:8080/base/\n").unwrap();
        let url = link.read_endpoint().unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:8080/base/nodes/v1/w/a%20b/c/n/sync");
        let url = link.of_sign_in(&cluster, "l", "i").read_endpoint().unwrap();
        let expected = "http://127.0.0.1:8080/base/instances/v1/w/a%20b/c/l/i/sign-in";
        assert_eq!(url.as_str(), expected);
    }
}
