//! A service in memory with one resource of each kind: a fixed clock, ids in sequence, nodes that
//! come up at once, and one file to download.

use ::http::{Request, Response};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use control::directories::DiskDirectories;
use control::files::MountedFiles;
use control::keys::{Keys, Link};
use control::ports::{
    Clock, Hints, Ids, LaunchOutcome, LaunchRequest, Machines, PortError, Termination,
};
use control::secrets::NoSecretStore;
use control::uptime::Uptime;
use control::{Context, Control, Function, Parts, Provider, Settings};
use http_body_util::BodyExt as _;
use model::{ClusterRef, LaunchedInstance, NodeId, Quota, Target, Timestamp, Uid};
use scheduler::recovery::FoundInstance;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use table::{Memory, Table};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;
use web::{Access, AgentAccess, FilesWeb, OutputFiles, PeopleAccess, Web};

pub const TOKEN: &str = "token";

const WORKSPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w";

/// A day in 2018.
const NOW: Timestamp = Timestamp(1_530_000_000_000);

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

#[derive(Default)]
struct Sequence(AtomicU64);

impl Ids for Sequence {
    fn uid(&self) -> Uid {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Uid::from_bytes((u128::from(number) << 64 | 1).to_be_bytes())
    }
}

#[derive(Default)]
struct PendingHints(Mutex<BTreeSet<(Function, Target)>>);

#[async_trait]
impl Hints for PendingHints {
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError> {
        self.0.lock().expect("not poisoned").insert((function, target.clone()));
        Ok(())
    }

    fn notify_node(&self, _node: &NodeId) {}
}

struct Cloud;

#[async_trait]
impl Machines for Cloud {
    async fn launch(&self, request: &LaunchRequest) -> Result<LaunchOutcome, PortError> {
        let machine = |id: &NodeId| LaunchedInstance {
            id: format!("i-{id}"),
            address: Some("10.0.0.1".to_owned()),
            node: Some(id.clone()),
            offering: model::Offering::Single,
        };
        let launched = request.nodes.iter().map(machine).collect();
        Ok(LaunchOutcome { launched, ..LaunchOutcome::default() })
    }

    async fn find(&self, _cluster: &ClusterRef) -> Result<Vec<FoundInstance>, PortError> {
        Ok(Vec::new())
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, PortError> {
        Ok(Vec::new())
    }

    async fn terminate(
        &self,
        _cluster: &ClusterRef,
        instances: &[String],
    ) -> Result<Vec<Result<Termination, PortError>>, PortError> {
        Ok(instances.iter().map(|_| Ok(Termination::Ended)).collect())
    }
}

pub struct Service {
    runtime: Runtime,
    app: Router,
    hints: Arc<PendingHints>,
    control: Control,
    placeholders: Vec<(&'static str, String)>,
    _directory: TempDir,
}

impl Service {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let hints = Arc::new(PendingHints::default());
        let control = Control::new(Context::new(Parts {
            table: Table::new(Arc::new(Memory::new())),
            machines: Arc::new(Cloud),
            file_shares: Arc::new(DiskDirectories { root: directory.path().to_owned() }),
            shared_files: Arc::new(MountedFiles { root: directory.path().to_owned() }),
            secret_store: Arc::new(NoSecretStore),
            hints: Arc::clone(&hints) as _,
            clock: Arc::new(FixedClock),
            ids: Arc::new(Sequence::default()),
            keys: Arc::new(Keys::derive(&[7; 32])),
            settings: Settings {
                quota: Quota::DEFAULT,
                locations: "here,eastus,local".parse().expect("a list"),
                idle_seconds: 300,
                max_nodes: 10,
                file_server_root: Some(directory.path().to_owned()),
                provider: Provider::Processes,
                shows_local_paths: false,
            },
            uptime: Arc::new(Uptime::always()),
        }));
        let access = Arc::new(Access {
            people: PeopleAccess::Tokens { service: TOKEN.to_owned() },
            loopback_only: true,
            agents: AgentAccess::Tokens,
        });
        let files = MountedFiles { root: directory.path().to_owned() };
        let files = OutputFiles::Here(FilesWeb::here(&control, files, TOKEN.to_owned()));
        let web = Web {
            control: control.clone(),
            access,
            behind_proxy: true,
            files,
            held_requests: None,
            portal: web::PortalSignIn::Closed,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let app = web::app(web, Router::new());
        let placeholders = Vec::new();
        let mut service =
            Self { runtime, app, hints, control, placeholders, _directory: directory };
        service.create_resources();
        service
    }

    /// Replaces names in braces by what only this service knows: `{w}` is the path of the workspace,
    /// `{link}` a signed link without its query, `{signature}` that query, `{sync}` the path on
    /// which the agent of a node reports, `{node}` its token.
    pub fn fill_in(&self, text: &str) -> String {
        self.placeholders
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    pub fn send(&self, request: Request<Body>) -> Response<Vec<u8>> {
        self.runtime.block_on(async {
            let response = self.app.clone().oneshot(request).await.expect("the router answers");
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("a body in memory or on disk").to_bytes();
            Response::from_parts(parts, body.to_vec())
        })
    }

    fn create_resources(&mut self) {
        let account = json!({"adminUserName": "u", "adminUserPassword": "p"});
        self.put("", &json!({"location": "local"}));
        self.put("/experiments/e", &Value::Null);
        let file_server = json!({"properties": {
            "vmSize": "STANDARD_D1",
            "sshConfiguration": {"userAccountSettings": account},
            "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
        }});
        self.put("/fileServers/f", &file_server);
        let cluster = json!({"properties": {
            "vmSize": "STANDARD_D1",
            "scaleSettings": {"manual": {"targetNodeCount": 1}},
            "userAccountSettings": account,
        }});
        self.put("/clusters/c", &cluster);
        let job = json!({"properties": {
            "cluster": {"id": format!("{WORKSPACE}/clusters/c")},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "$AZ_BATCHAI_JOB_TEMP",
            "customToolkitSettings": {"commandLine": "true"},
        }});
        self.put("/experiments/e/jobs/j", &job);
        let (link, signature) = self.link();
        let (sync, node) = self.node();
        self.placeholders = vec![
            ("{w}", WORKSPACE.to_owned()),
            ("{link}", link),
            ("{signature}", signature),
            ("{sync}", sync),
            ("{node}", node),
        ];
    }

    fn put(&self, resource: &str, body: &Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::put(format!("{WORKSPACE}{resource}?api-version=2018-05-01"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("host", "127.0.0.1")
            .body(Body::from(body))
            .expect("a request");
        let response = self.send(request);
        assert!(response.status().is_success(), "{resource}: {response:?}");
        self.deliver_hints();
    }

    fn deliver_hints(&self) {
        loop {
            let next = self.hints.0.lock().expect("not poisoned").pop_first();
            let Some((function, target)) = next else { return };
            self.runtime
                .block_on(self.control.reconcile(function, &target))
                .expect("nothing fails in memory");
        }
    }

    /// A link to a file of ten bytes on the file server, and its query.
    fn link(&self) -> (String, String) {
        let context = &self.control.context;
        let root = context.settings.file_server_root.as_ref().expect("a directory");
        let server = std::fs::read_dir(root).expect("the root").next().expect("a file server");
        let server = server.expect("readable").file_name().into_string().expect("a uid");
        std::fs::write(root.join(&server).join("log.txt"), "0123456789").expect("a file");
        let file_server = Uid::parse(&server).expect("a uid");
        let creator = context.keys.fingerprint(TOKEN);
        let expires_at = NOW.epoch_seconds() + 60;
        let workspace = "00000000-0000-0000-0000-000000000000/g/w";
        let link = Link {
            file_server: &file_server,
            path: "log.txt",
            expires_at,
            creator: &creator,
            workspace,
        };
        let signature = context.keys.sign_link(&link);
        let query = format!("se={expires_at}&by={creator}&in={workspace}&sig={signature}");
        (format!("/files/{server}/log.txt"), query)
    }

    /// The path on which the agent of a node reports, and its token.
    fn node(&self) -> (String, String) {
        let context = &self.control.context;
        let targets = self.runtime.block_on(context.table.scheduled_targets()).expect("memory");
        let cluster = targets
            .into_iter()
            .find_map(|target| match target {
                Target::Cluster { cluster } => Some(cluster),
                Target::FileServer { .. }
                | Target::RemovedFileServer { .. }
                | Target::Experiment { .. }
                | Target::Workspace { .. }
                | Target::ResourceGroup { .. } => None,
            })
            .expect("the cluster is scheduled");
        let nodes = self.runtime.block_on(context.table.nodes(&cluster)).expect("memory");
        let node = &nodes.first().expect("a node").id;
        let ClusterRef { workspace, name, uid } = &cluster;
        let path = format!("/nodes/v1/{workspace}/{name}/{uid}/{node}/sync");
        (path, context.keys.node_token(&cluster, node))
    }
}
