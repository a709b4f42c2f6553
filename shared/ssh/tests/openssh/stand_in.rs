//! The stand-in for the OpenSSH client, in an image that has none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::fixture::{Client, Node, PROGRAMS, eventually, is_alive, pid_in, text};

/// `ssh` where nothing of that name is installed.
fn ssh(client: &Client) -> Command {
    let stand_in = client.files.join(ssh::STAND_IN);
    fs::write(&stand_in, format!("#!/bin/sh\nexec {PROGRAMS} client \"$@\"\n")).unwrap();
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(ssh::client_programs(&client.files).join("ssh"));
    command.env("PATH", ssh::client_programs(&client.files)).arg("-x").arg(&client.host);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn parts(output: &Output) -> (Option<i32>, String, String) {
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn it_runs_commands_like_ssh() {
    let node = Node::start().await;
    let client = node.admit("one");
    let output =
        ssh(&client).args(["echo", "done;", "echo err >&2; exit 3"]).output().await.unwrap();
    assert_eq!(parts(&output), (Some(3), "done\n".into(), "err\n".into()));
    let output = ssh(&client).arg("kill -9 $$").output().await.unwrap();
    assert_eq!(
        parts(&output),
        (Some(255), String::new(), "ssh: the command was ended by the signal KILL\n".into())
    );
    node.policy.revoke("one");
    let output = ssh(&client).arg("true").output().await.unwrap();
    assert_eq!(
        parts(&output),
        (Some(255), String::new(), "ssh: Permission denied (publickey)\n".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_passes_on_large_streams() {
    let node = Node::start().await;
    let client = node.admit("one");
    let input = node.path("input").join("random");
    let line = format!("head -c 20000000 /dev/urandom | tee {} | sha256sum", input.display());
    let expected = client.run(&line).await.1;
    let stdin = fs::File::open(&input).unwrap();
    let mut child = ssh(&client).arg("cat").stdin(stdin).spawn().unwrap();
    let output: Stdio = child.stdout.take().unwrap().try_into().unwrap();
    let sum = Command::new("sha256sum").stdin(output).output();
    let sum = tokio::time::timeout(Duration::from_secs(60), sum).await.unwrap().unwrap();
    assert_eq!(text(&sum.stdout), expected);
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn killing_it_ends_the_command() {
    let node = Node::start().await;
    let client = node.admit("one");
    let mut child = ssh(&client).arg("echo $$ > pid; sleep 1000; :").spawn().unwrap();
    let pid = pid_in(&node.path("one").join("pid")).await;
    child.kill().await.unwrap();
    eventually("the command has ended", || !is_alive(pid)).await;
}

#[tokio::test]
async fn without_it_the_user_is_told_what_is_missing() {
    let node = Node::start().await;
    let client = node.admit("one");
    let mut command = ssh(&client);
    fs::remove_file(client.files.join(ssh::STAND_IN)).unwrap();
    let output = command.arg("true").output().await.unwrap();
    let missing = "ssh: the OpenSSH client is not installed\n";
    assert_eq!(parts(&output), (Some(127), String::new(), missing.into()));
}
