//! `batchai run` with the real binary: from a directory to a result.

use super::service::{Service, program, until};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

struct Project {
    service: Service,
    directory: PathBuf,
}

impl Project {
    fn start() -> Self {
        let service = Service::start();
        let directory = service.root().join("digits");
        fs::create_dir(&directory).unwrap();
        Self { service, directory }
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(self.service.data_dir());
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// Exit code, stdout and stderr.
    fn batchai(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    }

    /// Sends SIGINT as soon as the command has printed a text; returns all that it printed.
    async fn interrupted(&self, arguments: &[&str], text: &str) -> String {
        let path = self.service.root().join("printed");
        let file = fs::File::create(&path).unwrap();
        let both = file.try_clone().unwrap();
        let mut run = self.command(arguments).stdout(file).stderr(both).spawn().unwrap();
        let printed = || fs::read_to_string(&path).unwrap();
        until(text, async || printed().contains(text).then_some(())).await;
        let pid = rustix::process::Pid::from_child(&run);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(run.wait().unwrap().code(), Some(130), "{}", printed());
        printed()
    }

    fn job(&self, name: &str) -> Value {
        let scope = ["-w", "main", "-e", "digits", "-o", "json"];
        let (code, stdout, stderr) = self.batchai(&[&["job", "show", name][..], &scope].concat());
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }
}

#[test]
fn a_directory_becomes_a_result_in_one_command() {
    let project = Project::start();
    project.write(".gitignore", "*.bin\n");
    project.write("train.py", "import os, sys\nfrom lib import answer\nprint('epoch', answer, os.environ['RATE'], sys.argv[1])\nprint('careful', file=sys.stderr)\nopen('outputs/model.txt', 'w').write('weights')\nprint(sorted(os.listdir('.')))\n");
    project.write("lib/__init__.py", "answer = 42\n");
    project.write("data.bin", "ignored");
    let train = ["--env", "RATE=0.1", "--", "python3", "train.py", "$HOME it's"];

    let (code, stdout, _) = project.batchai(&[&["run", "--dry-run"][..], &train].concat());
    assert_eq!(code, Some(0), "{stdout}");
    assert!(
        stdout.contains(
            "would make   workspace main, experiment digits, file server files, cluster cpu"
        ),
        "{stdout}"
    );
    assert!(stdout.contains("code         3 files"), "{stdout}");

    let (code, stdout, stderr) = project.batchai(&[&["run", "-n", "one"][..], &train].concat());
    assert_eq!(code, Some(0), "{stdout}\n{stderr}");
    assert_eq!(stdout, "epoch 42 0.1 $HOME it's\n['.gitignore', 'lib', 'outputs', 'train.py']\n");
    for said in [
        "Made cluster cpu.",
        "Uploaded 3 files",
        "Submitted one to cluster cpu.",
        "careful",
        "one is running on ",
        "Downloaded 1 file to ",
        "one succeeded after ",
    ] {
        assert!(stderr.contains(said), "{said:?} is not in {stderr}");
    }
    assert_eq!(project.read("outputs/one/model.txt"), "weights");

    // Only what changed is sent, and a name is used once.
    project.write("lib/__init__.py", "answer = 43\n");
    let again = [&["run", "-n", "two", "--out", "results"][..], &train].concat();
    let (code, stdout, stderr) = project.batchai(&again);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("epoch 43 "), "{stdout}");
    assert!(stderr.contains("Uploaded 1 file (") && !stderr.contains("Made "), "{stderr}");
    assert_eq!(project.read("results/model.txt"), "weights");
    let (code, _, stderr) = project.batchai(&again);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("a job named two exists already"), "{stderr}");

    // The exit code and the outputs of a job that fails.
    let fails = ["run", "-n", "three", "--", "echo gone > outputs/log; exit 7"];
    let (code, _, stderr) = project.batchai(&fails);
    assert_eq!(code, Some(7), "{stderr}");
    assert!(stderr.contains("three failed with exit code 7"), "{stderr}");
    assert_eq!(project.read("outputs/three/log"), "gone\n");
}

#[tokio::test]
async fn a_run_goes_on_without_its_terminal() {
    let project = Project::start();
    let slow = "echo begun; until [ -e outputs/end ]; do sleep 0.1; done";
    let said =
        project.interrupted(&["run", "--max", "1", "-n", "slow", "--", slow], "begun\n").await;
    let follow = "Follow it with: batchai job logs slow --follow -w main -e digits";
    assert!(said.contains(follow), "{said}");
    assert_eq!(project.job("slow")["properties"]["executionState"], "running");

    // What a run waits for is shown at once.
    let reason = "next is queued. Waits for 1 idle node of cluster cpu, which has 1 of at most 1";
    let said = project.interrupted(&["run", "-n", "next", "--", "true"], reason).await;
    assert!(said.contains("--max 2") && said.contains("batchai job logs next"), "{said}");

    // What --print-json shows can be submitted.
    let (code, stdout, _) =
        project.batchai(&["run", "--print-json", "--nodes", "2", "--mpi", "--", "hostname"]);
    assert_eq!(code, Some(0));
    let body: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(body["properties"]["nodeCount"], 2);
    assert_eq!(
        body["properties"]["customMpiSettings"]["commandLine"],
        "cd \"$AZ_BATCHAI_JOB_TEMP/code\" && hostname"
    );

    let (code, stdout, _) =
        project.batchai(&["run", "-d", "-o", "name", "-n", "last", "--", "true"]);
    assert_eq!((code, stdout.as_str()), (Some(0), "last\n"));
}
