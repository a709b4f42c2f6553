//! An OpenID Connect issuer with the device flow, and a service that accepts its tokens, in one server
//! on a loopback address. Refresh tokens are rotated: a second use of one ends the session, as issuers
//! do that take it for stolen.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// What a test changes and reads.
pub struct Facts {
    /// Errors of the token endpoint before it gives tokens.
    pub refusals: VecDeque<&'static str>,
    /// The lifetime of the next tokens.
    pub lifetime_seconds: i64,
    /// When the token endpoint was asked for the tokens of a device.
    pub polls: Vec<Instant>,
    pub refreshes: usize,
    /// A refresh token was used twice, or the session was revoked.
    pub session_ended: bool,
    /// All tokens that were given, and the tokens that the service received.
    pub given: Vec<String>,
    pub received: Vec<String>,
    /// Answers of the service, by path; others are empty lists.
    pub answers: BTreeMap<String, (u16, Value)>,
    /// Headers of the service.
    pub headers: BTreeMap<&'static str, String>,
    /// Audience and scope of the last device request.
    pub asked: BTreeMap<String, String>,
    base: String,
    used: BTreeSet<String>,
}

pub struct Issuer {
    pub url: String,
    facts: Arc<Mutex<Facts>>,
    server: tokio::task::JoinHandle<()>,
}

type Shared = Arc<Mutex<Facts>>;

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let facts = Arc::new(Mutex::new(Facts {
            refusals: VecDeque::new(),
            lifetime_seconds: 3600,
            polls: Vec::new(),
            refreshes: 0,
            session_ended: false,
            given: Vec::new(),
            received: Vec::new(),
            answers: BTreeMap::new(),
            headers: BTreeMap::from([("x-batchai-principal", "owner".to_owned())]),
            asked: BTreeMap::new(),
            base: url.clone(),
            used: BTreeSet::new(),
        }));
        let router = axum::Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/device", post(device))
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .fallback(service)
            .with_state(Arc::clone(&facts));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, facts, server }
    }

    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn configuration(State(facts): State<Shared>) -> Json<Value> {
    let base = facts.lock().unwrap().base.clone();
    Json(json!({
        "issuer": base,
        "token_endpoint": format!("{base}/token"),
        "device_authorization_endpoint": format!("{base}/device"),
        "revocation_endpoint": format!("{base}/revoke"),
        "scopes_supported": ["openid", "offline_access"],
    }))
}

fn form(body: &str) -> BTreeMap<String, String> {
    let uri = format!("/?{body}").parse().unwrap();
    Query::<BTreeMap<String, String>>::try_from_uri(&uri).unwrap().0
}

async fn device(State(facts): State<Shared>, body: String) -> Json<Value> {
    let mut facts = facts.lock().unwrap();
    facts.asked = form(&body);
    Json(json!({
        "device_code": "device-code-1",
        "user_code": "WDJB-MJHT",
        "verification_uri": format!("{}/activate", facts.base),
        "verification_uri_complete": format!("{}/activate?code=WDJB-MJHT", facts.base),
        "expires_in": 600,
        "interval": 0,
    }))
}

async fn token(State(facts): State<Shared>, body: String) -> Response {
    let (form, mut facts) = (form(&body), facts.lock().unwrap());
    let refused =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    if form["client_id"] != "cli" {
        return refused("invalid_client");
    }
    if form["grant_type"] == "refresh_token" {
        facts.refreshes += 1;
        let is_new = facts.used.insert(form["refresh_token"].clone());
        facts.session_ended |= !is_new || !facts.given.contains(&form["refresh_token"]);
        if facts.session_ended {
            return refused("invalid_grant");
        }
    } else {
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
        assert_eq!(form["device_code"], "device-code-1");
        facts.polls.push(Instant::now());
        if let Some(error) = facts.refusals.pop_front() {
            return refused(error);
        }
    }
    Json(facts.new_tokens()).into_response()
}

impl Facts {
    fn new_tokens(&mut self) -> Value {
        let number = self.given.len();
        let seconds = self.lifetime_seconds;
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs();
        let end = i64::try_from(now).unwrap() + seconds;
        let token = |audience: &str| {
            let claims = json!({
                "iss": self.base, "sub": "alice", "aud": audience, "exp": end, "jti": number,
            });
            format!("e30.{}.c2ln", base64url(claims.to_string().as_bytes()))
        };
        let (id, access) = (token("cli"), token("the-api"));
        let refresh = format!("refresh-{number}");
        self.given.extend([id.clone(), access.clone(), refresh.clone()]);
        json!({
            "token_type": "Bearer", "access_token": access, "id_token": id,
            "refresh_token": refresh, "expires_in": seconds,
        })
    }
}

async fn revoke(State(facts): State<Shared>, body: String) -> StatusCode {
    let mut facts = facts.lock().unwrap();
    facts.session_ended |= form(&body)["token"].starts_with("refresh-");
    StatusCode::OK
}

/// The API: every token that was given, or that starts with `good`, is accepted.
async fn service(State(facts): State<Shared>, request: axum::extract::Request) -> Response {
    let mut facts = facts.lock().unwrap();
    let header = request.headers().get("authorization").and_then(|it| it.to_str().ok());
    let token = header.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    if !token.is_empty() {
        facts.received.push(token.clone());
    }
    let mut headers = HeaderMap::new();
    if !facts.given.contains(&token) && !token.starts_with("good") {
        let challenge = r#"Bearer error="invalid_token" error_description="signature or audience""#;
        headers.insert("www-authenticate", challenge.parse().unwrap());
        return (StatusCode::UNAUTHORIZED, headers, r#"{"message":"Unauthorized"}"#)
            .into_response();
    }
    for (name, value) in &facts.headers {
        headers.insert(*name, value.parse().unwrap());
    }
    let answer = facts.answers.get(request.uri().path());
    let (status, body) = answer.cloned().unwrap_or((200, json!({ "value": [] })));
    (StatusCode::from_u16(status).unwrap(), headers, Json(body)).into_response()
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let encode = |chunk: &[u8]| {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
        digits.into_iter().take(chunk.len() + 1).collect::<String>()
    };
    bytes.chunks(3).map(encode).collect()
}
