//! A control plane of one workspace and one cluster that sends what the test desires, and stores what the agents
//! report. It follows the rules of the protocol: it holds requests while there is
//! nothing new, sends an assignment only to nodes that do not have it, and acknowledges each end by
//! no longer mentioning the attempt.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Json;
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use protocol::{
    AttemptKey, AttemptReport, Desired, End, EndDetails, NodePhase, NodeSetup, Progress,
    SignInRequest, SignInResponse, SyncRequest, SyncResponse,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::ec2::{self, Certificate, Instance, Verifier};
use super::wait_for;

pub const TOKEN: &str = "token-of-the-node";
const ASK_AGAIN_MILLIS: u64 = 300;

pub struct ControlPlane {
    nodes: Arc<Nodes>,
    /// Holds the base URL; agents read it.
    pub endpoint_file: PathBuf,
    /// Not that of any other test: the processes of setups are known by it.
    pub cluster_uid: String,
    /// Where it is reached with TLS, by agents whose requests are signed.
    edge: Option<Edge>,
    running: Option<Runtime>,
    _place: tempfile::TempDir,
}

/// What stands before the control plane on AWS.
struct Edge {
    certificate: Certificate,
    verifier: Arc<Verifier>,
}

#[derive(Default)]
struct Nodes {
    /// Requests are verified at the edge.
    without_tokens: bool,
    scripts: Mutex<HashMap<String, Script>>,
    changed: watch::Sender<u64>,
    sign_ins: Mutex<SignIns>,
}

/// The sign-ins so far, and their answer; 503 while there is none.
#[derive(Default)]
struct SignIns {
    count: usize,
    answer: Option<SignInResponse>,
}

/// One node as the control plane sees it.
pub struct Script {
    pub setup: NodeSetup,
    pub desired: Desired,
    /// Desired next, each when the attempt before it has ended.
    pub queue: VecDeque<Desired>,
    /// All requests, in order.
    pub requests: Vec<SyncRequest>,
    pub ends: Vec<(AttemptKey, End)>,
    /// Answer this instead.
    pub refusal: Option<(u16, &'static str)>,
    /// Do not acknowledge.
    pub deaf: bool,
    /// Answer at once, as a function does that is paid by the millisecond.
    pub never_holds: bool,
}

impl ControlPlane {
    pub fn start() -> Self {
        Self::start_behind(|_| None)
    }

    /// A control plane on AWS: it is reached with TLS, and requests are verified.
    pub fn start_on_aws(instance: &Instance, ahead_seconds: i64) -> Self {
        Self::start_behind(|place| {
            let certificate = Certificate::new(place);
            Some(Edge { certificate, verifier: instance.verifier(ahead_seconds) })
        })
    }

    fn start_behind(edge: impl FnOnce(&Path) -> Option<Edge>) -> Self {
        let place = tempfile::tempdir().unwrap();
        let endpoint_file = place.path().join("endpoint");
        let name = place.path().file_name().unwrap().to_str().unwrap().replace('.', "");
        let cluster_uid = format!("cluster-{name}-{}", std::process::id());
        let edge = edge(place.path());
        let nodes = Arc::new(Nodes { without_tokens: edge.is_some(), ..Nodes::default() });
        let mut own =
            Self { nodes, endpoint_file, cluster_uid, edge, running: None, _place: place };
        own.come_back();
        own
    }

    /// Breaks every connection and forgets the port, like a process that is killed.
    pub fn go_away(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Serves on a new port.
    pub fn come_back(&mut self) {
        let runtime = ec2::runtime();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new()
            .route(
                &format!("/nodes/v1/workspace-uid/cluster/{}/{{node}}/sync", self.cluster_uid),
                post(sync),
            )
            .route(
                &format!(
                    "/instances/v1/workspace-uid/cluster/{}/launch-id/machine/sign-in",
                    self.cluster_uid
                ),
                post(sign_in),
            )
            .with_state(Arc::clone(&self.nodes));
        let url = match &self.edge {
            None => {
                runtime.spawn(async move { axum::serve(listener, router).await });
                format!("http://{address}\n")
            }
            Some(Edge { certificate, verifier }) => {
                let verify = from_fn_with_state(Arc::clone(verifier), ec2::verify);
                let (listener, router) = (certificate.listener(listener), router.layer(verify));
                runtime.spawn(async move { axum::serve(listener, router).await });
                format!("https://localhost:{}\n", address.port())
            }
        };
        write_atomically(&self.endpoint_file, &url);
        self.running = Some(runtime);
    }

    /// The authority that has signed the certificate of the edge.
    pub fn authority(&self) -> &Path {
        &self.edge.as_ref().unwrap().certificate.authority
    }

    /// Why the edge has refused requests.
    pub fn refused(&self) -> Vec<&'static str> {
        self.edge.as_ref().unwrap().verifier.refused().clone()
    }

    /// Answers all sign-ins with this from now on.
    pub fn answer_sign_ins(&self, answer: SignInResponse) {
        self.nodes.sign_ins.lock().unwrap().answer = Some(answer);
    }

    /// Waits for this many sign-ins; returns their number.
    pub fn wait_for_sign_ins(&self, count: usize) -> usize {
        wait_for("a sign-in", || {
            let known = self.nodes.sign_ins.lock().unwrap().count;
            (known >= count).then_some(known)
        })
    }

    pub fn register(&self, node: &str, setup: NodeSetup) {
        let script = Script {
            setup,
            desired: Desired::Idle,
            queue: VecDeque::new(),
            requests: Vec::new(),
            ends: Vec::new(),
            refusal: None,
            deaf: false,
            never_holds: false,
        };
        self.nodes.lock().insert(node.to_owned(), script);
    }

    pub fn change(&self, node: &str, change: impl FnOnce(&mut Script)) {
        change(self.nodes.lock().get_mut(node).unwrap());
        self.nodes.changed.send_modify(|version| *version += 1);
    }

    pub fn desire(&self, node: &str, desired: Desired) {
        self.change(node, |script| script.desired = desired);
    }

    /// What `look` finds in the node's script, as soon as it finds something.
    pub fn wait<T>(&self, what: &str, node: &str, look: impl Fn(&Script) -> Option<T>) -> T {
        wait_for(what, || look(&self.nodes.lock()[node]))
    }

    /// How the attempt ended.
    pub fn end_of(&self, node: &str, key: &AttemptKey) -> End {
        self.wait("the end of the attempt", node, |script| {
            script.ends.iter().find(|(ended, _)| ended == key).map(|(_, end)| end.clone())
        })
    }

    /// What was reported beside the end.
    pub fn end_details_of(&self, node: &str, key: &AttemptKey) -> EndDetails {
        self.wait("the end of the attempt", node, |script| {
            let mut reports = script.requests.iter().filter_map(|request| request.attempt.as_ref());
            let has_ended = |it: &&AttemptReport| {
                it.key == *key && matches!(it.progress, Progress::Ended { .. })
            };
            let last = reports.rfind(has_ended)?;
            Some(last.end_details.as_deref().cloned().unwrap_or_default())
        })
    }

    pub fn wait_for_progress(&self, node: &str, key: &AttemptKey, progress: &Progress) {
        self.wait("the progress of the attempt", node, |script| {
            let last = script.requests.last()?;
            let report = last.attempt.as_ref()?;
            (report.key == *key && report.progress == *progress).then_some(())
        });
    }

    /// The phase that is not `Preparing`.
    pub fn wait_for_phase(&self, node: &str) -> NodePhase {
        self.wait("the end of the setup", node, |script| {
            let last = script.requests.last()?;
            (last.phase != NodePhase::Preparing).then(|| last.phase.clone())
        })
    }

    /// Waits until the node asks with nothing on it: the last end is acknowledged.
    pub fn wait_until_idle(&self, node: &str) {
        self.wait("an idle node", node, |script| {
            let last = script.requests.last()?;
            (last.phase == NodePhase::Ready && last.attempt.is_none()).then_some(())
        });
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Script>> {
        self.scripts.lock().unwrap()
    }
}

async fn sign_in(
    State(nodes): State<Arc<Nodes>>,
    headers: HeaderMap,
    Json(request): Json<SignInRequest>,
) -> Response {
    assert_eq!(request.address, "127.0.1.1");
    if !nodes.without_tokens {
        assert_eq!(headers.get("authorization").unwrap(), "Bearer launch-token");
    }
    assert_eq!(headers.get(protocol::VERSION_HEADER).unwrap(), "1");
    let mut sign_ins = nodes.sign_ins.lock().unwrap();
    sign_ins.count += 1;
    match &sign_ins.answer {
        Some(answer) => Json(answer).into_response(),
        None => refuse(503, "ServiceUnavailable"),
    }
}

async fn sync(
    State(nodes): State<Arc<Nodes>>,
    UrlPath(node): UrlPath<String>,
    headers: HeaderMap,
    Json(request): Json<SyncRequest>,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !nodes.without_tokens && header("authorization") != format!("Bearer {TOKEN}") {
        return refuse(401, "Unauthorized");
    }
    let hold: u64 =
        header("prefer").strip_prefix("wait=").map_or(0, |seconds| seconds.parse().unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(hold);
    let mut changes = nodes.changed.subscribe();
    let mut first = true;
    loop {
        changes.mark_unchanged();
        {
            let mut scripts = nodes.lock();
            let Some(script) = scripts.get_mut(&node) else {
                return refuse(404, "NodeNotFound");
            };
            if first {
                script.hear(&request);
            }
            if let Some((status, code)) = script.refusal {
                return refuse(status, code);
            }
            let (desired, news) = script.answer(&request);
            if news || script.never_holds || tokio::time::Instant::now() >= deadline {
                let answer = SyncResponse { desired, ask_again_millis: ASK_AGAIN_MILLIS };
                return Json(answer).into_response();
            }
        }
        first = false;
        let _ = tokio::time::timeout_at(deadline, changes.changed()).await;
    }
}

impl Script {
    fn hear(&mut self, request: &SyncRequest) {
        self.requests.push(request.clone());
        let Some(AttemptReport { key, progress: Progress::Ended { end }, .. }) = &request.attempt
        else {
            return;
        };
        if !self.ends.iter().any(|(known, _)| known == key) {
            self.ends.push((key.clone(), end.clone()));
        }
        let concerned = match &self.desired {
            Desired::Run { key: wanted, .. } | Desired::Stop { key: wanted, .. } => wanted == key,
            _ => false,
        };
        if concerned && !self.deaf {
            self.desired = self.queue.pop_front().unwrap_or(Desired::Idle);
        }
    }

    /// What to answer, and whether the agent does not know it yet.
    fn answer(&self, request: &SyncRequest) -> (Desired, bool) {
        let desired = self.desired.clone();
        if matches!(desired, Desired::Leave { .. }) {
            return (desired, true);
        }
        if request.phase == NodePhase::Preparing {
            return (Desired::Prepare { setup: Box::new(self.setup.clone()) }, true);
        }
        let reported = request.attempt.as_ref();
        match desired {
            Desired::Run { key, start, assignment } => match reported {
                Some(report) if report.key == key && !report.needs_assignment => {
                    let news = start && report.progress == Progress::Prepared;
                    (Desired::Run { key, start, assignment: None }, news)
                }
                _ => (Desired::Run { key, start, assignment }, true),
            },
            Desired::Idle => (Desired::Idle, reported.is_some()),
            other => (other, true),
        }
    }
}

fn refuse(status: u16, code: &str) -> Response {
    let body = serde_json::json!({"error": {"code": code, "message": "refused"}});
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn write_atomically(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, path).unwrap();
}
