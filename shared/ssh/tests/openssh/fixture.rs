//! A server on a loopback address, and clients with the files of attempts.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh::{Access, ClientHost, HostSpawn, KeyPair, Policy, Server, client_files, client_programs};
use tempfile::TempDir;
use tokio::process::Command;

/// The SFTP server and the stand-in for `ssh`.
pub const PROGRAMS: &str = env!("CARGO_BIN_EXE_ssh-test-programs");

/// A node with its server.
pub struct Node {
    pub directory: TempDir,
    pub policy: Arc<Policy>,
    pub server: Server,
}

/// The clients of one attempt, or of a stranger.
pub struct Client {
    pub host: String,
    pub files: PathBuf,
    path: OsString,
}

impl Node {
    pub async fn start() -> Self {
        let client = Command::new("ssh").arg("-V").stderr(Stdio::null()).status().await;
        let need =
            "these tests need the OpenSSH client (Debian and Ubuntu: apt install openssh-client)";
        assert!(client.is_ok_and(|status| status.success()), "{need}");
        let policy = Arc::new(Policy::default());
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let key = KeyPair::from_seed(&[1; 32], "host");
        let server = Server::bind(address, key, Arc::clone(&policy)).await.unwrap();
        Self { directory: tempfile::tempdir().unwrap(), policy, server }
    }

    /// A directory below the node's, created.
    pub fn path(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// How processes of `name` are started: in the directory of that name, with the variable `ATTEMPT`.
    pub fn spawn(&self, name: &str) -> HostSpawn {
        let directory = self.path(name);
        let home = self.path("home").into();
        let path = std::env::var_os("PATH").unwrap();
        HostSpawn {
            enter: Vec::new(),
            environment: BTreeMap::from([
                ("ATTEMPT".into(), name.into()),
                ("HOME".into(), home),
                ("PATH".into(), path),
            ]),
            directory,
            user: None,
            shell: "/bin/bash".into(),
            is_login: false,
            sftp_server: vec![PROGRAMS.into(), "sftp-server".into()],
        }
    }

    pub fn access(&self, name: &str) -> Access {
        Access { spawn: Arc::new(self.spawn(name)), forward_to: Vec::new() }
    }

    /// Admits an attempt, and gives it its clients.
    pub fn admit(&self, attempt: &str) -> Client {
        let client = self.client(attempt);
        self.policy.admit(attempt, key_of(attempt).public_key(), self.access(attempt));
        client
    }

    /// Clients with a key that is not admitted.
    pub fn client(&self, name: &str) -> Client {
        let files = self.path(&format!("client {name}"));
        let address = self.server.address();
        let host = ClientHost { names: vec!["10.0.0.5".into()], address };
        for file in client_files(&files, &[host], &key_of(name)).unwrap() {
            fs::create_dir_all(file.path.parent().unwrap()).unwrap();
            fs::write(&file.path, file.text).unwrap();
            fs::set_permissions(&file.path, fs::Permissions::from_mode(file.mode)).unwrap();
        }
        let mut path = OsString::from(client_programs(&files));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        Client { host: "10.0.0.5".into(), files, path }
    }
}

/// The same name has the same key.
pub fn key_of(name: &str) -> KeyPair {
    let mut seed = [0; 32];
    seed[..name.len()].copy_from_slice(name.as_bytes());
    KeyPair::from_seed(&seed, name)
}

impl Client {
    /// `ssh`, `scp` or `sftp` as a job calls it.
    pub fn program(&self, name: &str) -> Command {
        // The path of this process is not searched for what `PATH` says.
        let mut command = Command::new("/usr/bin/env");
        command.arg(name).env("PATH", &self.path).env_remove("SSH_AUTH_SOCK");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// `ssh [options] host`.
    pub fn ssh(&self, options: &[&str]) -> Command {
        let mut command = self.program("ssh");
        command.args(options).arg(&self.host);
        command
    }

    /// Runs a command line; its exit code and its output.
    pub async fn run(&self, line: &str) -> (i32, String) {
        let output = self.ssh(&[]).arg(line).output().await.unwrap();
        (output.status.code().unwrap(), text(&output.stdout))
    }
}

/// What a refused client shows.
#[track_caller]
pub fn assert_refused(output: &Output) {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{errors}");
    assert!(errors.contains("Permission denied"), "{errors}");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits for a condition that another process brings about.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The number that a process has written to `file`, once it is there.
pub async fn pid_in(file: &Path) -> i32 {
    let read = || fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'));
    eventually("the process id is written", || read().is_some()).await;
    read().unwrap().trim().parse().unwrap()
}

pub fn is_alive(pid: i32) -> bool {
    processes::Process::read(pid).is_some_and(|process| process.is_alive())
}
