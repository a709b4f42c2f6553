//! The supervisor: a small process between the agent and the commands of users.
//!
//! It survives the agent and owns the whole process tree of a command: it is the subreaper, so that daemons
//! cannot leave the tree. When the last process has ended it writes the exit code to the [`Slot`]. It reads one
//! command after the other from standard input, as a new process for each would double the cost of a short
//! job, and writes the result of each to standard output. When the agent ends, standard input ends, and the
//! supervisor ends after its current command.
//!
//! SIGTERM: sends SIGTERM to every process of the tree. SIGUSR1: sends SIGKILL to every process until none is
//! left. A supervisor that has received one of them gets no further command, so a late signal never hits the
//! wrong one. After SIGTERM the processes keep the rest of the grace period even when their shell has ended:
//! a shell dies of SIGTERM at once while the training behind it writes a checkpoint.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};

use crate::clock::{Countdown, Uptime};
use crate::fault::{Fault, Owner, fault_of_start};
use crate::system::oom_score;
use crate::system::processes::{self, Identity, KillPace, Signals, boot_id};
use crate::system::shell_start::READING;
use crate::system::slot::{Claim, Claimed, Record, Slot};

/// How long processes may run on after the shell has ended: the `tee` of `> >(tee log)` still writes the last
/// lines.
const LEFTOVER_GRACE: Duration = Duration::from_millis(200);

/// Within this time a shutdown has signalled all processes.
const SHUTDOWN_SPREAD: Duration = Duration::from_millis(20);

/// How often a container is checked.
const CONTAINER_CHECK: Duration = Duration::from_millis(500);

const SHELL: &str = "/bin/bash";

/// Read before the command, although the shell is not interactive: preparations put their
/// `source .../mpivars.sh` and `export PYTHONPATH` there (docs/contract.md, "Commands"). On a line
/// of its own, so that the command is not changed; `:` so that it begins with `$?` = 0. Meanwhile the process has the
/// name [`READING`]; `|` and `||` because the file may set `noclobber` and `errexit`.
static PROLOGUE: LazyLock<String> = LazyLock::new(|| {
    let named = |name: &str| format!("{{ printf '{name}' >|/proc/self/comm; }} 2>/dev/null || :");
    let (reading, shell) = (named(READING), named("bash"));
    format!("[ ! -r ~/.bashrc ] || {{ {reading}; . ~/.bashrc; {shell}; }}; :\n")
});

/// One command, as the agent sends it: its length in four bytes, then JSON.
///
/// Holds secrets: never printed, hence no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct Request {
    pub slot: Slot,
    /// Started at once, and the command ends with the first of them that fails. See `end`.
    pub programs: Vec<Program>,
    pub end: EndRule,
    /// All of it but what a program adds: nothing else is inherited.
    pub environment: BTreeMap<String, String>,
    pub directory: PathBuf,
    /// To whom the output files belong.
    pub output_owner: Owner,
    pub leftovers: Leftovers,
    /// The first process of the container that the programs run in. When it ends, so does the command.
    #[serde(default)]
    pub container: Option<Identity>,
}

/// A program of a command.
#[derive(Serialize, Deserialize)]
pub struct Program {
    /// The program, and its arguments.
    pub arguments: Vec<String>,
    /// Added to the environment of the command.
    pub variables: Vec<(String, String)>,
    /// Appended to, and created if need be.
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    /// It serves the others: how it ends does not matter, and it is killed when the command has ended.
    #[serde(default)]
    pub serves: bool,
}

impl Program {
    /// A command line for bash.
    pub fn shell(command_line: &str, [stdout, stderr]: [PathBuf; 2]) -> Self {
        let text = format!("{}{command_line}", *PROLOGUE);
        let arguments = vec![SHELL.to_owned(), "-c".to_owned(), text];
        Self { arguments, variables: Vec::new(), stdout, stderr, serves: false }
    }
}

/// When a command has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndRule {
    /// When its first program has; the others are killed.
    WithFirst,
    /// When all of its programs have.
    WithAll,
}

/// What to do with processes that a command left behind when it ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Leftovers {
    Kill,
    /// A setup task may start services.
    Keep,
}

impl Request {
    pub fn send(&self, to: impl Write) -> io::Result<()> {
        send(self, to)
    }
}

fn send(message: &impl Serialize, mut to: impl Write) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    to.write_all(&[&length.to_be_bytes(), &text[..]].concat())
}

/// `None` at the end of the input.
pub fn receive<T: for<'a> Deserialize<'a>>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let mut text = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut text)?;
    Ok(Some(serde_json::from_slice(&text)?))
}

/// Runs the commands that it reads from standard input. Takes no arguments.
pub fn main(_arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("batchai supervise: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> io::Result<()> {
    // An error means that this process leads a session already, which serves as well.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut signals = Signals::install(&[Signal::TERM, Signal::USR1])?;
    let own = Identity::of(rustix::process::getpid().as_raw_nonzero().get())
        .ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    let boot = boot_id();
    while let Some(request) = receive::<Request>(io::stdin().lock())? {
        let record = supervise(&request, own, &boot, &mut signals)?;
        // An error means that the agent has ended; then standard input has ended, too.
        let mut replies = io::stdout().lock();
        let _ = send(&record, &mut replies).and_then(|()| replies.flush());
    }
    Ok(())
}

/// Runs a command to its end. `None` when its slot could not be claimed.
fn supervise(
    request: &Request,
    own: Identity,
    boot: &str,
    signals: &mut Signals,
) -> io::Result<Option<Record>> {
    let begun = Uptime::now().in_clock_ticks();
    let claim = Claim { supervisor: own, boot: boot.to_owned(), begun };
    let Some(claimed) = request.slot.claim(&claim)? else { return Ok(None) };
    let (mains, failure) = match request.leftovers {
        Leftovers::Kill => oom_score::raised(|| start_all(request)),
        // Services of the node.
        Leftovers::Keep => start_all(request),
    };
    let mut tree = Tree {
        mains,
        end: request.end,
        failure,
        exit_code: None,
        asked: false,
        leftovers: request.leftovers,
        container: request.container,
        claimed: &claimed,
        terminated: HashSet::new(),
    };
    tree.run_to_completion(signals)?;
    let record = tree.record();
    if let Err(error) = claimed.finish(record.clone()) {
        // A running agent gets it as the reply.
        eprintln!("batchai supervise: the end of a command cannot be written: {error}");
    }
    Ok(Some(record))
}

/// Starts the programs up to the first that cannot be started.
fn start_all(request: &Request) -> (Vec<Main>, Option<Record>) {
    let mut mains = Vec::new();
    for program in &request.programs {
        match start(request, program) {
            Ok(pid) => mains.push(Main { pid, serves: program.serves, exit_code: None }),
            Err((reason, fault)) => return (mains, Some(Record::NotStarted { reason, fault })),
        }
    }
    (mains, None)
}

/// Starts a program in a process group of its own, so that `kill 0` in a job hits the job only.
fn start(request: &Request, program: &Program) -> Result<Pid, (String, Fault)> {
    let [name, arguments @ ..] = &program.arguments[..] else {
        return Err(("a program without a name".into(), Fault::Node));
    };
    let open = |path: &Path| {
        append(path).map_err(|error| {
            (format!("{}: {error}", path.display()), request.output_owner.fault(&error))
        })
    };
    let (stdout, stderr) = (open(&program.stdout)?, open(&program.stderr)?);
    let child = Command::new(name)
        .args(arguments)
        .env_clear()
        .envs(&request.environment)
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .current_dir(&request.directory)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .spawn()
        .map_err(|error| (error.to_string(), fault_of_start(&error, Path::new(name).exists())))?;
    Pid::from_raw(child.id().cast_signed()).ok_or_else(|| ("no process id".into(), Fault::Node))
}

/// Opens for appending: what the file contains already is kept.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// A program of the command that was started.
#[derive(Clone)]
struct Main {
    pid: Pid,
    serves: bool,
    exit_code: Option<i32>,
}

/// The process tree of the command.
struct Tree<'a> {
    mains: Vec<Main>,
    end: EndRule,
    /// A program could not be started, or the container has ended: the others are killed.
    failure: Option<Record>,
    /// Of the command, once it has ended.
    exit_code: Option<i32>,
    /// A signal went out while the command still ran.
    asked: bool,
    leftovers: Leftovers,
    container: Option<Identity>,
    claimed: &'a Claimed<'a>,
    /// Processes that were sent SIGTERM, by id and start time.
    terminated: HashSet<(i32, u64)>,
}

impl Tree<'_> {
    /// Returns when no process of the tree is left, or only services that may run on.
    fn run_to_completion(&mut self, signals: &mut Signals) -> io::Result<()> {
        let mut terminated = false;
        let mut leftover_grace: Option<Countdown> = None;
        let mut pace = KillPace::start();
        while self.reap(signals)? {
            if self.exit_code.is_none() && self.has_lost_container() {
                self.failure = Some(Record::ContainerEnded);
            }
            if self.failure.is_some() {
                self.signal_all(Signal::KILL)?;
                signals.wait(Some(pace.next_pause()))?;
                continue;
            }
            let ended_by_itself = self.exit_code.is_some() && !self.asked;
            if ended_by_itself && self.leftovers == Leftovers::Keep {
                return Ok(());
            }
            if ended_by_itself && leftover_grace.is_none() {
                leftover_grace = Some(Countdown::new(LEFTOVER_GRACE));
                // The leftovers may take a while to end: the exit code is stored now.
                let _ = self.claimed.store_early(self.record());
            }
            let is_late = leftover_grace.as_mut().is_some_and(Countdown::is_over);
            if signals.has_arrived(Signal::USR1) || is_late {
                self.signal_all(Signal::KILL)?;
                signals.wait(Some(pace.next_pause()))?;
            } else if signals.has_arrived(Signal::TERM) && !terminated {
                terminated = true;
                // Repeated for processes that are started meanwhile. One that is being started during the
                // last pass is missed, and killed at the end of the grace period. A later pass would hit
                // processes that others start as a reaction to the signal.
                while self.signal_all(Signal::TERM)? {}
            } else {
                let check = self.container.map(|_| CONTAINER_CHECK);
                signals.wait(leftover_grace.as_ref().map(Countdown::next_step).or(check))?;
            }
        }
        Ok(())
    }

    fn has_lost_container(&self) -> bool {
        self.container.is_some_and(|process| !process.is_alive())
    }

    fn record(&self) -> Record {
        let asked = self.asked;
        match (&self.failure, self.exit_code) {
            (Some(failure), _) => failure.clone(),
            (None, Some(exit_code)) => Record::Exited { exit_code, asked },
            // There was a server alone.
            (None, None) if asked => Record::Exited { exit_code: 0, asked },
            (None, None) => Record::NotStarted {
                reason: "the SSH server of the node has ended".into(),
                fault: Fault::Node,
            },
        }
    }

    /// Sends `signal` to the processes of the tree, SIGTERM once to each. True when there was a process to signal.
    fn signal_all(&mut self, signal: Signal) -> io::Result<bool> {
        let targets: Vec<_> = own_descendants()
            .filter(|process| {
                signal == Signal::KILL || self.terminated.insert((process.pid, process.started))
            })
            .collect();
        // Checked last, as the command may end by itself while the processes are collected.
        self.asked |= self.exit_code.is_none() && !self.has_ended()?;
        for process in &targets {
            process.signal(signal);
        }
        Ok(!targets.is_empty())
    }

    /// They serve nobody any more. What they had started is killed after the usual grace.
    fn kill_servers(&self) {
        for server in self.mains.iter().filter(|main| main.serves && main.exit_code.is_none()) {
            // An error means that it has ended.
            let _ = rustix::process::kill_process(server.pid, Signal::KILL);
        }
    }

    /// Whether the command has ended, also by processes that were not reaped yet.
    fn has_ended(&self) -> io::Result<bool> {
        let mut mains = self.mains.clone();
        for main in mains.iter_mut().filter(|main| main.exit_code.is_none()) {
            main.exit_code = peek(main.pid)?;
        }
        Ok(verdict(self.end, &mains).is_some())
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus, signals: &mut Signals) -> io::Result<()> {
        let Some(main) = self.mains.iter_mut().find(|main| main.pid == pid) else { return Ok(()) };
        main.exit_code = Some(exit_code(status));
        if self.exit_code.is_none() {
            self.asked |= is_terminated(status) && terminate_soon(signals)?;
            self.exit_code = verdict(self.end, &self.mains);
            // A program fails when its files have gone.
            if self.exit_code.is_some_and(|code| code != 0) && self.has_lost_container() {
                self.failure.get_or_insert(Record::ContainerEnded);
            }
            if self.exit_code.is_some() {
                self.kill_servers();
            }
        }
        Ok(())
    }

    /// Reaps the processes that have ended. False when there are no children left: as orphans become children
    /// of the subreaper, there are no descendants either.
    fn reap(&mut self, signals: &mut Signals) -> io::Result<bool> {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.ended(pid, status, signals)?,
                Ok(None) => return Ok(true),
                Err(rustix::io::Errno::CHILD) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The exit code of a command with these programs; `None` while it runs.
fn verdict(end: EndRule, mains: &[Main]) -> Option<i32> {
    let mut counting = mains.iter().filter(|main| !main.serves).peekable();
    counting.peek()?;
    let failed = counting.clone().find_map(|main| main.exit_code.filter(|code| *code != 0));
    let succeeded = match end {
        EndRule::WithFirst => counting.next().is_some_and(|main| main.exit_code.is_some()),
        EndRule::WithAll => counting.all(|main| main.exit_code.is_some()),
    };
    failed.or(succeeded.then_some(0))
}

/// The exit code that a shell would show.
fn exit_code(status: WaitStatus) -> i32 {
    match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(-1),
    }
}

fn is_terminated(status: WaitStatus) -> bool {
    status.terminating_signal() == Some(Signal::TERM.as_raw())
}

/// The exit code of a child that has ended. Does not reap it.
fn peek(child: Pid) -> io::Result<Option<i32>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(child), options)?;
    Ok(status.map(|status| match status.terminating_signal() {
        Some(signal) => 128 + signal,
        None => status.exit_status().unwrap_or(-1),
    }))
}

fn own_descendants() -> impl Iterator<Item = processes::Process> {
    processes::descendants(rustix::process::getpid().as_raw_nonzero().get())
        .into_iter()
        .filter(processes::Process::is_alive)
}

/// A shutdown signals all processes, in any order: a command that died of SIGTERM was asked to stop, if this
/// process is asked, too.
fn terminate_soon(signals: &mut Signals) -> io::Result<bool> {
    let until = Instant::now() + SHUTDOWN_SPREAD;
    while !signals.has_arrived(Signal::TERM) && Instant::now() < until {
        signals.wait(Some(until - Instant::now().min(until)))?;
    }
    Ok(signals.has_arrived(Signal::TERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_ends_with_the_first_failure_or_by_its_rule() {
        let verdict = |end, codes: &[Option<i32>]| {
            let main = |serves, exit_code| Main { pid: Pid::INIT, serves, exit_code };
            let mut mains = vec![main(true, None), main(true, Some(1))];
            mains.extend(codes.iter().map(|code| main(false, *code)));
            verdict(end, &mains)
        };
        let (first, all) = (EndRule::WithFirst, EndRule::WithAll);
        let table = [
            (&[][..], None, None),
            (&[None, None], None, None),
            (&[Some(0), None], Some(0), None),
            (&[None, Some(0)], None, None),
            (&[Some(0), Some(0)], Some(0), Some(0)),
            (&[None, Some(3)], Some(3), Some(3)),
            (&[Some(4), None], Some(4), Some(4)),
        ];
        for (codes, with_first, with_all) in table {
            assert_eq!((verdict(first, codes), verdict(all, codes)), (with_first, with_all));
        }
    }

    #[test]
    fn a_child_that_has_ended_is_known_before_it_is_reaped() {
        let spawn = |program: &str, argument: &str| {
            Command::new(program).arg(argument).stdout(Stdio::null()).spawn().unwrap()
        };
        let pid = |child: &std::process::Child| Pid::from_raw(child.id().cast_signed()).unwrap();
        let mut running = spawn("sleep", "1000");
        assert_eq!(peek(pid(&running)).unwrap(), None);
        let mut over = spawn("false", "");
        while peek(pid(&over)).unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(peek(pid(&over)).unwrap(), Some(1), "the call does not reap it");
        assert_eq!(over.wait().unwrap().code(), Some(1));
        running.kill().unwrap();
        running.wait().unwrap();
    }
}
