//! `batchai local` as a child process: started, killed, stopped, and started again on the same data.

use super::processes;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Everything that a test waits for has to come within this time.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub const PAUSE: Duration = Duration::from_millis(30);

/// Lines of the service's log that a failed test shows.
const LOG_LINES: usize = 60;

pub struct Service {
    place: TempDir,
    data_dir: PathBuf,
    options: Vec<String>,
    child: Child,
    pub endpoint: String,
    pub token: String,
    pub http: reqwest::Client,
    /// Every body that was answered, for those who look for what must not be there.
    pub answered: Mutex<Vec<String>>,
}

impl Service {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(options: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        let data_dir = place.path().join("data");
        Self::start_in(place, data_dir, options)
    }

    pub fn start_in(place: TempDir, data_dir: PathBuf, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let child = spawn(place.path(), &data_dir, &options);
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        let mut service = Self {
            place,
            data_dir,
            options,
            child,
            endpoint: String::new(),
            token: String::new(),
            http,
            answered: Mutex::default(),
        };
        service.wait_for_answer();
        service
    }

    /// On the same data, on another port.
    pub fn start_again(&mut self) {
        self.child = spawn(self.place.path(), &self.data_dir, &self.options);
        self.wait_for_answer();
    }

    /// The file of the endpoint may be an earlier one's, so only an answer to our token counts.
    fn wait_for_answer(&mut self) {
        let begin = Instant::now();
        let is_ready = |service: &Self| service.batchai(&["workspace", "list"]).status.success();
        while !is_ready(self) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the service ended at once: {ended:?}\n{}", self.log());
            assert!(begin.elapsed() < PATIENCE, "the service does not start:\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
        let line =
            |file: &str| fs::read_to_string(self.data_dir.join(file)).unwrap().trim().to_owned();
        (self.endpoint, self.token) = (line("endpoint"), line("token"));
    }

    /// As when the machine's memory is full. The nodes go on.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// In order, as with Ctrl-C; answers the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        processes::signal(self.child.id(), "TERM");
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begin.elapsed() < PATIENCE, "the service does not stop:\n{}", self.log());
            std::thread::sleep(PAUSE);
        }
    }

    /// A command of the same program, for this service.
    pub fn batchai(&self, arguments: &[&str]) -> Output {
        let mut command = program(&self.data_dir);
        command.env("BATCHAI_RESOURCE_GROUP", "g").env("BATCHAI_WORKSPACE", "w");
        command.env("BATCHAI_EXPERIMENT", "e").stdin(Stdio::null());
        command.args(arguments).output().unwrap()
    }

    pub fn place(&self) -> &Path {
        self.place.path()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("service.log")).unwrap_or_default()
    }

    /// The directory of the one file server.
    pub fn file_server(&self) -> PathBuf {
        let servers = fs::read_dir(self.data_dir.join("fileservers")).unwrap();
        let servers: Vec<PathBuf> = servers.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(servers.len(), 1, "this test has one file server");
        servers[0].clone()
    }

    /// The service and all that it started.
    pub fn processes(&self) -> Vec<u32> {
        processes::of(self.place.path())
    }
}

impl Drop for Service {
    /// Whatever happened to the test, nothing stays; a test that went well must not need force.
    fn drop(&mut self) {
        let begin = Instant::now();
        processes::signal(self.child.id(), "TERM");
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < PATIENCE {
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

/// The program, without what the environment of the tests would tell it.
pub fn program(data_dir: &Path) -> Command {
    let mut command = Command::new(tests::binaries::built("batchai"));
    for name in ["BATCHAI_ENDPOINT", "BATCHAI_TOKEN", "BATCHAI_SUBSCRIPTION", "BATCHAI_LOG"] {
        command.env_remove(name);
    }
    // A job's shell reads ~/.bashrc; what is in the user's is no part of the test.
    command.env("HOME", data_dir.parent().unwrap_or(data_dir));
    command.arg("--data-dir").arg(data_dir);
    command
}

fn spawn(place: &Path, data_dir: &Path, options: &[String]) -> Child {
    let log = log_file(place);
    program(data_dir)
        .args(["local", "--listen", "127.0.0.1:0", "--idle-seconds", "2"])
        .args(options)
        // Its stdin is a pipe of ours: should the tests be killed, it stops.
        .args(["--stop-at-end-of-input"])
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn log_file(place: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(place.join("service.log")).unwrap()
}

/// Asks again and again until there is an answer.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
