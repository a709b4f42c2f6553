//! The command as a person uses it: real processes, one service per test in a directory of its own.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in their helpers")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Machine {
    place: TempDir,
    service: Child,
}

impl Machine {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let service = batchai(place.path())
            .args(["local", "--listen", "127.0.0.1:0", "--idle-seconds", "1"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.path().join("service.log")).unwrap())
            .spawn()
            .unwrap();
        let machine = Self { place, service };
        let begin = Instant::now();
        while !machine.run(&["workspace", "list"]).status.success() {
            assert!(begin.elapsed() < Duration::from_secs(30), "the service does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        machine
    }

    fn run(&self, arguments: &[&str]) -> Output {
        batchai(self.place.path()).args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// stdout of a command that has to succeed.
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
        let file = self.place.path().join("job.json");
        let job = serde_json::json!({ "properties": {
            "customToolkitSettings": { "commandLine": command },
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "outputDirectories": [{ "id": "OUT", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs" }],
        }});
        fs::write(&file, job.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// In order, as with Ctrl-C.
    fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.service);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.service.wait().unwrap().code()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

fn batchai(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batchai"));
    for name in ["BATCHAI_ENDPOINT", "BATCHAI_TOKEN", "BATCHAI_SUBSCRIPTION", "BATCHAI_LOG"] {
        command.env_remove(name);
    }
    command
        // A job's shell reads ~/.bashrc; what is in the user's is no part of the test.
        .env("HOME", data_dir)
        .env("BATCHAI_DATA_DIR", data_dir.join("data"))
        .env("BATCHAI_RESOURCE_GROUP", "g")
        .env("BATCHAI_WORKSPACE", "w")
        .env("BATCHAI_EXPERIMENT", "e");
    command
}

#[test]
fn a_job_runs_and_its_exit_code_comes_back() {
    let machine = Machine::start();
    machine.prepare();
    let file = machine.job("echo häl; echo model > $AZ_BATCHAI_OUTPUT_OUT/model.txt; exit 7");
    let submitted = machine.run(&["job", "submit", "-f", &file, "-n", "j", "-c", "c", "--wait"]);
    assert_eq!(submitted.status.code(), Some(7));
    assert_eq!(machine.run(&["job", "wait", "j"]).status.code(), Some(7));
    assert_eq!(machine.out(&["job", "logs", "j"]), "häl\n");
    assert_eq!(machine.out(&["job", "logs", "j", "--follow"]), "häl\n");
    let results = machine.place.path().join("results");
    let download = ["job", "files", "j", "-d", "OUT", "--download", results.to_str().unwrap()];
    machine.out(&download);
    assert_eq!(fs::read_to_string(results.join("model.txt")).unwrap(), "model\n");

    let again = machine.run(&["job", "submit", "-f", &file, "-n", "j", "-c", "c"]);
    assert_eq!(again.status.code(), Some(1), "a name is used once");
    let unnamed = machine.out(&["job", "submit", "-f", &file, "-c", "c", "-o", "quiet"]);
    assert!(unnamed.starts_with("job-"), "{unnamed}");
    assert_eq!(machine.out(&["job", "list", "-o", "quiet"]).lines().count(), 2);
    assert_eq!(machine.run(&["job", "delete", "j"]).status.code(), Some(1), "nobody agreed");
    machine.out(&["job", "delete", "j", "-y"]);
    assert_eq!(machine.out(&["job", "list", "-o", "quiet"]), unnamed);
    assert_eq!(machine.stop(), Some(0));
}

#[test]
fn a_job_that_loses_its_node_is_followed_into_its_next_attempt() {
    let machine = Machine::start();
    machine.prepare();
    let marker = "$AZ_BATCHAI_OUTPUT_OUT/marker";
    let again = format!("if [ -e {marker} ]; then echo two; exit; fi");
    let command = format!("{again}; touch {marker}; echo one; sleep 60");
    let file = machine.job(&command);
    machine.out(&["job", "submit", "-f", &file, "-n", "j", "-c", "c"]);
    let mut follower = batchai(machine.place.path())
        .args(["job", "logs", "j", "--follow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut followed = BufReader::new(follower.stdout.take().unwrap());
    let mut text = String::new();
    followed.read_line(&mut text).unwrap();
    assert_eq!(text, "one\n");
    let node = machine.out(&["cluster", "nodes", "c", "-o", "quiet"]);
    machine.out(&["node", "interrupt", node.trim(), "--notice-seconds", "5"]);
    machine.out(&["job", "wait", "j", "--timeout", "60"]);
    followed.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
    let said = follower.wait_with_output().unwrap().stderr;
    let said = String::from_utf8_lossy(&said);
    assert_eq!(said, "-- attempt 2 begins\n-- j: succeeded\n");
    assert_eq!(machine.stop(), Some(0));
}

#[test]
fn what_cannot_be_done_is_said() {
    let place = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], status: i32, word: &str| {
        let output = batchai(place.path()).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(word), "{said}");
    };
    check(&["--endpoint", "http://127.0.0.1:9", "job", "list"], 1, "Start it with `batchai local`");
    check(&["local", "--listen", "0.0.0.0:0"], 2, "loopback");
    check(&["workspace", "create", "a/b"], 2, "names have");
}
