//! The programs that the agent and jobs start.

use crate::commands::doctor::check::Check;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What an engine or a driver needs that works.
const LIMIT: Duration = Duration::from_secs(20);

/// The shell of every command (`agent`).
const SHELL: &str = "/bin/bash";

/// What a program printed, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    NotInstalled,
    Failed(String),
    Printed(String),
}

pub async fn check() -> Vec<Check> {
    let (python, ssh, mpirun, gpus, docker, podman) = tokio::join!(
        ask("python3", &["--version"]),
        ask("ssh", &["-V"]),
        ask("mpirun", &["--version"]),
        ask("nvidia-smi", &["--query-gpu=name", "--format=csv,noheader"]),
        ask("docker", &["ps", "--quiet"]),
        ask("podman", &["ps", "--quiet"]),
    );
    vec![
        bash(Path::new(SHELL).exists()),
        needed("python3", &python, "the demo and jobs in Python", "Install Python 3"),
        needed(
            "ssh",
            &ssh,
            "jobs on several nodes and `exec`",
            "Install the OpenSSH client (package openssh-client)",
        ),
        optional("mpirun", &mpirun, "Horovod, CNTK, Chainer and MPI jobs, and `batchai run --mpi`"),
        engines([("docker", docker), ("podman", podman)]),
        graphics(&gpus),
    ]
}

/// Runs a program and returns the first line that it prints.
async fn ask(program: &str, arguments: &[&str]) -> Answer {
    let output =
        Command::new(program).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(LIMIT, output).await {
        Err(_) => Answer::Failed(format!("no answer within {} s", LIMIT.as_secs())),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Answer::NotInstalled,
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Ok(Ok(output)) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            match output.status.success() {
                // `ssh -V` writes to stderr.
                true => Answer::Printed(if out.is_empty() { err } else { out }),
                false => Answer::Failed(first_line(&format!("{err}\n{out}"))),
            }
        }
    }
}

fn first_line(text: &str) -> String {
    const CHARACTERS: usize = 200;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(CHARACTERS).collect()
}

fn bash(exists: bool) -> Check {
    match exists {
        true => Check::ok("bash", SHELL),
        false => Check::problem(
            "bash",
            format!("there is no {SHELL}, which every command of a job needs"),
            "Install bash",
        ),
    }
}

/// A program that most users need.
fn needed(name: &str, answer: &Answer, by: &str, advice: &str) -> Check {
    match answer {
        Answer::Printed(text) => Check::ok(name, first_line(text)),
        Answer::NotInstalled => {
            Check::warning(name, format!("not installed; needed by {by}"), advice)
        }
        Answer::Failed(error) => Check::warning(name, format!("does not work: {error}"), advice),
    }
}

/// A program that some jobs need.
fn optional(name: &str, answer: &Answer, by: &str) -> Check {
    match answer {
        Answer::Printed(text) => Check::ok(name, first_line(text)),
        Answer::NotInstalled => Check::skipped(name, format!("not installed; needed by {by}"), ""),
        Answer::Failed(error) => {
            Check::warning(name, format!("does not work: {error}"), format!("Needed by {by}"))
        }
    }
}

/// The agent uses the first engine that works.
fn engines(answers: [(&str, Answer); 2]) -> Check {
    const NAME: &str = "containers";
    let mut failures = Vec::new();
    for (engine, answer) in answers {
        match answer {
            Answer::Printed(_) => return Check::ok(NAME, format!("{engine} works")),
            Answer::Failed(error) => failures.push(format!("{engine}: {error}")),
            Answer::NotInstalled => {}
        }
    }
    match failures.is_empty() {
        true => Check::skipped(
            NAME,
            "neither docker nor podman is installed; needed by jobs with containerSettings",
            "",
        ),
        false => Check::warning(
            NAME,
            failures.join("; "),
            "Start the engine, or let this user use it; jobs with containerSettings need it",
        ),
    }
}

fn graphics(answer: &Answer) -> Check {
    const NAME: &str = "GPUs";
    match answer {
        Answer::Printed(list) if !list.is_empty() => {
            Check::ok(NAME, format!("{}: {}", list.lines().count(), first_line(list)))
        }
        Answer::Printed(_) | Answer::NotInstalled => {
            Check::ok(NAME, "none; nodes of every size run without")
        }
        Answer::Failed(error) => Check::warning(
            NAME,
            format!("nvidia-smi fails: {error}"),
            "Repair the driver of NVIDIA; until then nodes get no GPUs",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;

    #[tokio::test]
    async fn programs_are_asked() {
        assert_eq!(ask("no-such-program", &[]).await, Answer::NotInstalled);
        assert_eq!(ask("echo", &["one"]).await, Answer::Printed("one".to_owned()));
        let failed = ask("sh", &["-c", "echo; echo broken >&2; exit 3"]).await;
        assert_eq!(failed, Answer::Failed("broken".to_owned()));
        let on_stderr = ask("sh", &["-c", "echo version >&2"]).await;
        assert_eq!(on_stderr, Answer::Printed("version".to_owned()));
    }

    #[test]
    fn one_engine_that_works_is_enough() {
        let failed = || Answer::Failed("permission denied".to_owned());
        let printed = || Answer::Printed(String::new());
        let check = |docker, podman| engines([("docker", docker), ("podman", podman)]);
        assert_eq!(check(failed(), printed()).status, Status::Ok);
        assert_eq!(check(Answer::NotInstalled, Answer::NotInstalled).status, Status::Skipped);
        let broken = check(failed(), Answer::NotInstalled);
        assert_eq!(broken.status, Status::Warning);
        assert_eq!(broken.detail, "docker: permission denied");
    }

    #[test]
    fn what_is_missing_says_who_needs_it() {
        let missing = needed("ssh", &Answer::NotInstalled, "gangs", "Install it");
        assert_eq!((missing.status, missing.advice.as_str()), (Status::Warning, "Install it"));
        assert_eq!(optional("mpirun", &Answer::NotInstalled, "MPI").status, Status::Skipped);
        assert_eq!(bash(false).status, Status::Problem);
        let gpus = graphics(&Answer::Printed("Tesla T4\nTesla T4".to_owned()));
        assert_eq!(gpus.detail, "2: Tesla T4");
        assert_eq!(graphics(&Answer::Failed("no driver".to_owned())).status, Status::Warning);
    }
}
