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
use tests::issuer::Issuer;
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

/// The issuer at its address. Ends with its owner.
pub struct IssuerServer(tokio::task::JoinHandle<()>);

impl IssuerServer {
    pub fn start(address: Address, issuer: &Issuer) -> Self {
        let routes = issuer.router();
        Self(tokio::spawn(async move { axum::serve(address.listener, routes).await.unwrap() }))
    }
}

impl Drop for IssuerServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Integration {
    functions: Arc<Functions>,
    function: &'static str,
    /// Of a function URL.
    cors: Arc<Value>,
}

impl Gateway {
    /// The HTTP API.
    pub fn of_api(address: Address, functions: &Arc<Functions>) -> Self {
        Self::start(address, functions, "api", Value::Null)
    }

    /// The URL of the function `files`, which everybody may call; pages of other origins as the template says.
    pub fn of_files(address: Address, functions: &Arc<Functions>, cors: Value) -> Self {
        Self::start(address, functions, "files", cors)
    }

    fn start(
        address: Address,
        functions: &Arc<Functions>,
        function: &'static str,
        cors: Value,
    ) -> Self {
        let cors = Arc::new(cors);
        let integration = Integration { functions: Arc::clone(functions), function, cors };
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
    State(Integration { functions, function, cors }): State<Integration>,
    method: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if function == "files" && method == Method::OPTIONS {
        return allowed(answer(StatusCode::OK, Body::empty()), &cors);
    }
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
        Ok(result) => allowed(lambda_events::http_response(&result), &cors),
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

/// Adds what Lambda adds for the pages of other origins (AWS Lambda Developer Guide, "Cross-origin resource sharing (CORS)").
fn allowed(mut response: Response<Body>, cors: &Value) -> Response<Body> {
    for (setting, header) in [
        ("AllowOrigins", "access-control-allow-origin"),
        ("AllowMethods", "access-control-allow-methods"),
        ("AllowHeaders", "access-control-allow-headers"),
        ("ExposeHeaders", "access-control-expose-headers"),
    ] {
        let values: Vec<_> =
            cors[setting].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !values.is_empty() {
            response.headers_mut().insert(header, values.join(",").parse().unwrap());
        }
    }
    response
}

/// The pages of the portal need nothing. The routes below `/nodes/` and `/instances/` need the role of the nodes, all others a token of the issuer.
fn authorize(
    functions: &Functions,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, StatusCode> {
    let variables = functions.variables("api");
    let path = uri.path();
    // A greedy variable has at least one character.
    let below = path.strip_prefix("/portal/").unwrap_or_default();
    if !below.is_empty() || (path == "/portal" && method == Method::GET) {
        return Ok(Value::Null);
    }
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
