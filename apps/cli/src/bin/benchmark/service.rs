//! Runs `batchai local` with a temporary data directory.

use crate::bodies;
use crate::client::{Access, Call, Connection};
use crate::options::Setup;
use crate::processes;
use anyhow::{Context as _, Result, bail};
use hyper::Method;
use serde_json::Value;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The timeout of everything that is awaited.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How long the service may take to stop.
const STOPPING: Duration = Duration::from_secs(15);

/// The polling interval of a resource, long enough that the reads take about one per cent of the
/// service's time.
const POLL: Duration = Duration::from_millis(20);

pub struct Service {
    child: Child,
    pub access: Access,
    root: PathBuf,
}

impl Service {
    /// Starts the service; returns when it listens.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let root = setup.scratch.directory("service-")?;
        // The shell of a job reads ~/.bashrc; the cost of the user's file must not count.
        let (home, data) = (root.join("home"), root.join("data"));
        std::fs::create_dir(&home)?;
        let log = File::create(root.join("log"))?;
        let child = Command::new(&setup.binary)
            .args(["local", "--listen", "127.0.0.1:0", "--idle-seconds", "3600"])
            // Its standard input ends with this process, even when this process is killed.
            .arg("--stop-at-end-of-input")
            .arg("--data-dir")
            .arg(&data)
            .env("HOME", &home)
            .env_remove("BATCHAI_TOKEN")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C must reach only this process, which then stops the service.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", setup.binary.display()))?;
        let mut starting = Starting { child: Some(child) };
        let access = starting.listen(&data, &root).await?;
        let child = starting.child.take().context("started above")?;
        Ok(Self { child, access, root })
    }

    /// Starts the service with an experiment `e` and a cluster `c` of that many idle nodes.
    pub async fn with_cluster(setup: &Setup, nodes: usize) -> Result<Self> {
        let service = Self::start(setup).await?;
        let mut connection = service.connect().await?;
        for (resource, body) in [
            ("", bodies::workspace()),
            ("/fileServers/nfs", bodies::file_server()),
            ("/clusters/c", bodies::cluster(nodes)),
            ("/experiments/e", Value::Null),
        ] {
            let body = if body.is_null() { String::new() } else { body.to_string() };
            connection.send(Call::put(bodies::path(resource), body.into())).await?;
            if resource.starts_with("/fileServers") {
                let ready = |it: &Value| it["provisioningState"] == "succeeded";
                connection.wait(resource, ready).await?;
            }
        }
        connection.wait_for_idle_nodes(nodes).await?;
        Ok(service)
    }

    pub async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.access).await
    }

    /// The process id of the service; the agents are its children.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// A directory for the files of a measurement.
    pub fn directory(&self) -> &Path {
        &self.root
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        stop(&mut self.child);
    }
}

/// A service that does not listen yet. It is stopped on drop.
struct Starting {
    child: Option<Child>,
}

impl Starting {
    async fn listen(&mut self, data: &Path, root: &Path) -> Result<Access> {
        let begin = Instant::now();
        let read = |name: &str| std::fs::read_to_string(data.join(name));
        let log = || std::fs::read_to_string(root.join("log")).unwrap_or_default();
        while begin.elapsed() < TIMEOUT {
            if let (Ok(endpoint), Ok(token)) = (read("endpoint"), read("token")) {
                let address = endpoint.trim().trim_start_matches("http://").parse();
                let address = address.with_context(|| format!("the endpoint is {endpoint}"))?;
                return Ok(Access { address, token: token.trim().to_owned() });
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("the service exited during its start, {status}:\n{}", log());
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("the service does not listen:\n{}", log())
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            stop(child);
        }
    }
}

/// Stops the service, and kills it and its descendants after a timeout.
fn stop(child: &mut Child) {
    let below = processes::descendants(child.id().cast_signed());
    let process = processes::Process::read(child.id().cast_signed());
    // The end of its input stops it.
    drop(child.stdin.take());
    if let Some(process) = process {
        processes::end(&[process], STOPPING);
    }
    let _ = child.wait();
    processes::end(&below, Duration::from_secs(1));
}

impl Connection {
    pub async fn properties(&mut self, resource: &str) -> Result<Value> {
        let mut answer = self.ask(Call::get(bodies::path(resource))).await?;
        Ok(answer["properties"].take())
    }

    /// Reads a resource until its properties fit, and returns them.
    pub async fn wait(&mut self, resource: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let begin = Instant::now();
        loop {
            let properties = self.properties(resource).await?;
            if fits(&properties) {
                return Ok(properties);
            }
            if begin.elapsed() > TIMEOUT {
                bail!("timed out waiting for {resource}: {properties}");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn wait_for_idle_nodes(&mut self, nodes: usize) -> Result<()> {
        let idle = |it: &Value| {
            it["nodeStateCounts"]["idleNodeCount"] == nodes && it["currentNodeCount"] == nodes
        };
        self.wait("/clusters/c", idle).await.map(drop)
    }

    pub async fn resize(&mut self, nodes: usize) -> Result<()> {
        let body = bodies::resize(nodes).to_string().into();
        let path = bodies::path("/clusters/c");
        self.send(Call { method: Method::PATCH, path, body }).await.map(drop)
    }

    /// Waits for the end of a job of the experiment `e`, which must succeed.
    pub async fn wait_for_job(&mut self, name: &str) -> Result<()> {
        let resource = format!("/experiments/e/jobs/{name}");
        let ended = |it: &Value| it["executionState"] == "succeeded" || is_failed(it);
        let properties = self.wait(&resource, ended).await?;
        if is_failed(&properties) {
            bail!("job {name} failed: {properties}");
        }
        Ok(())
    }
}

fn is_failed(job: &Value) -> bool {
    job["executionState"] == "failed"
}
