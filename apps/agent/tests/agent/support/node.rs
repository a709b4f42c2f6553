//! A node: its directories, and its agent, which can be killed and started again.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use processes::keeper::Request;
use protocol::{Desired, End, NodeSetup};
use rustix::process::{Pid, Signal, kill_process};

use super::control_plane::{ControlPlane, TOKEN};
use super::ec2::{Instance, REGION};
use super::{Job, job, wait_for, wait_until};

pub struct Node {
    pub id: String,
    place: tempfile::TempDir,
    root: PathBuf,
    program: PathBuf,
    /// Where the file server of the tests lies; shared by the nodes of a gang.
    pub file_server: PathBuf,
    agent: Option<Child>,
    /// Markers of everything that was started here, for the last cleaning.
    jobs: Vec<String>,
}

impl Node {
    /// A node whose agent runs and is set up.
    pub fn ready(control: &ControlPlane) -> Self {
        let mut node = Self::new(control, "node", |_| {});
        node.start_agent(control);
        control.wait_until_idle(&node.id);
        node
    }

    /// A node of which nothing runs yet.
    pub fn new(control: &ControlPlane, id: &str, setup: impl FnOnce(&mut NodeSetup)) -> Self {
        let place = tempfile::tempdir().unwrap();
        let file_server = place.path().join("file-server");
        fs::create_dir_all(&file_server).unwrap();
        fs::create_dir_all(place.path().join("home")).unwrap();
        let mut wanted = job::setup(&file_server);
        setup(&mut wanted);
        control.register(id, wanted);
        let root = fs::canonicalize(place.path()).unwrap().join("root");
        let program = env!("CARGO_BIN_EXE_batchai-agent").into();
        Self { id: id.into(), place, root, program, file_server, agent: None, jobs: Vec::new() }
    }

    pub fn root(&self) -> PathBuf {
        self.root.clone()
    }

    pub fn use_root_of(&mut self, other: &Node) {
        self.root = other.root();
    }

    /// Runs the agent from this node's own directory: another user may be unable to reach where it was
    /// built. Copied by another process, so that no child of this one holds the copy open for writing.
    pub fn use_own_program(&mut self) {
        let copy = self.place.path().join("batchai-agent");
        assert!(Command::new("cp").arg(&self.program).arg(&copy).status().unwrap().success());
        self.program = copy;
    }

    /// The directory that everything of this node lies in.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    pub fn start_agent(&mut self, control: &ControlPlane) {
        self.start_agent_as(control, |_| {});
    }

    /// With a change of the command that starts it: another user, for example.
    pub fn start_agent_as(&mut self, control: &ControlPlane, change: impl FnOnce(&mut Command)) {
        self.start_agent_with(control, "--node", change);
    }

    fn start_agent_with(
        &mut self,
        control: &ControlPlane,
        id: &str,
        change: impl FnOnce(&mut Command),
    ) {
        let mut agent = self.agent_command();
        agent
            .arg("--endpoint-file")
            .arg(&control.endpoint_file)
            .args(["--workspace", "workspace-uid", "--cluster-name", "cluster"])
            .args(["--cluster-uid", &control.cluster_uid, id, &self.id])
            .env(protocol::TOKEN_VARIABLE, TOKEN);
        change(&mut agent);
        self.agent = Some(agent.spawn().unwrap());
    }

    fn agent_command(&self) -> Command {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.place.path().join("agent.log"))
            .unwrap();
        let mut agent = Command::new(&self.program);
        agent
            .args(["agent", "--instance", "machine"])
            .args(["--address", "127.0.1.1", "--unwanted-after", "1"])
            .args(["--disk-patience", "1", "--root"])
            .arg(self.root())
            .env("HOME", self.home())
            .env("NOT_PASSED_ON", "private")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        agent
    }

    /// The agent of an EC2 instance, with the arguments that user data gives it.
    fn instance_command(&self, control: &ControlPlane, instance: &Instance) -> Command {
        let endpoint = fs::read_to_string(&control.endpoint_file).unwrap();
        let mut agent = self.agent_command();
        agent
            .args(["--endpoint", endpoint.trim(), "--region", REGION])
            // No devices, unless the test makes some.
            .args(["--driver-patience", "1", "--devices"])
            .arg(self.place.path().join("devices"))
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &instance.metadata)
            .env("SSL_CERT_FILE", control.authority());
        agent
    }

    pub fn start_agent_on(&mut self, control: &ControlPlane, instance: &Instance) {
        self.start_agent_on_as(control, instance, |_| {});
    }

    pub fn start_agent_on_as(
        &mut self,
        control: &ControlPlane,
        instance: &Instance,
        change: impl FnOnce(&mut Command),
    ) {
        let mut agent = self.instance_command(control, instance);
        change(&mut agent);
        self.agent = Some(agent.spawn().unwrap());
    }

    /// Starts the agent of an EC2 instance below a keeper, as the unit of user data does.
    pub fn start_keeper_on(&mut self, control: &ControlPlane, instance: &Instance) {
        let agent = self.instance_command(control, instance);
        self.agent = Some(keeper_of(self.place.path(), &agent).spawn().unwrap());
    }

    /// Starts the agent with the id of its launch instead of that of its node.
    pub fn start_agent_of_launch(&mut self, control: &ControlPlane, token: &str) {
        let id = std::mem::replace(&mut self.id, "launch-id".to_owned());
        self.start_agent_with(control, "--launch", |agent| {
            agent.env(protocol::TOKEN_VARIABLE, token);
        });
        self.id = id;
    }

    /// Starts the agent below a keeper, as `batchai local` does.
    pub fn start_keeper(&mut self, control: &ControlPlane) {
        let place = self.place.path().to_owned();
        self.start_agent_as(control, |agent| *agent = keeper_of(&place, agent));
    }

    /// The agent below the keeper.
    pub fn kept_agent(&self) -> i32 {
        let is_agent = |process: &processes::Process| {
            process.parent == self.agent_pid()
                && processes::has_argument(process.pid, "agent".as_ref())
        };
        wait_for("the agent", || {
            processes::descendants(self.agent_pid()).into_iter().find(is_agent).map(|it| it.pid)
        })
    }

    /// Runs a job to its end.
    pub fn run(&mut self, control: &ControlPlane, job: &Job) -> End {
        self.begin(control, job);
        let end = control.end_of(&self.id, &job.key());
        control.wait_until_idle(&self.id);
        end
    }

    pub fn begin(&mut self, control: &ControlPlane, job: &Job) {
        self.owns(job);
        control.desire(&self.id, job.run());
    }

    /// Has this node clean up after `job`.
    pub fn owns(&mut self, job: &Job) {
        self.jobs.push(job.assignment.key.job_uid.clone());
    }

    pub fn stop(&self, control: &ControlPlane, job: &Job, grace_seconds: u64) -> End {
        control.desire(&self.id, job.stop(grace_seconds));
        control.end_of(&self.id, &job.key())
    }

    pub fn agent_pid(&self) -> i32 {
        self.agent.as_ref().unwrap().id().cast_signed()
    }

    pub fn kill_agent(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    pub fn signal_agent(&self, signal: Signal) {
        self::signal(self.agent_pid(), signal);
    }

    /// Stops the agent and all below it, like a laptop that is closed. [`Node::resume`] continues them.
    pub fn pause(&self) -> Vec<i32> {
        let mut stopped = vec![self.agent_pid()];
        self.signal_agent(Signal::STOP);
        loop {
            let mut found = processes::descendants(self.agent_pid());
            found.retain(|process| !stopped.contains(&process.pid));
            if found.is_empty() {
                return stopped;
            }
            for process in found {
                process.signal(Signal::STOP);
                stopped.push(process.pid);
            }
        }
    }

    pub fn resume(&self, stopped: &[i32]) {
        for pid in stopped.iter().rev() {
            signal(*pid, Signal::CONT);
        }
    }

    /// Waits for the agent to end by itself.
    pub fn agent_exit(&mut self) -> ExitStatus {
        let agent = self.agent.as_mut().unwrap();
        let status = wait_for("the end of the agent", || agent.try_wait().unwrap());
        self.agent = None;
        status
    }

    pub fn leave(&self, control: &ControlPlane, grace_seconds: u64) {
        control.desire(&self.id, Desired::Leave { grace_seconds });
    }

    /// The process ids of a job's tree, the supervisor included.
    pub fn processes(&self, job: &Job) -> Vec<i32> {
        marked(&job.assignment.key.job_uid)
    }

    /// The supervisor of a job: the parent of its first process.
    pub fn supervisor(&self, job: &Job) -> i32 {
        let is_supervisor = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"supervise")
        };
        wait_for("the supervisor", || {
            self.processes(job).into_iter().filter_map(parent).find(is_supervisor)
        })
    }

    pub fn read(&self, job: &Job, name: &str) -> String {
        let path = job.stdouterr(&self.file_server).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Names of the files in a job's `stdouterr`, or in a directory of it.
    pub fn list(&self, job: &Job, directory: &str) -> Vec<String> {
        let path = job.stdouterr(&self.file_server).join(directory);
        let mut names: Vec<String> = fs::read_dir(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Waits until the job has written `text` to a file of its `stdouterr`.
    pub fn wait_for_output(&self, job: &Job, name: &str, text: &str) {
        let path = job.stdouterr(&self.file_server).join(name);
        wait_until(&format!("'{text}' in {}", path.display()), || {
            fs::read_to_string(&path).is_ok_and(|content| content.contains(text))
        });
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("agent.log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let below = processes::descendants(agent.id().cast_signed());
            let _ = agent.kill();
            let _ = agent.wait();
            let agents =
                below.iter().filter(|it| processes::has_argument(it.pid, "agent".as_ref()));
            agents.for_each(|agent| agent.signal(Signal::KILL));
        }
        for job in &self.jobs {
            for pid in marked(job) {
                signal(pid, Signal::KILL);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- agent of {}\n{}", self.id, self.log());
        }
    }
}

/// The keeper of the machine in `place`, with this command as its agent.
fn keeper_of(place: &Path, agent: &Command) -> Command {
    let file = place.join("keeper");
    let (stdin, mut writer) = std::io::pipe().unwrap();
    let command = std::iter::once(agent.get_program()).chain(agent.get_args());
    let command = command.map(OsStr::to_owned).collect();
    let request = Request { file: file.clone(), group: None, command, user: None };
    writer.write_all(&serde_json::to_vec(&request).unwrap()).unwrap();
    let log = fs::File::options().append(true).open(place.join("agent.log")).unwrap();
    let mut keeper = Command::new(agent.get_program());
    keeper.arg("keep").arg(file).stdin(stdin).stdout(Stdio::null()).stderr(log);
    keeper.envs(agent.get_envs().map(own_pair));
    keeper
}

fn own_pair((name, value): (&OsStr, Option<&OsStr>)) -> (OsString, OsString) {
    (name.to_owned(), value.unwrap_or_default().to_owned())
}

pub fn signal(pid: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Living processes whose marker begins with `marker`, which only the tests' own have.
fn marked(marker: &str) -> Vec<i32> {
    let wanted = format!("BATCHAI_ATTEMPT={marker}/");
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes()))
    };
    fs::read_dir(Path::new("/proc"))
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| carries(pid) && is_alive(*pid))
        .collect()
}
