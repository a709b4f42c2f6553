//! EC2 instances: for each that moto runs, a metadata service and an agent with its keeper, started as the user data
//! does it. What moto terminates loses its processes; what leaves switches itself off.

use crate::functions::Functions;
use crate::metadata::Metadata;
use processes::keeper::Request;
use roxmltree::{Document, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tests::binaries::build;
use tests::lambda_events;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// An instance as DescribeInstances describes it.
#[derive(Clone, Debug)]
pub struct Described {
    pub id: String,
    pub state: String,
    pub is_spot: bool,
    pub address: String,
    pub tags: BTreeMap<String, String>,
}

/// What the instances share.
pub struct Machines {
    /// moto.
    pub ec2: String,
    /// The HTTP API.
    pub endpoint: String,
    pub functions: Arc<Functions>,
    /// The root of the file system.
    pub files: PathBuf,
    /// A directory for each instance.
    pub root: tempfile::TempDir,
    running: Mutex<BTreeMap<String, Arc<Metadata>>>,
    /// Everything that was ever described.
    seen: Mutex<BTreeMap<String, Described>>,
}

impl Machines {
    pub fn new(ec2: String, endpoint: String, functions: Arc<Functions>, files: PathBuf) -> Self {
        let root = tempfile::tempdir().unwrap();
        let (running, seen) = (Mutex::default(), Mutex::default());
        Self { ec2, endpoint, functions, files, root, running, seen }
    }

    /// Boots and ends instances as moto says, until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        let mut keepers: BTreeMap<String, Child> = BTreeMap::new();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for instance in self.describe().await {
                lock(&self.seen).insert(instance.id.clone(), instance.clone());
                let known = keepers.contains_key(&instance.id);
                match instance.state.as_str() {
                    "pending" | "running" if !known => {
                        keepers.insert(instance.id.clone(), self.boot(&instance).await);
                    }
                    "shutting-down" | "terminated" if known => {
                        if let Some(keeper) = keepers.get_mut(&instance.id) {
                            power_off(keeper).await;
                        }
                        lock(&self.running).remove(&instance.id);
                    }
                    _ => {}
                }
            }
            for (id, keeper) in &mut keepers {
                let has_left = keeper.try_wait().unwrap().is_some_and(|status| status.success());
                if has_left && lock(&self.running).contains_key(id) {
                    self.terminate(id).await;
                }
            }
        }
    }

    async fn boot(&self, instance: &Described) -> Child {
        let metadata = Arc::new(Metadata::start(instance).await);
        let root = self.root.path().join(&instance.id);
        std::fs::create_dir_all(&root).unwrap();
        let log = std::fs::File::create(root.join("console.log")).unwrap();
        let agent = tokio::task::spawn_blocking(|| build("batchai-agent")).await.unwrap();
        let mut keeper = Command::new(&agent)
            .arg("keep")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &metadata.endpoint)
            .env("PATH", path_with_mount())
            .env("TEST_MOTO", &self.ec2)
            .env("TEST_FILES", &self.files)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let request = self.request(&agent, instance, &root);
        let mut input = keeper.stdin.take().unwrap();
        input.write_all(&serde_json::to_vec(&request).unwrap()).await.unwrap();
        drop(input);
        lock(&self.running).insert(instance.id.clone(), metadata);
        keeper
    }

    /// What the user data writes.
    fn request(&self, agent: &Path, instance: &Described, root: &Path) -> Request {
        let words = [
            agent.to_str().unwrap(),
            "agent",
            "--endpoint",
            &self.endpoint,
            "--region",
            "eu-west-1",
            "--instance",
            &instance.id,
            "--address",
            &instance.address,
            "--root",
            root.join("LS_root").to_str().unwrap(),
        ]
        .map(Into::into);
        Request { file: root.join("keeper"), group: None, command: words.into(), user: None }
    }

    /// EC2 takes a spot instance back: a notice to EventBridge and to the metadata service, then the end.
    pub async fn interrupt(&self, id: &str, notice: Duration) {
        let metadata = Arc::clone(&lock(&self.running)[id]);
        metadata.interrupt(notice);
        self.functions.invoke("recovery", lambda_events::interruption(id)).await.unwrap();
        tokio::time::sleep(notice).await;
        self.terminate(id).await;
    }

    pub fn running(&self) -> BTreeSet<String> {
        lock(&self.running).keys().cloned().collect()
    }

    pub fn seen(&self) -> Vec<Described> {
        lock(&self.seen).values().cloned().collect()
    }

    async fn terminate(&self, id: &str) {
        self.call(&format!("Action=TerminateInstances&InstanceId.1={id}")).await;
    }

    async fn describe(&self) -> Vec<Described> {
        let answer = self.call("Action=DescribeInstances").await;
        let document = Document::parse(&answer).unwrap();
        let sets = document.descendants().filter(|it| it.has_tag_name("instancesSet"));
        // An element `item` has no namespace prefix, and each direct child of the set is an instance.
        sets.flat_map(|set| set.children().filter(Node::is_element)).map(described).collect()
    }

    /// A call of the EC2 Query API. Moto finds the service by the scope of the signature and does not verify it.
    async fn call(&self, parameters: &str) -> String {
        let answer = tls::Servers::WithoutTls.client().build().unwrap()
            .post(&self.ec2)
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20261121/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0",
            )
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("{parameters}&Version=2016-11-15"))
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_success(), "{parameters}: {}", answer.status());
        answer.text().await.unwrap()
    }
}

fn described(instance: Node) -> Described {
    let text = |parent: Node, name: &str| {
        let found = parent.children().find(|it| it.tag_name().name() == name);
        found.and_then(|it| it.text()).unwrap_or_default().to_owned()
    };
    let child = |name: &str| instance.children().find(|it| it.tag_name().name() == name);
    let tags = child("tagSet").into_iter().flat_map(|set| set.children().filter(Node::is_element));
    Described {
        id: text(instance, "instanceId"),
        state: child("instanceState").map(|it| text(it, "name")).unwrap_or_default(),
        is_spot: text(instance, "instanceLifecycle") == "spot",
        address: text(instance, "privateIpAddress"),
        tags: tags.map(|tag| (text(tag, "key"), text(tag, "value"))).collect(),
    }
}

/// Whether this process may mount.
pub fn can_mount() -> bool {
    let tried = std::process::Command::new("unshare").args(["--mount", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Before the programs of this machine, those that an instance has and this machine does not.
fn path_with_mount() -> String {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aws/programs");
    #[expect(clippy::disallowed_methods, reason = "the programs of this machine")]
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", programs.display())
}

impl Drop for Machines {
    /// A test that fails leaves mounts behind.
    fn drop(&mut self) {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let root = self.root.path().to_str().unwrap_or_default();
        for point in table.lines().filter_map(|it| it.split(' ').nth(4)) {
            if point.starts_with(root) {
                let _ = std::process::Command::new("umount").args(["--lazy", point]).status();
            }
        }
    }
}

/// Ends every process of the machine.
async fn power_off(keeper: &mut Child) {
    if let Some(pid) = keeper.id().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()))
    {
        rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), keeper.wait()).await;
        ended.expect("the keeper ends the machine").unwrap();
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
