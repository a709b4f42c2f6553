//! Runs the binary of a Lambda function and serves the Runtime API that it polls for events (AWS
//! Lambda developer guide, "Using the Lambda runtime API").

use crate::streamed;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use control::ports::{Clock, Ids};
use control::system::{RandomIds, SystemClock};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The timeout of an invocation, far longer than one takes on a busy machine: a function that hangs
/// fails its test instead of the time limit of all tests.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Of a response that is not streamed (AWS Lambda Developer Guide, "Lambda quotas").
const MAX_BUFFERED_BYTES: usize = 6 << 20;

/// A running function. It is killed on drop.
pub struct Function {
    name: String,
    child: Child,
    /// Just before its process was started.
    started: Instant,
    runtime: Arc<Runtime>,
    server: tokio::task::JoinHandle<()>,
    log: tempfile::NamedTempFile,
    invocations: mpsc::UnboundedSender<Invocation>,
}

/// An error that a function reported to the Runtime API.
#[derive(Debug, thiserror::Error)]
#[error("{name} failed with {kind}: {message}\n{log}")]
pub struct FunctionError {
    pub name: String,
    pub kind: String,
    pub message: String,
    /// The log of the function so far.
    pub log: String,
}

type Outcome = Result<Value, (String, String)>;

struct Invocation {
    id: String,
    event: Value,
    timeout: Duration,
    answer: oneshot::Sender<Outcome>,
}

struct Runtime {
    arn: String,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    /// The invocations without an answer, by request id.
    answers: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    /// When the function asked for an event for the first time.
    first_poll: OnceLock<Instant>,
    /// Why the function did not start.
    init_error: Mutex<Option<(String, String)>>,
}

impl Runtime {
    fn answers(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<Outcome>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn init_error(&self) -> MutexGuard<'_, Option<(String, String)>> {
        self.init_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, id: &str, outcome: Outcome) -> StatusCode {
        match self.answers().remove(id) {
            // The caller may have been dropped.
            Some(answer) => {
                let _ = answer.send(outcome);
                StatusCode::ACCEPTED
            }
            None => StatusCode::NOT_FOUND,
        }
    }
}

impl Function {
    /// Starts the binary with Lambda's environment variables and `variables`, and no others.
    pub async fn start(name: &str, binary: &std::path::Path, variables: &[(&str, String)]) -> Self {
        let (invocations, waiting) = mpsc::unbounded_channel();
        let runtime = Arc::new(Runtime {
            arn: format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}"),
            waiting: tokio::sync::Mutex::new(waiting),
            answers: Mutex::default(),
            first_poll: OnceLock::new(),
            init_error: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let routes = routes(Arc::clone(&runtime));
        let server = tokio::spawn(async move {
            axum::serve(listener, routes).await.expect("a local server does not end");
        });
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let output = || Stdio::from(log.reopen().expect("the log is there"));
        let started = Instant::now();
        let child = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", name)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}"))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("RUST_BACKTRACE", "1")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        Self { name: name.to_owned(), child, started, runtime, server, log, invocations }
    }

    /// Waits until the function asks for its first event. Returns the time from the start of its process until
    /// then: what Lambda calls the init phase, without the download of the code.
    ///
    /// # Errors
    /// When the function does not start, exits, or exceeds the timeout of an invocation.
    pub async fn ready(&mut self) -> Result<Duration, FunctionError> {
        let until = self.started + TIMEOUT;
        loop {
            if let Some(at) = self.runtime.first_poll.get() {
                return Ok(at.duration_since(self.started));
            }
            self.check_running(until)?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The id of its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Invokes the function and waits for its result.
    ///
    /// # Errors
    /// When the function reports an error, does not start, exits, or exceeds the timeout.
    pub async fn invoke(&mut self, event: Value) -> Result<Value, FunctionError> {
        self.invoke_within(event, TIMEOUT).await
    }

    /// Like [`Self::invoke`], with this timeout.
    ///
    /// # Errors
    /// Those of [`Self::invoke`].
    pub async fn invoke_within(
        &mut self,
        event: Value,
        timeout: Duration,
    ) -> Result<Value, FunctionError> {
        let id = RandomIds.uid().to_string();
        let (answer, mut outcome) = oneshot::channel();
        let invocation = Invocation { id, event, timeout, answer };
        self.invocations.send(invocation).expect("the server holds the other end");
        let until = Instant::now() + timeout;
        loop {
            let soon = Duration::from_millis(100);
            match tokio::time::timeout(soon, &mut outcome).await {
                Ok(Ok(Ok(result))) => return Ok(result),
                Ok(Ok(Err((kind, message)))) => return Err(self.error(&kind, &message)),
                Ok(Err(_)) => {
                    return Err(self.error("Runtime.Dropped", "the invocation was dropped"));
                }
                Err(_) => self.check_running(until)?,
            }
        }
    }

    fn check_running(&mut self, until: Instant) -> Result<(), FunctionError> {
        if let Some((kind, message)) = self.runtime.init_error().take() {
            return Err(self.error(&kind, &message));
        }
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(self.error("Runtime.ExitError", &status.to_string()));
        }
        if Instant::now() > until {
            return Err(self.error("Sandbox.Timedout", "the invocation took too long"));
        }
        Ok(())
    }

    fn error(&self, kind: &str, message: &str) -> FunctionError {
        FunctionError {
            name: self.name.clone(),
            kind: kind.to_owned(),
            message: message.to_owned(),
            log: self.log(),
        }
    }

    /// The log of the function.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.server.abort();
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn routes(runtime: Arc<Runtime>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(runtime)
}

/// Waits for the next event.
async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    runtime.first_poll.get_or_init(Instant::now);
    let Some(invocation) = runtime.waiting.lock().await.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let deadline = SystemClock.now().plus_seconds(invocation.timeout.as_secs());
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", invocation.id.clone()),
        ("Lambda-Runtime-Deadline-Ms", deadline.0.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", runtime.arn.clone()),
        ("Content-Type", "application/json".to_owned()),
    ];
    runtime.answers().insert(invocation.id, invocation.answer);
    (headers, invocation.event.to_string()).into_response()
}

async fn response(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> StatusCode {
    let mode = headers.get("lambda-runtime-function-response-mode");
    let outcome = match mode.is_some_and(|mode| mode == "streaming") {
        true => streamed::read(body).await,
        false => buffered(body).await,
    };
    runtime.answer(&id, outcome)
}

async fn buffered(body: Body) -> Outcome {
    let bytes = to_bytes(body, MAX_BUFFERED_BYTES)
        .await
        .map_err(|error| ("Function.ResponseSizeTooLarge".to_owned(), error.to_string()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ("Runtime.InvalidResponse".to_owned(), error.to_string()))
}

async fn error(
    State(runtime): State<Arc<Runtime>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    runtime.answer(&id, Err(reported(&headers, &body)))
}

async fn init_error(
    State(runtime): State<Arc<Runtime>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    *runtime.init_error() = Some(reported(&headers, &body));
    StatusCode::ACCEPTED
}

fn reported(headers: &HeaderMap, body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| json!({}));
    let header = headers.get("lambda-runtime-function-error-type");
    let kind = header.and_then(|kind| kind.to_str().ok()).unwrap_or("Unhandled").to_owned();
    (kind, body["errorMessage"].as_str().unwrap_or_default().to_owned())
}
