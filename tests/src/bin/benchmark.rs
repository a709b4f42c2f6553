//! Figures of the service on one machine: `cargo build --release && cargo run --release -p tests
//! --bin benchmark`. Nothing is asserted; a table comes out.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SCOPE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/bench/providers/Microsoft.BatchAI/workspaces/bench";

#[derive(Parser)]
#[command(about = "Measures the service on this machine")]
struct Options {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/batchai")]
    binary: PathBuf,
    /// Jobs whose time from PUT to process is taken, one after the other.
    #[arg(long, default_value_t = 300)]
    latency_jobs: usize,
    /// Jobs that are submitted at once.
    #[arg(long, default_value_t = 2000)]
    jobs: usize,
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// Connections that submit.
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests of each kind.
    #[arg(long, default_value_t = 3000)]
    requests: usize,
}

const POLLERS: usize = 100;

struct Service {
    child: Child,
    base: String,
    token: String,
    client: reqwest::Client,
    directory: tempfile::TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let stopped = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if stopped.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Service {
    async fn start(binary: &Path) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let child = Command::new(binary)
            .args(["local", "--listen", "127.0.0.1:0", "--idle-seconds", "600", "--data-dir"])
            .arg(directory.path())
            // A job's shell reads ~/.bashrc. What the user's costs is not the service's doing.
            .env("HOME", directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| {
                format!("{} could not be started; build it first", binary.display())
            })?;
        let client = reqwest::Client::new();
        let mut service =
            Self { child, base: String::new(), token: String::new(), client, directory };
        for _ in 0..200 {
            let read = |name: &str| std::fs::read_to_string(service.directory.path().join(name));
            if let (Ok(base), Ok(token)) = (read("endpoint"), read("token")) {
                service.base = base.trim().to_owned();
                service.token = token.trim().to_owned();
                return Ok(service);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::bail!("the service did not come up")
    }

    async fn call(&self, method: http::Method, path: &str, body: Option<Value>) -> Result<Value> {
        let url = format!("{}{SCOPE}{path}?api-version=2018-05-01", self.base);
        let request = self.client.request(method, &url).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{url}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn put(&self, path: &str, body: Value) -> Result<Value> {
        self.call(http::Method::PUT, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        self.call(http::Method::GET, path, None).await
    }

    /// Asks until the answer pleases.
    async fn wait(&self, path: &str, pleases: impl Fn(&Value) -> bool) -> Result<Value> {
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            let answer = self.get(path).await?;
            if pleases(&answer["properties"]) {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        anyhow::bail!("waited too long for {path}")
    }

    fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    }

    async fn prepare(&self, nodes: usize) -> Result<()> {
        self.put("", json!({"location": "here"})).await?;
        let account = json!({"adminUserName": "bench", "adminUserPassword": "unused"});
        let server = json!({"properties": {
            "vmSize": "STANDARD_D1",
            "sshConfiguration": {"userAccountSettings": account},
            "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
        }});
        self.put("/fileServers/nfs", server).await?;
        self.wait("/fileServers/nfs", |it| it["provisioningState"] == "succeeded").await?;
        self.put("/clusters/c", cluster(nodes)).await?;
        self.wait("/clusters/c", |it| it["nodeStateCounts"]["idleNodeCount"] == nodes).await?;
        self.call(http::Method::PUT, "/experiments/e", None).await?;
        Ok(())
    }
}

fn cluster(nodes: usize) -> Value {
    let server = format!("{SCOPE}/fileServers/nfs");
    json!({"properties": {
        "vmSize": "STANDARD_D1",
        "scaleSettings": {"manual": {"targetNodeCount": nodes}},
        "userAccountSettings": {"adminUserName": "bench", "adminUserPassword": "unused"},
        "nodeSetup": {"mountVolumes": {"fileServers": [
            {"fileServer": {"id": server}, "relativeMountPath": "nfs"},
        ]}},
    }})
}

fn job(command_line: &str) -> Value {
    json!({"properties": {
        "cluster": {"id": format!("{SCOPE}/clusters/c")},
        "nodeCount": 1,
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "customToolkitSettings": {"commandLine": command_line},
    }})
}

fn is_final(properties: &Value) -> bool {
    properties["executionState"] == "succeeded" || properties["executionState"] == "failed"
}

/// From the moment before the PUT is sent until bash, started for the job, reads the clock.
async fn latency(service: &Service, count: usize) -> Result<Vec<f64>> {
    let mut millis = Vec::with_capacity(count);
    let clock = service.directory.path().join("clock");
    for number in 0..count {
        let command = format!("printf %s $EPOCHREALTIME > {}", clock.display());
        let before = epoch_seconds()?;
        service.put(&format!("/experiments/e/jobs/l{number}"), job(&command)).await?;
        service.wait(&format!("/experiments/e/jobs/l{number}"), is_final).await?;
        let started: f64 = std::fs::read_to_string(&clock)?.replace(',', ".").parse()?;
        millis.push((started - before) * 1000.0);
    }
    millis.sort_by(f64::total_cmp);
    Ok(millis)
}

#[expect(clippy::disallowed_methods, reason = "compared with the clock that a job's shell reads")]
fn epoch_seconds() -> Result<f64> {
    Ok(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs_f64())
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Seconds until all are accepted, and until the last one has ended.
async fn throughput(service: &Arc<Service>, options: &Options) -> Result<(f64, f64)> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut submitters = tokio::task::JoinSet::new();
    for _ in 0..options.connections {
        let (service, next, jobs) = (Arc::clone(service), Arc::clone(&next), options.jobs);
        submitters.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    return anyhow::Ok(());
                }
                service.put(&format!("/experiments/e/jobs/t{number}"), job("true")).await?;
            }
        });
    }
    while let Some(done) = submitters.join_next().await {
        done??;
    }
    let accepted = start.elapsed().as_secs_f64();
    service.wait("/clusters/c", |it| it["nodeStateCounts"]["runningNodeCount"] == 0).await?;
    let ended = start.elapsed().as_secs_f64();
    let last = format!("/experiments/e/jobs/t{}", options.jobs - 1);
    service.wait(&last, |it| it["executionState"] == "succeeded").await?;
    Ok((accepted, ended))
}

/// How fast requests of one kind are answered.
struct Pace {
    per_second: f64,
    p99_millis: f64,
}

/// `connections` clients send requests one after the other, `count` in all.
async fn pace<F>(
    service: &Arc<Service>,
    connections: usize,
    count: usize,
    request: impl Fn(Arc<Service>, usize) -> F,
) -> Result<Pace>
where
    F: Future<Output = Result<Value>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let request = &request;
    let client = |_| {
        let (service, next) = (Arc::clone(service), Arc::clone(&next));
        async move {
            let mut millis = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(millis);
                }
                let begin = Instant::now();
                request(Arc::clone(&service), number).await?;
                millis.push(begin.elapsed().as_secs_f64() * 1000.0);
            }
        }
    };
    let measured = futures::future::try_join_all((0..connections).map(client)).await?;
    let elapsed = start.elapsed().as_secs_f64();
    let mut millis: Vec<f64> = measured.into_iter().flatten().collect();
    millis.sort_by(f64::total_cmp);
    Ok(Pace { per_second: count as f64 / elapsed, p99_millis: percentile(&millis, 99) })
}

/// Reads of one job, and submissions to a cluster without nodes, so that nothing else happens.
async fn api(service: &Arc<Service>, options: &Options) -> Result<(Pace, Pace)> {
    service.put("/clusters/empty", cluster(0)).await?;
    let mut waiting = job("true");
    waiting["properties"]["cluster"]["id"] = json!(format!("{SCOPE}/clusters/empty"));
    service.put("/experiments/e/jobs/waits", waiting.clone()).await?;
    let get = pace(service, options.connections, options.requests, |service, _| async move {
        service.get("/experiments/e/jobs/waits").await
    });
    let get = get.await?;
    let put = pace(service, options.connections, options.requests, |service, number| {
        let body = waiting.clone();
        async move { service.put(&format!("/experiments/e/jobs/p{number}"), body).await }
    });
    Ok((get, put.await?))
}

/// Memory of the service in KiB while so many clients, each with a connection of its own, ask ten
/// times a second how a job is.
async fn polled(service: &Arc<Service>, clients: usize) -> Result<u64> {
    let mut pollers = tokio::task::JoinSet::new();
    for _ in 0..clients {
        let url =
            format!("{}{SCOPE}/experiments/e/jobs/waits?api-version=2018-05-01", service.base);
        let token = service.token.clone();
        pollers.spawn(async move {
            let client = reqwest::Client::new();
            loop {
                client.get(&url).bearer_auth(&token).send().await?.error_for_status()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            #[expect(unreachable_code, reason = "says what the task answers")]
            reqwest::Result::Ok(())
        });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let resident = service.resident_kib()?;
    if let Some(ended) = pollers.try_join_next() {
        ended??;
    }
    Ok(resident)
}

/// Read and write units per job, from submission to the end, as DynamoDB would charge them.
async fn units(binary: &Path) -> Result<(f64, f64)> {
    const JOBS: usize = 200;
    let directory = tempfile::tempdir()?;
    let service = local::Service::start(local::Options {
        listen: "127.0.0.1:0".parse()?,
        data_dir: directory.path().to_owned(),
        max_nodes: 4,
        quota: local::Quota::DEFAULT,
        token: None,
        idle_seconds: 600,
        tick_millis: 3_600_000,
        node_command: vec![
            "env".into(),
            format!("HOME={}", directory.path().display()).into(),
            binary.canonicalize()?.into_os_string(),
            "agent".into(),
        ],
    })
    .await?;
    let token = std::fs::read_to_string(service.token_file())?.trim().to_owned();
    let client = reqwest::Client::new();
    // The child is only a stand-in, so that the same helpers can be used.
    let child = Command::new("sleep").arg("600").spawn()?;
    let base = format!("http://{}", service.address());
    let bench = Service { child, base, token, client, directory: tempfile::tempdir()? };
    bench.prepare(1).await?;
    let table = &service.control().table;
    let before = table.units().consumed();
    for number in 0..JOBS {
        bench.put(&format!("/experiments/e/jobs/u{number}"), job("true")).await?;
    }
    // Asked for rarely, as asking costs units too.
    let last = format!("/experiments/e/jobs/u{}", JOBS - 1);
    while bench.get(&last).await?["properties"]["executionState"] != "succeeded" {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let after = table.units().consumed();
    service.stop(Duration::from_secs(5), std::future::pending()).await;
    let per_job = |total: f64| total / JOBS as f64;
    Ok((
        per_job(after.read_units - before.read_units),
        per_job(after.write_units - before.write_units),
    ))
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let service = Arc::new(Service::start(&options.binary).await?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let at_rest = service.resident_kib()?;
    eprintln!("preparing {} nodes", options.nodes);
    service.prepare(options.nodes).await?;
    eprintln!("{} jobs, one after the other", options.latency_jobs);
    let millis = latency(&service, options.latency_jobs).await?;
    eprintln!("{} jobs at once", options.jobs);
    let (accepted, ended) = throughput(&service, &options).await?;
    let after_load = service.resident_kib()?;
    eprintln!("{} requests of each kind", options.requests);
    let (get, put) = api(&service, &options).await?;
    eprintln!("{POLLERS} clients poll");
    let with_pollers = polled(&service, POLLERS).await?;
    drop(service);
    eprintln!("units per job");
    let (read_units, write_units) = units(&options.binary).await?;
    let jobs = options.jobs as f64;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
    table.set_header(["figure", "value"]);
    table.add_row(["PUT to first process, p50", &format!("{:.1} ms", percentile(&millis, 50))]);
    table.add_row(["PUT to first process, p99", &format!("{:.1} ms", percentile(&millis, 99))]);
    table.add_row(["jobs accepted per second", &format!("{:.0}", jobs / accepted)]);
    table.add_row(["jobs per second, first PUT to last end", &format!("{:.0}", jobs / ended)]);
    table
        .add_row(["memory of the service at rest", &format!("{:.1} MiB", at_rest as f64 / 1024.0)]);
    table.add_row(["memory after the load", &format!("{:.1} MiB", after_load as f64 / 1024.0)]);
    let pace = |it: &Pace| format!("{:.0}/s, p99 {:.1} ms", it.per_second, it.p99_millis);
    table.add_row(["GET job", &pace(&get)]);
    table.add_row(["PUT job", &pace(&put)]);
    let mebibytes = format!("{:.1} MiB", with_pollers as f64 / 1024.0);
    table.add_row(["memory while 100 clients poll", &mebibytes]);
    table.add_row(["read units per job", &format!("{read_units:.1}")]);
    table.add_row(["write units per job", &format!("{write_units:.1}")]);
    println!("{table}");
    Ok(())
}
