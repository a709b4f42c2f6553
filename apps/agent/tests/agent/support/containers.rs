//! Container engines of the tests: Podman with an image of the programs of this machine, and a script that records what
//! it is asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use protocol::Container;

use super::{ControlPlane, Job, Node};

/// Made by a script from programs of this machine. It has no `ssh`.
const IMAGE: &str = "localhost/batchai-agent-test:latest";

/// Options with which Podman works in the virtual machines of CI, too.
const ENGINE: &str = "podman --runtime runc";
const OPTIONS: &str = "--ulimit nofile=20000:20000 --ulimit nproc=30000:30000";

/// A job in a container of the image of the tests.
pub fn contained(command_line: &str) -> Job {
    contained_in(IMAGE, command_line)
}

pub fn contained_in(image: &str, command_line: &str) -> Job {
    Job::new(command_line).with(|job| {
        job.preparation_command_line = Some("echo this is for older agents; exit 1".into());
        job.container = Some(Container {
            image: image.to_owned(),
            credentials: None,
            shm_size: None,
            preparation_command_line: None,
        });
    })
}

/// Changes the container of a job.
pub fn with_container(job: Job, change: impl FnOnce(&mut Container)) -> Job {
    job.with(|job| change(job.container.as_mut().unwrap()))
}

/// True when Podman can run the image here; says so where it cannot.
pub fn has_podman() -> bool {
    static MADE: OnceLock<Result<(), String>> = OnceLock::new();
    match MADE.get_or_init(make_image) {
        Ok(()) => true,
        Err(reason) => {
            eprintln!("skipped: Podman cannot be used: {reason}");
            false
        }
    }
}

/// Arguments of an agent that uses Podman.
pub fn use_podman(agent: &mut Command) {
    use_podman_with(agent, "");
}

/// The same, with further options of containers.
pub fn use_podman_with(agent: &mut Command, options: &str) {
    agent.args(["--container-engine", ENGINE, "--container-options"]);
    agent.arg(format!("{OPTIONS}{options}"));
}

pub fn use_engine(agent: &mut Command, engine: &str) {
    agent.args(["--container-engine", engine]);
}

/// A node whose agent uses Podman.
pub fn podman_node(control: &ControlPlane) -> Node {
    let mut node = Node::new(control, "node", |_| {});
    node.start_agent_as(control, use_podman);
    control.wait_until_idle(&node.id);
    node
}

/// The containers that a node has.
pub fn containers(node: &Node) -> Vec<String> {
    let label = format!("label=batchai.root={}", node.root().display());
    let listed = podman(&["ps", "--all", "--format", "{{.Names}}", "--filter", &label]).unwrap();
    listed.split_whitespace().map(str::to_owned).collect()
}

pub fn podman(arguments: &[&str]) -> Result<String, String> {
    let mut words = ENGINE.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let output = command.args(words).args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn make_image() -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/container-image");
    let mut command = Command::new(script);
    let made = command.args([IMAGE, ENGINE]).args(OPTIONS.split(' ')).output().unwrap();
    let errors = String::from_utf8_lossy(&made.stderr).into_owned();
    if made.status.success() { Ok(()) } else { Err(errors) }
}

/// An engine that records its arguments. Its containers are processes of this machine.
pub struct Recorder {
    place: tempfile::TempDir,
}

impl Recorder {
    /// `script`: run first, with the arguments of the engine in `$*`; may exit.
    pub fn new(script: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let recorder = Self { place };
        let here = recorder.place.path().display();
        let text = format!(
            r#"#!/bin/bash
echo "$*" >> {here}/calls
{script}
case "$*" in
    --version) echo "Docker version 1" ;;
    ps*) ;;
    "image inspect"*) echo sha256:1 ;;
    run*)
        # As with a real engine, its own program comes first, without the environment of the image.
        PROGRAM="${{@: -1}}" setsid bash -c 'sleep 0.2; FROM_IMAGE=yes exec bash -c "$PROGRAM"' \
            > /dev/null 2>&1 &
        echo $! > {here}/pid ;;
    inspect*) cat {here}/pid ;;
    rm*)
        test -e {here}/pid || {{ echo 'Error: No such container' >&2; exit 1; }}
        kill -9 $(cat {here}/pid) ;;
esac
"#
        );
        fs::write(recorder.program(), text).unwrap();
        fs::set_permissions(recorder.program(), PermissionsExt::from_mode(0o755)).unwrap();
        recorder
    }

    /// The directory of the script.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    pub fn program(&self) -> PathBuf {
        self.place.path().join("docker")
    }

    /// A node whose agent uses this engine.
    pub fn node(&self, control: &ControlPlane) -> Node {
        let mut node = Node::new(control, "node", |_| {});
        node.start_agent_as(control, |agent| {
            use_engine(agent, &self.program().display().to_string())
        });
        control.wait_until_idle(&node.id);
        node
    }

    /// The command lines that begin with this word.
    pub fn calls(&self, word: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.place.path().join("calls")).unwrap_or_default();
        calls.lines().filter(|call| call.starts_with(word)).map(str::to_owned).collect()
    }
}
