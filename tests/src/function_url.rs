//! The URL of a function on this machine: an HTTP server that invokes it with events of payload format 2.0 (AWS
//! Lambda Developer Guide, "Invoking Lambda function URLs").

use crate::lambda_runtime::Function;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::Mutex;

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
) -> Response<Body> {
    let answer = |status, body| Response::builder().status(status).body(body).expect("valid");
    let mut function = function.lock().await;
    let Some(function) = function.as_mut() else {
        return answer(StatusCode::BAD_GATEWAY, Body::from("no function"));
    };
    match function.invoke(event(&method, &uri, &headers)).await {
        Ok(result) => response(&result),
        Err(error) => answer(StatusCode::BAD_GATEWAY, Body::from(error.to_string())),
    }
}

fn event(method: &Method, uri: &Uri, headers: &HeaderMap) -> Value {
    let sent: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())))
        })
        .collect();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": sent,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "url-id",
            "authentication": null,
            "authorizer": null,
            "domainName": "url-id.lambda-url.eu-west-1.on.aws",
            "domainPrefix": "url-id",
            "http": {
                "method": method.as_str(),
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "test",
            },
            "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:01:00:00 +0000",
            "timeEpoch": 1_795_222_800_000_u64,
        },
        "isBase64Encoded": false,
    })
}

fn response(result: &Value) -> Response<Body> {
    let status = result["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
    let mut response = Response::builder().status(status.expect("a status"));
    for (name, value) in result["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().expect("a text"));
    }
    let body = result["body"].as_str().unwrap_or_default();
    let body = match result["isBase64Encoded"] == true {
        true => STANDARD.decode(body).expect("base64"),
        false => body.as_bytes().to_vec(),
    };
    response.body(Body::from(body)).expect("valid")
}
