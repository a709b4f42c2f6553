//! Runs `batchai local` as a child process; it can be killed, stopped, and restarted on the same data.

use super::processes;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The timeout of everything that a test waits for.
pub const TIMEOUT: Duration = Duration::from_secs(40);

pub const PAUSE: Duration = Duration::from_millis(30);

/// How many lines of the service's log a failed test prints.
const LOG_LINES: usize = 60;

pub struct Service {
    root: TempDir,
    data_dir: PathBuf,
    options: Vec<String>,
    child: Child,
    pub endpoint: String,
    pub token: String,
    pub http: reqwest::Client,
    /// All answers so far, for checks of their content.
    pub answers: Mutex<Vec<String>>,
}

impl Service {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(options: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data_dir = root.path().join("data");
        Self::start_in(root, data_dir, options)
    }

    pub fn start_in(root: TempDir, data_dir: PathBuf, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = spawn(root.path(), &data_dir, &options);
        let http = tls::Servers::WithoutTls.client().timeout(TIMEOUT).build().unwrap();
        let mut service = Self {
            root,
            data_dir,
            options,
            child,
            endpoint: String::new(),
            token: String::new(),
            http,
            answers: Mutex::default(),
        };
        service.wait_for_answer();
        service
    }

    /// Starts the service again with the same data and another port.
    pub fn restart(&mut self) {
        self.child = spawn(self.root.path(), &self.data_dir, &self.options);
        self.wait_for_answer();
    }

    /// The file with the endpoint may be from the previous start, so only an answer counts.
    fn wait_for_answer(&mut self) {
        let begin = Instant::now();
        let is_ready = |service: &Self| service.batchai(&["workspace", "list"]).status.success();
        while !is_ready(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the service exited during its start: {ended:?}\n{}",
                self.log()
            );
            assert!(begin.elapsed() < TIMEOUT, "the service did not start:\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
        let line =
            |file: &str| fs::read_to_string(self.data_dir.join(file)).unwrap().trim().to_owned();
        (self.endpoint, self.token) = (line("endpoint"), line("token"));
    }

    /// Kills the service. The nodes continue.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops the service like Ctrl-C; returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        processes::signal(self.child.id(), "TERM");
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begin.elapsed() < TIMEOUT, "the service did not stop:\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    /// Runs a `batchai` command against this service.
    pub fn batchai(&self, arguments: &[&str]) -> Output {
        let mut command = program(&self.data_dir);
        command.env("BATCHAI_RESOURCE_GROUP", "g").env("BATCHAI_WORKSPACE", "w");
        command.env("BATCHAI_EXPERIMENT", "e").stdin(Stdio::null());
        command.args(arguments).output().unwrap()
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("service.log")).unwrap_or_default()
    }

    /// The directory of the only file server.
    pub fn file_server(&self) -> PathBuf {
        let servers = fs::read_dir(self.data_dir.join("fileservers")).unwrap();
        let servers: Vec<PathBuf> = servers.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(servers.len(), 1, "this test has one file server");
        servers[0].clone()
    }

    /// The service and its descendants.
    pub fn processes(&self) -> Vec<u32> {
        processes::of(self.root.path())
    }
}

impl Drop for Service {
    /// Ends all processes. A test that succeeded must not leave any.
    fn drop(&mut self) {
        let begin = Instant::now();
        processes::signal(self.child.id(), "TERM");
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < TIMEOUT {
            std::thread::sleep(PAUSE);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let left: Vec<String> = self.processes().into_iter().map(processes::describe).collect();
        for pid in self.processes() {
            processes::signal(pid, "KILL");
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
            println!("The end of the service's log:\n{}", last.join("\n"));
        } else {
            assert!(left.is_empty(), "processes are left behind: {left:#?}");
        }
    }
}

/// `PATH`.
#[expect(clippy::disallowed_methods, reason = "the programs of this machine")]
pub fn search_path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// The `batchai` binary, without the settings from the environment of the tests.
pub fn program(data_dir: &Path) -> Command {
    let mut command = Command::new(tests::binaries::build("batchai"));
    for name in ["ENDPOINT", "TOKEN", "SUBSCRIPTION", "LOG", "PROFILE"] {
        command.env_remove(format!("BATCHAI_{name}"));
    }
    command.env_remove("XDG_CONFIG_HOME");
    // The shell of a job reads ~/.bashrc; the test must not depend on the user's file.
    let root = data_dir.parent().unwrap_or(data_dir);
    command.env("HOME", root);
    // Programs that a test puts in the place of others.
    let path = search_path();
    command.env("PATH", format!("{}:{path}", root.join("bin").display()));
    command.arg("--data-dir").arg(data_dir);
    command
}

fn spawn(root: &Path, data_dir: &Path, options: &[String]) -> Child {
    let log = log_file(root);
    program(data_dir)
        .args(["local", "--listen", "127.0.0.1:0", "--idle-seconds", "2"])
        .args(options)
        // Its stdin is a pipe from this process: if the tests are killed, it stops.
        .args(["--stop-at-end-of-input"])
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn log_file(root: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(root.join("service.log")).unwrap()
}

/// Repeats a check until it returns a value.
pub async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(begin.elapsed() < TIMEOUT, "timed out: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
