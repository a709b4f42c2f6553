//! The HTTP API and the URL of the function `files`. Both invoke a function with an event of payload format 2.0 (API
//! Gateway Developer Guide, "Create Lambda integrations for HTTP APIs"); the HTTP API first checks who sends the
//! request, as the authorizers of the template do.

use crate::functions::Functions;
use crate::signature;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::lambda_events;
use tokio::net::TcpListener;

/// The token that the issuer gave to the first owner.
pub const OWNER_TOKEN: &str = "the-token-of-the-first-owner";

/// An address for a gateway, which functions may have to know before it starts.
pub struct Address {
    pub endpoint: String,
    listener: TcpListener,
}

impl Address {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { endpoint: format!("http://{}", listener.local_addr().unwrap()), listener }
    }
}

/// Ends with its owner.
pub struct Gateway {
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Integration {
    functions: Arc<Functions>,
    function: &'static str,
}

impl Gateway {
    /// The HTTP API.
    pub fn of_api(address: Address, functions: &Arc<Functions>) -> Self {
        Self::start(address, functions, "api")
    }

    /// The URL of the function `files`, which everybody may call.
    pub fn of_files(address: Address, functions: &Arc<Functions>) -> Self {
        Self::start(address, functions, "files")
    }

    fn start(address: Address, functions: &Arc<Functions>, function: &'static str) -> Self {
        let integration = Integration { functions: Arc::clone(functions), function };
        let routes = Router::new().fallback(handle).with_state(integration);
        let server =
            tokio::spawn(async move { axum::serve(address.listener, routes).await.unwrap() });
        Self { server }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(
    State(Integration { functions, function }): State<Integration>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let authorized = match function {
        "files" => Ok(Value::Null),
        _ => authorize(&functions, &method, &uri, &headers, &body),
    };
    let authorizer = match authorized {
        Ok(authorizer) => authorizer,
        Err(status) => {
            return answer(status, Body::from("{\"message\":\"refused by the gateway\"}"));
        }
    };
    for (name, value) in [("x-forwarded-proto", "http"), ("x-forwarded-for", "127.0.0.1")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let event = lambda_events::http_request(&method, &uri, &headers, &body, &authorizer);
    match functions.invoke(function, event).await {
        Ok(result) => lambda_events::http_response(&result),
        Err(error) => {
            eprintln!("{method} {uri}: {error}");
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                Body::from("{\"message\":\"Internal Server Error\"}"),
            )
        }
    }
}

fn answer(status: StatusCode, body: Body) -> Response<Body> {
    Response::builder().status(status).body(body).unwrap()
}

/// The routes below `/nodes/` and `/instances/` need the role of the nodes, all others a token of the issuer.
fn authorize(
    functions: &Functions,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, StatusCode> {
    let variables = functions.variables("api");
    let path = uri.path();
    if path.starts_with("/nodes/") || path.starts_with("/instances/") {
        let instance = signature::verified_instance(method, uri, headers, body);
        let instance = instance.ok_or(StatusCode::FORBIDDEN)?;
        let role = variables["NODE_ROLE_ARN"].rsplit('/').next().unwrap();
        return Ok(json!({"iam": {
            "accessKey": signature::access_key(&instance),
            "accountId": "123456789012",
            "callerId": format!("AROACKCEVSQ6C2EXAMPLE:{instance}"),
            "userArn": format!("arn:aws:sts::123456789012:assumed-role/{role}/{instance}"),
            "userId": format!("AROACKCEVSQ6C2EXAMPLE:{instance}"),
        }}));
    }
    let expected = format!("Bearer {OWNER_TOKEN}");
    match headers.get(AUTHORIZATION) {
        Some(given) if given.as_bytes() == expected.as_bytes() => {
            let claims =
                json!({"iss": "https://issuer.example", "sub": variables["OWNER_PRINCIPAL"]});
            Ok(json!({"jwt": {"claims": claims, "scopes": null}}))
        }
        Some(_) | None => Err(StatusCode::UNAUTHORIZED),
    }
}
