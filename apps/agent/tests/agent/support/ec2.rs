//! An EC2 instance as its agent sees it: a metadata service (IMDSv2), and a control plane that is
//! reached with TLS and verifies signatures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::serve::Listener;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub const REGION: &str = "eu-west-1";
const ROLE: &str = "lab-NodeRole";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "metadata-session";
const SESSION_TOKEN: &str = "to/ken==";
/// AWS refuses older signatures.
const SIGNATURE_LIFETIME: i64 = 300;

/// The metadata service of one instance.
pub struct Instance {
    pub metadata: String,
    state: Arc<Mutex<Metadata>>,
    _runtime: Runtime,
}

#[derive(Default)]
pub struct Metadata {
    pub tags: HashMap<String, String>,
    /// `spot/instance-action`.
    pub action: Option<String>,
    /// How long credentials are valid. The service issues new ones at each request.
    pub lifetime_seconds: i64,
    /// The access key that was issued last: the only one that is valid.
    issued: u32,
    /// Answer 503.
    pub is_down: bool,
}

impl Instance {
    /// Without tags.
    pub fn start() -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let metadata = format!("http://{}", listener.local_addr().unwrap());
        let state =
            Arc::new(Mutex::new(Metadata { lifetime_seconds: 3600, ..Metadata::default() }));
        let router = axum::Router::new()
            .route("/latest/api/token", put(token))
            .route("/latest/meta-data/{*path}", get(item))
            .with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { metadata, state, _runtime: runtime }
    }

    pub fn change(&self, change: impl FnOnce(&mut Metadata)) {
        change(&mut self.state.lock().unwrap());
    }

    /// Spot interrupts this instance in so many seconds.
    pub fn interrupt(&self, seconds: u64) {
        let time = jiff::Timestamp::from_second(unix_seconds() + seconds.cast_signed());
        let time = time.unwrap().strftime("%Y-%m-%dT%H:%M:%SZ");
        let action = format!(r#"{{"action": "terminate", "time": "{time}"}}"#);
        self.change(|metadata| metadata.action = Some(action));
    }

    /// How often credentials were issued.
    pub fn issued(&self) -> u32 {
        self.state.lock().unwrap().issued
    }

    /// Verifies requests that are signed with the credentials of this instance, by a clock that is so
    /// many seconds ahead of that of the agent.
    pub fn verifier(&self, ahead_seconds: i64) -> Arc<Verifier> {
        Arc::new(Verifier {
            state: Arc::clone(&self.state),
            ahead_seconds,
            refused: Mutex::default(),
        })
    }
}

async fn token(headers: HeaderMap) -> Response {
    match headers.get("x-aws-ec2-metadata-token-ttl-seconds") {
        Some(seconds) if seconds.to_str().unwrap().parse::<u32>().unwrap() <= 21600 => {
            SESSION.into_response()
        }
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn item(
    State(state): State<Arc<Mutex<Metadata>>>,
    UrlPath(path): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    if headers.get("x-aws-ec2-metadata-token").is_none_or(|token| token != SESSION) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut state = state.lock().unwrap();
    if state.is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match state.item(&path) {
        Some(text) => text.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Metadata {
    fn item(&mut self, path: &str) -> Option<String> {
        if let Some(tag) = path.strip_prefix("tags/instance/") {
            return self.tags.get(tag).cloned();
        }
        let role = path.strip_prefix("iam/security-credentials/");
        match (path, role) {
            ("spot/instance-action", _) => self.action.clone(),
            (_, Some("")) => Some(ROLE.to_owned()),
            (_, Some(ROLE)) => Some(self.issue()),
            _ => None,
        }
    }

    fn issue(&mut self) -> String {
        self.issued += 1;
        let expiration = unix_seconds() + self.lifetime_seconds;
        serde_json::json!({
            "Code": "Success",
            "LastUpdated": "2026-11-22T05:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": access_key(self.issued),
            "SecretAccessKey": SECRET,
            "Token": SESSION_TOKEN,
            "Expiration": jiff::Timestamp::from_second(expiration).unwrap().to_string(),
        })
        .to_string()
    }
}

fn access_key(number: u32) -> String {
    format!("ASIAEXAMPLE{number}")
}

#[expect(clippy::disallowed_methods, reason = "the agent under test has the same clock")]
fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    since.as_secs().cast_signed()
}

/// Verifies signatures as API Gateway does.
pub struct Verifier {
    state: Arc<Mutex<Metadata>>,
    ahead_seconds: i64,
    refused: Mutex<Vec<&'static str>>,
}

impl Verifier {
    /// Why requests were refused, in order.
    pub fn refused(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.refused.lock().unwrap()
    }

    fn now(&self) -> i64 {
        unix_seconds() + self.ahead_seconds
    }

    fn problem(&self, request: &Request<()>, body: &Bytes) -> Option<&'static str> {
        let header = |name: &str| request.headers().get(name)?.to_str().ok();
        let time = header("x-amz-date").unwrap_or_default();
        let Ok(time) = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", time) else {
            return Some("no time");
        };
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        if (time.as_second() - self.now()).abs() > SIGNATURE_LIFETIME {
            return Some("Signature expired");
        }
        let key = access_key(self.state.lock().unwrap().issued);
        let token = header("x-amz-security-token")?.to_owned();
        let identity =
            aws_credential_types::Credentials::new(key, SECRET, Some(token), None, "test").into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("execute-api")
            .time(SystemTime::from(time))
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let host = header("host")?;
        let url = format!("https://{host}{}", request.uri().path());
        let headers = [("host", host)].into_iter();
        let signable = SignableRequest::new("POST", &url, headers, SignableBody::Bytes(body));
        let (expected, _) = sign(signable.unwrap(), &parameters.into()).unwrap().into_parts();
        let (headers, _) = expected.into_parts();
        let expected = headers.iter().find(|header| header.name() == "authorization").unwrap();
        let is_right = header("authorization") == Some(expected.value());
        (!is_right).then_some("The security token included in the request is invalid")
    }
}

/// For a router: refuses what is not signed, and dates every response.
pub async fn verify(
    State(verifier): State<Arc<Verifier>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let head = Request::from_parts(parts.clone(), ());
    let mut response = match verifier.problem(&head, &body) {
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
        Some(problem) => {
            verifier.refused().push(problem);
            let body = axum::Json(serde_json::json!({ "message": problem }));
            (StatusCode::FORBIDDEN, body).into_response()
        }
    };
    let time = jiff::Timestamp::from_second(verifier.now()).unwrap();
    let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().insert("date", date.parse().unwrap());
    response
}

/// A certificate for `localhost`, signed by an authority of its own.
pub struct Certificate {
    /// The authority, for `SSL_CERT_FILE`.
    pub authority: PathBuf,
    acceptor: TlsAcceptor,
}

impl Certificate {
    pub fn new(directory: &Path) -> Self {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(parameters, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &issuer).unwrap();
        let file = directory.join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { authority: file, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    pub fn listener(&self, listener: TcpListener) -> TlsListener {
        TlsListener { listener, acceptor: self.acceptor.clone() }
    }
}

pub struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            // A client that does not trust the certificate ends the handshake.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
