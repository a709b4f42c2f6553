//! An HTTP client that loses or replaces the answers to chosen operations.

use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug)]
pub enum Fault {
    /// The request is carried out and its answer is lost.
    AnswerLost,
    /// The request is not carried out and gets this answer.
    Answer { status: u16, body: String },
}

impl Fault {
    pub fn error(code: &str) -> Self {
        let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}"}}"#);
        Self::Answer { status: 400, body }
    }

    pub fn canceled(reasons: &[&str]) -> Self {
        let reasons: Vec<String> =
            reasons.iter().map(|code| format!(r#"{{"Code":"{code}"}}"#)).collect();
        let reasons = reasons.join(",");
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        let body = format!(r#"{{"__type":"{kind}","CancellationReasons":[{reasons}]}}"#);
        Self::Answer { status: 400, body }
    }
}

/// The faults of the next requests of an operation, and the number of requests.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    operation: &'static str,
    faults: VecDeque<Fault>,
    requests: usize,
}

impl Faults {
    pub fn of(operation: &'static str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults = faults.into_iter().collect();
        Self(Arc::new(Mutex::new(Plan { operation, faults, requests: 0 })))
    }

    /// Requests of the operation so far.
    pub fn requests(&self) -> usize {
        self.0.lock().expect("no test panics while it holds this").requests
    }

    fn next(&self, request: &HttpRequest) -> Option<Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let mut plan = self.0.lock().expect("no test panics while it holds this");
        if plan.operation.is_empty() || !target.ends_with(plan.operation) {
            return None;
        }
        plan.requests += 1;
        plan.faults.pop_front()
    }
}

#[derive(Debug)]
pub struct FaultyClient {
    inner: SharedHttpClient,
    faults: Faults,
}

impl FaultyClient {
    pub fn new(faults: Faults) -> Self {
        Self { inner: Builder::new().build_http(), faults }
    }
}

impl HttpClient for FaultyClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { inner, faults: self.faults.clone() })
    }
}

#[derive(Debug)]
struct FaultyConnector {
    inner: SharedHttpConnector,
    faults: Faults,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match self.faults.next(&request) {
            None => self.inner.call(request),
            Some(Fault::AnswerLost) => {
                let answer = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    answer.await?;
                    Err(ConnectorError::io("the connection was reset".into()))
                })
            }
            Some(Fault::Answer { status, body }) => {
                let status = status.try_into().expect("a status of HTTP");
                HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
            }
        }
    }
}
