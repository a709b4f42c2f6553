//! Docker or Podman, through their command lines, which are the same as far as they are used here. What is left to
//! the engine: where images are stored, how many are kept, and which mirrors and certificates it uses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use processes::Identity;

use super::binds::Bind;
use super::error::{ContainerError, start_fault};
use crate::clock::Countdown;
use crate::fault::Fault;
use crate::host::MARKER;
use crate::system::helper::{self, HelperError};

/// What an engine does without a network takes less than a second; a busy disk may make it much longer.
const LIMIT: Duration = Duration::from_secs(120);

/// A daemon that does not even answer.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// Between two looks at a container that starts.
const STEP: Duration = Duration::from_millis(2);

/// On each container: the root of the node that made it.
const LABEL: &str = "batchai.root";

/// The first process of a container. Its bash needs nothing else of the image, and waits for ever.
const SLEEPER: &str = "trap '' HUP INT TERM; while :; do read -r <> <(:); done";

/// Which engines this node may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerOptions {
    /// The command lines of engines: the first that works is used. Each may have global options.
    pub engines: Vec<Vec<String>>,
    /// Added to the command that starts a container.
    pub run: Vec<String>,
}

impl Default for ContainerOptions {
    fn default() -> Self {
        let engines = ["docker", "podman"].map(|name| vec![name.to_owned()]).to_vec();
        Self { engines, run: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Podman,
}

/// The engine of a node, in use for one attempt.
pub struct Engine<'a> {
    /// Program and global options.
    pub command_line: Vec<String>,
    pub kind: Kind,
    /// For the output of the engine.
    pub scratch: PathBuf,
    /// Marks the processes of the engine's client.
    pub marker: &'a str,
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// A container to start.
pub struct NewContainer<'a> {
    pub name: &'a str,
    /// The id of the image.
    pub image: &'a str,
    pub root: &'a Path,
    pub node_id: &'a str,
    pub binds: &'a [Bind],
    pub shm_size: Option<&'a str>,
    pub has_gpus: bool,
    /// See [`ContainerOptions`].
    pub options: &'a [String],
}

impl<'a> Engine<'a> {
    /// The first engine that works, and the containers that this node has there.
    pub fn find(
        options: &ContainerOptions,
        root: &Path,
        scratch: &Path,
        marker: &'a str,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<(Self, Vec<String>), ContainerError> {
        let mut tried = Vec::new();
        for command_line in &options.engines {
            let mut engine = Engine {
                command_line: command_line.clone(),
                kind: Kind::Docker,
                scratch: scratch.to_owned(),
                marker,
                is_cancelled,
            };
            match engine.probe(root) {
                Ok(containers) => return Ok((engine, containers)),
                Err(error) => tried.push((command_line.join(" "), describe(&error))),
            }
        }
        Err(ContainerError::NoEngine { tried })
    }

    fn probe(&mut self, root: &Path) -> Result<Vec<String>, HelperError> {
        // `docker` may be another name of Podman.
        if self.ask(&["--version"], PROBE_LIMIT)?.to_lowercase().contains("podman") {
            self.kind = Kind::Podman;
        }
        let label = format!("label={LABEL}={}", root.display());
        let containers =
            self.ask(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label], PROBE_LIMIT)?;
        Ok(containers.split_whitespace().map(str::to_owned).collect())
    }

    /// The id of an image that is there already.
    pub fn image_id(&self, image: &str) -> Result<Option<String>, HelperError> {
        match self.ask(&["image", "inspect", "--format", "{{.Id}}", image], LIMIT) {
            Ok(id) => Ok(id.lines().next().map(|id| id.trim().to_owned())),
            Err(HelperError::Failed(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts the container and returns its first process.
    pub fn run(&self, container: &NewContainer<'_>) -> Result<Identity, HelperError> {
        let arguments = self.run_arguments(container);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.ask(&arguments, LIMIT)?;
        let format = ["inspect", "--format", "{{.State.Pid}}", container.name];
        let pid = self.ask(&format, LIMIT)?;
        let process = pid.trim().parse().ok().filter(|pid| *pid > 0).and_then(Identity::of);
        let mut countdown = Countdown::new(LIMIT);
        while let Some(process) = process.filter(|process| process.is_alive()) {
            if is_sleeper(process) {
                return Ok(process);
            }
            if countdown.is_over() {
                return Err(HelperError::TooSlow(LIMIT));
            }
            std::thread::sleep(STEP);
        }
        Err(HelperError::Failed("exec: \"/bin/bash\" has ended as soon as it was started".into()))
    }

    fn run_arguments(&self, container: &NewContainer<'_>) -> Vec<String> {
        let mut line: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
        add(&["run", "--detach", "--rm", "--name", container.name]);
        add(&["--label", &format!("{LABEL}={}", container.root.display())]);
        // The processes of the job are those of the node: its network, its process ids, its users.
        add(&["--network", "host", "--pid", "host", "--uts", "host", "--userns", "host"]);
        add(&["--user", "0:0", "--workdir", "/", "--entrypoint", "/bin/bash"]);
        add(&["--no-healthcheck", "--stop-signal", "KILL"]);
        // By these the first process is found as one of the attempt and of the node.
        add(&["--env", &format!("{MARKER}={}", self.marker)]);
        add(&["--env", &format!("AZ_BATCHAI_NODE_ID={}", container.node_id)]);
        for bind in container.binds {
            add(&["--mount", &bind.as_option()]);
        }
        if let Some(size) = container.shm_size {
            add(&["--shm-size", size]);
        }
        match (container.has_gpus, self.kind) {
            (true, Kind::Docker) => add(&["--gpus", "all"]),
            (true, Kind::Podman) => add(&["--device", "nvidia.com/gpu=all"]),
            (false, Kind::Docker | Kind::Podman) => {}
        }
        let options: Vec<&str> = container.options.iter().map(String::as_str).collect();
        add(&options);
        add(&[container.image, "-c", SLEEPER]);
        line
    }

    /// Removes containers, with their processes.
    pub fn remove(&self, names: &[String]) -> Result<(), HelperError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut line = vec!["rm", "--force", "--volumes"];
        line.extend(names.iter().map(String::as_str));
        self.ask(&line, LIMIT).map(drop)
    }

    /// The command line of the engine, with the environment of the agent but without its token.
    pub fn command(&self, arguments: &[&str]) -> Command {
        // Never empty: options are checked when they are read.
        let mut words = self.command_line.iter();
        let mut command = Command::new(words.next().map_or("docker", String::as_str));
        command.args(words).args(arguments).env(MARKER, self.marker);
        command.env_remove(protocol::TOKEN_VARIABLE);
        command
    }

    fn ask(&self, arguments: &[&str], limit: Duration) -> Result<String, HelperError> {
        let mut command = self.command(arguments);
        helper::output(&mut command, &self.scratch, limit, self.is_cancelled)
    }
}

/// Whether the first process of a container runs its program. Before that it is a part of the engine, with the environment of
/// the engine instead of that of the image.
fn is_sleeper(process: Identity) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == SLEEPER.as_bytes())
}

/// What is wrong with an engine.
fn describe(error: &HelperError) -> String {
    match error {
        HelperError::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => {
            "it is not installed".to_owned()
        }
        error => error.to_string(),
    }
}

/// For `map_err`: the container of `image` could not be started.
pub fn not_started(image: &str) -> impl FnOnce(HelperError) -> ContainerError {
    let image = image.to_owned();
    move |error| {
        let reason = error.to_string();
        let fault = match error {
            HelperError::Failed(_) => start_fault(&reason),
            HelperError::TooSlow(_) | HelperError::Cancelled | HelperError::NotStarted(_) => {
                Fault::Node
            }
        };
        ContainerError::NotStarted { image, reason, fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(kind: Kind, shm_size: Option<&str>, has_gpus: bool) -> String {
        let engine = Engine {
            command_line: vec!["engine".into()],
            kind,
            scratch: PathBuf::new(),
            marker: "j/1/n",
            is_cancelled: &|| false,
        };
        let container = NewContainer {
            name: "batchai-j-1-n",
            image: "sha256:1",
            root: Path::new("/r"),
            node_id: "n",
            binds: &[Bind::same("/r/mounts".into())],
            shm_size,
            has_gpus,
            options: &["--ulimit".into(), "nofile=2:2".into()],
        };
        engine.run_arguments(&container).join(" ").replace(SLEEPER, "SLEEP")
    }

    #[test]
    fn the_command_line_that_starts_a_container() {
        insta::assert_snapshot!(arguments(Kind::Docker, Some("2g"), true).replace(" --", "\n--"), @"
        run
        --detach
        --rm
        --name batchai-j-1-n
        --label batchai.root=/r
        --network host
        --pid host
        --uts host
        --userns host
        --user 0:0
        --workdir /
        --entrypoint /bin/bash
        --no-healthcheck
        --stop-signal KILL
        --env BATCHAI_ATTEMPT=j/1/n
        --env AZ_BATCHAI_NODE_ID=n
        --mount type=bind,source=/r/mounts,target=/r/mounts
        --shm-size 2g
        --gpus all
        --ulimit nofile=2:2 sha256:1 -c SLEEP
        ");
        let podman = arguments(Kind::Podman, None, true);
        assert!(podman.contains(" --device nvidia.com/gpu=all --ulimit"), "{podman}");
        let plain = arguments(Kind::Docker, None, false);
        assert!(!plain.contains("gpu") && !plain.contains("shm-size"), "{plain}");
    }
}
