//! The URL of a function on this machine: an HTTP server that invokes it with events of payload format 2.0 (AWS
//! Lambda Developer Guide, "Invoking Lambda function URLs").

use crate::lambda_events::{http_request, http_response};
use crate::lambda_runtime::Function;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What a function takes.
const MAX_REQUEST_BYTES: usize = 6 << 20;

/// Ends with its owner.
pub struct FunctionUrl {
    /// Ends with a slash, as that of AWS does.
    pub url: String,
    function: Arc<Mutex<Option<Function>>>,
    server: tokio::task::JoinHandle<()>,
}

impl FunctionUrl {
    /// A URL without a function, which is answered with 502.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let function = Arc::default();
        let routes = Router::new().fallback(handle).with_state(Arc::clone(&function));
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("a local server does not end");
        });
        Self { url, function, server }
    }

    /// From now on the URL invokes this function.
    pub async fn set(&self, function: Function) {
        *self.function.lock().await = Some(function);
    }

    /// The log of the function.
    pub async fn log(&self) -> String {
        self.function.lock().await.as_ref().map(Function::log).unwrap_or_default()
    }
}

impl Drop for FunctionUrl {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(
    State(function): State<Arc<Mutex<Option<Function>>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let answer = |status, body| Response::builder().status(status).body(body).expect("valid");
    let mut function = function.lock().await;
    let Some(function) = function.as_mut() else {
        return answer(StatusCode::BAD_GATEWAY, Body::from("no function"));
    };
    let body = axum::body::to_bytes(body, MAX_REQUEST_BYTES).await.expect("a body of a test");
    let event = http_request(&method, &uri, &headers, &body, &Value::Null);
    // Of the whole event (AWS Lambda Developer Guide, "Lambda quotas").
    if event.to_string().len() > MAX_REQUEST_BYTES {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, Body::from("the event is too large"));
    }
    match function.invoke(event).await {
        Ok(result) => http_response(&result),
        Err(error) => answer(StatusCode::BAD_GATEWAY, Body::from(error.to_string())),
    }
}
