//! The HTTP API and the URL of the function `files`. Both invoke a function with an event of payload format 2.0 (API
//! Gateway Developer Guide, "Create Lambda integrations for HTTP APIs"); the HTTP API first checks who sends the
//! request, as the authorizers of the template do.

use crate::functions::Functions;
use crate::signature;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::sync::Arc;
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
    headers: HeaderMap,
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
    let event = event(&method, &uri, &headers, &body, &authorizer);
    match functions.invoke(function, event).await {
        Ok(result) => response(&result),
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

fn event(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
    authorizer: &Value,
) -> Value {
    let mut sent: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())))
        })
        .collect();
    sent.insert("x-forwarded-proto".to_owned(), json!("http"));
    sent.insert("x-forwarded-for".to_owned(), json!("127.0.0.1"));
    let text = String::from_utf8_lossy(body);
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": uri.path(),
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": sent,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "a1b2c3d4e5",
            "authorizer": authorizer,
            "domainName": headers.get("host").map(|it| it.to_str().unwrap()),
            "domainPrefix": "a1b2c3d4e5",
            "http": {
                "method": method.as_str(),
                "path": uri.path(),
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "21/Nov/2026:01:00:00 +0000",
            "timeEpoch": 1_795_222_800_000_u64,
        },
        "body": (!body.is_empty()).then_some(text),
        "isBase64Encoded": false,
    })
}

fn response(result: &Value) -> Response<Body> {
    let status = u16::try_from(result["statusCode"].as_u64().unwrap()).unwrap();
    let mut response = Response::builder().status(status);
    for (name, value) in result["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().unwrap());
    }
    let text = result["body"].as_str().unwrap_or_default();
    let body = match result["isBase64Encoded"] == true {
        true => STANDARD.decode(text).unwrap(),
        false => text.as_bytes().to_vec(),
    };
    response.body(Body::from(body)).unwrap()
}
