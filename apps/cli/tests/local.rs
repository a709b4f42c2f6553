//! The commands against a real service: one `batchai local` per test, in a temporary directory.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct LocalService {
    root: TempDir,
    child: Child,
}

impl LocalService {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let child = batchai(root.path())
            .args(["local", "--listen", "127.0.0.1:0", "--idle-seconds", "1"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(root.path().join("service.log")).unwrap())
            .spawn()
            .unwrap();
        let service = Self { root, child };
        let begin = Instant::now();
        while !service.run(&["workspace", "list"]).status.success() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the service did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        service
    }

    fn run(&self, arguments: &[&str]) -> Output {
        batchai(self.root.path()).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// The stdout of a command that must succeed.
    #[track_caller]
    fn out(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn prepare(&self) {
        self.out(&["workspace", "create", "w"]);
        self.out(&["file-server", "create", "nfs"]);
        self.out(&["cluster", "create", "c", "--max", "2", "--nfs", "nfs"]);
        self.out(&["experiment", "create", "e"]);
    }

    fn job(&self, command: &str) -> String {
        let file = self.root.path().join("job.json");
        let job = serde_json::json!({ "properties": {
            "customToolkitSettings": { "commandLine": command },
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "outputDirectories": [{ "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }],
        }});
        fs::write(&file, job.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// Stops the service like Ctrl-C; returns its exit code.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for LocalService {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn batchai(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchai"));
    for name in ["BATCHAI_ENDPOINT", "BATCHAI_TOKEN", "BATCHAI_SUBSCRIPTION", "BATCHAI_LOG"] {
        command.env_remove(name);
    }
    command
        // The shell of a job reads ~/.bashrc; the test must not depend on the user's file.
        .env("HOME", data_dir)
        .env("BATCHAI_DATA_DIR", data_dir.join("data"))
        .env("BATCHAI_RESOURCE_GROUP", "g")
        .env("BATCHAI_WORKSPACE", "w")
        .env("BATCHAI_EXPERIMENT", "e");
    command
}

#[test]
fn a_job_runs_and_its_exit_code_is_passed_on() {
    let service = LocalService::start();
    service.prepare();
    let file = service.job("echo häl; echo model > $AZ_BATCHAI_OUTPUT_OUT/model.txt; exit 7");
    let submitted = service.run(&["job", "submit", "-f", &file, "-n", "j", "-c", "c", "--wait"]);
    assert_eq!(submitted.status.code(), Some(7));
    assert_eq!(service.run(&["job", "wait", "j"]).status.code(), Some(7));
    for logs in [&["job", "logs", "j"][..], &["job", "logs", "j", "--follow"]] {
        let logs = service.run(logs);
        assert_eq!(logs.status.code(), Some(7));
        assert_eq!(String::from_utf8(logs.stdout).unwrap(), "häl\n");
    }
    let results = service.root.path().join("results");
    let download = ["job", "files", "j", "-d", "OUT", "--download", results.to_str().unwrap()];
    service.out(&download);
    assert_eq!(fs::read_to_string(results.join("model.txt")).unwrap(), "model\n");

    let again = service.run(&["job", "submit", "-f", &file, "-n", "j", "-c", "c"]);
    assert_eq!(again.status.code(), Some(1), "the name is in use");
    let unnamed = service.out(&["job", "submit", "-f", &file, "-c", "c", "-o", "quiet"]);
    assert!(unnamed.starts_with("job-"), "{unnamed}");
    assert_eq!(service.out(&["job", "list", "-o", "quiet"]).lines().count(), 2);
    assert_eq!(service.run(&["job", "delete", "j"]).status.code(), Some(1), "not confirmed");
    service.out(&["job", "delete", "j", "-y"]);
    assert_eq!(service.out(&["job", "list", "-o", "quiet"]), unnamed);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn logs_follow_an_interrupted_job_into_its_next_attempt() {
    let service = LocalService::start();
    service.prepare();
    let marker = "$AZ_BATCHAI_OUTPUT_OUT/marker";
    let again = format!("if [ -e {marker} ]; then echo two; exit; fi");
    let command = format!("{again}; touch {marker}; echo one; sleep 60");
    let file = service.job(&command);
    service.out(&["job", "submit", "-f", &file, "-n", "j", "-c", "c"]);
    let mut follower = batchai(service.root.path())
        .args(["job", "logs", "j", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut followed = BufReader::new(follower.stdout.take().unwrap());
    let mut text = String::new();
    followed.read_line(&mut text).unwrap();
    assert_eq!(text, "one\n");
    let node = service.out(&["cluster", "nodes", "c", "-o", "quiet"]);
    service.out(&["node", "interrupt", node.trim(), "--notice-seconds", "5"]);
    service.out(&["job", "wait", "j", "--timeout", "60"]);
    followed.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
    let messages = follower.wait_with_output().unwrap().stderr;
    let messages = String::from_utf8_lossy(&messages);
    let said = |text: &str| messages.contains(text);
    assert!(said("-- attempt 2 started\n") && said("-- j succeeded after "), "{messages}");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn errors_name_the_next_step() {
    let root = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], status: i32, word: &str| {
        let output = batchai(root.path()).args(arguments).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{message}");
        assert!(message.contains(word), "{message}");
    };
    check(&["--endpoint", "http://127.0.0.1:9", "job", "list"], 1, "batchai local");
    check(&["local", "--listen", "0.0.0.0:0"], 2, "loopback");
    check(&["workspace", "create", "a/b"], 2, "letters, digits, hyphens");
}
