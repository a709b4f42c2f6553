//! An OpenID Connect issuer with the authorization code flow and PKCE. It signs in whom the test names, without a page.

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Request, StatusCode};
use oidc::{Http, HttpError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use tower::ServiceExt as _;

/// The id of the one client.
pub const CLIENT: &str = "portal";

/// An issuer. Its clones are the same one.
#[derive(Clone)]
pub struct Issuer(Arc<Mutex<Facts>>);

/// What a test changes and reads.
pub struct Facts {
    /// Its URL.
    pub url: String,
    /// Who signs in next.
    pub subject: String,
    /// Claims of the next tokens that differ from good ones.
    pub claims: Vec<(&'static str, Value)>,
    /// What is refused at the page of the issuer.
    pub refusal: Option<&'static str>,
    /// How often its document was read.
    pub documents: usize,
    /// The queries with which browsers came, by the codes that they got.
    codes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Issuer {
    /// At this URL.
    pub fn new(url: &str) -> Self {
        Self(Arc::new(Mutex::new(Facts {
            url: url.to_owned(),
            subject: "alice".to_owned(),
            claims: Vec::new(),
            refusal: None,
            documents: 0,
            codes: BTreeMap::new(),
        })))
    }

    /// # Panics
    /// When a request to the issuer panicked.
    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().expect("no request panics")
    }

    /// Its pages and endpoints.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(self.clone())
    }
}

/// Without a socket.
#[async_trait]
impl Http for Issuer {
    async fn send(&self, request: Request<String>) -> Result<http::Response<String>, HttpError> {
        let answer = self.router().oneshot(request.map(Body::from)).await?;
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await?.to_vec())?;
        Ok(http::Response::from_parts(parts, text))
    }
}

async fn document(State(issuer): State<Issuer>) -> Json<Value> {
    let mut facts = issuer.facts();
    facts.documents += 1;
    let url = &facts.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
    }))
}

type Pairs = BTreeMap<String, String>;

/// Sends the browser back with a code, as after a person has signed in.
async fn authorize(State(issuer): State<Issuer>, Query(asked): Query<Pairs>) -> Response {
    let is_known = asked.get("client_id").is_some_and(|it| it == CLIENT);
    let has_challenge = asked.get("code_challenge_method").is_some_and(|it| it == "S256");
    if !is_known || !has_challenge || asked["response_type"] != "code" {
        return (StatusCode::BAD_REQUEST, format!("{asked:?}")).into_response();
    }
    let mut facts = issuer.facts();
    let (back, state) = (&asked["redirect_uri"], &asked["state"]);
    let to = match facts.refusal {
        Some(error) => format!("{back}?error={error}&state={state}"),
        None => {
            let code = format!("code-{}", facts.codes.len());
            let to = format!("{back}?code={code}&state={state}");
            facts.codes.insert(code, asked);
            to
        }
    };
    Redirect::to(&to).into_response()
}

/// Exchanges a code once, for its client and with its verifier.
async fn token(State(issuer): State<Issuer>, body: String) -> Response {
    let form = format!("/?{body}").parse().ok();
    let form = form.and_then(|uri| Query::<Pairs>::try_from_uri(&uri).ok());
    let refused =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    let (Some(Query(form)), mut facts) = (form, issuer.facts()) else {
        return refused("invalid_request");
    };
    let Some(asked) = form.get("code").and_then(|code| facts.codes.remove(code)) else {
        return refused("invalid_grant");
    };
    let challenge = BASE64_URL_SAFE_NO_PAD
        .encode(Sha256::digest(form.get("code_verifier").unwrap_or(&String::new())));
    let is_same = |name: &str| form.get(name) == asked.get(name);
    if challenge != asked["code_challenge"] || !is_same("client_id") || !is_same("redirect_uri") {
        return refused("invalid_grant");
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO).as_secs();
    let mut claims = json!({
        "iss": facts.url, "sub": facts.subject, "aud": CLIENT, "exp": now + 300,
        "nonce": asked["nonce"],
    });
    for (name, value) in &facts.claims {
        claims[*name] = value.clone();
    }
    let token = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    Json(json!({ "token_type": "Bearer", "access_token": "opaque", "id_token": token }))
        .into_response()
}
