//! Programs: exit codes, surroundings, input and output.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;

use processes::User;
use ssh::{Access, HostSpawn};

use crate::fixture::{Node, PROGRAMS, key_of, text};

#[tokio::test]
async fn a_command_runs_in_the_directory_and_environment_of_its_attempt() {
    let node = Node::start().await;
    let client = node.admit("one");
    let directory = node.path("one").canonicalize().unwrap();
    let (code, output) = client.run("pwd -P; echo $ATTEMPT; exit 7").await;
    assert_eq!((code, output), (7, format!("{}\none\n", directory.display())));
    let quiet = client.ssh(&[]).arg("echo out; echo err >&2; kill -9 $$").output().await.unwrap();
    assert_eq!(text(&quiet.stdout), "out\n");
    assert!(text(&quiet.stderr).starts_with("err\n"), "{}", text(&quiet.stderr));
    // The client's own code for a program that was ended by a signal.
    assert_eq!(quiet.status.code(), Some(255));
}

#[tokio::test]
async fn the_first_connection_warns_as_the_service_did() {
    let node = Node::start().await;
    let client = node.admit("one");
    let first = client.ssh(&[]).args(["echo", "done"]).output().await.unwrap();
    let port = node.server.address().port();
    let warning = format!("Warning: Permanently added '[127.0.0.1]:{port}' (ED25519)");
    assert!(text(&first.stderr).starts_with(&warning), "{}", text(&first.stderr));
    let second = client.ssh(&[]).args(["echo", "done"]).output().await.unwrap();
    assert_eq!((text(&second.stdout), text(&second.stderr)), ("done\n".into(), String::new()));
}

#[tokio::test]
async fn a_client_may_set_a_language_but_not_what_is_executed() {
    let node = Node::start().await;
    let client = node.admit("one");
    let options = ["-o", "SendEnv=LC_NAME", "-o", "SendEnv=BASH_ENV", "-o", "SendEnv=ATTEMPT"];
    let mut command = client.ssh(&options);
    command.env("LC_NAME", "x y").env("BASH_ENV", "/evil").env("ATTEMPT", "other");
    let output = command.arg("echo $LC_NAME,$BASH_ENV,$ATTEMPT").output().await.unwrap();
    assert_eq!(text(&output.stdout), "x y,,one\n");
}

#[tokio::test]
async fn bash_reads_bashrc_as_below_any_ssh_server() {
    let node = Node::start().await;
    let client = node.client("one");
    let mut spawn = node.spawn("one");
    spawn.environment.insert("SHLVL".into(), "3".into());
    let access = Access { spawn: Arc::new(spawn), forward_to: Vec::new() };
    node.policy.admit("one", key_of("one").public_key(), access);
    std::fs::write(node.path("home").join(".bashrc"), "export MPI=here\n").unwrap();
    assert_eq!(client.run("echo $MPI").await, (0, "here\n".into()));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_why() {
    let node = Node::start().await;
    let client = node.admit("one");
    std::fs::remove_dir(node.path("one")).unwrap();
    let output = client.ssh(&[]).arg("true").output().await.unwrap();
    assert_eq!(output.status.code(), Some(126));
    let errors = text(&output.stderr);
    assert!(errors.contains("could not be started: No such file"), "{errors}");
}

#[tokio::test]
async fn processes_run_as_the_user_of_the_attempt() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can start processes of another user");
    }
    let node = Node::start().await;
    let client = node.client("one");
    let directory = node.path("one");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&directory, open.clone()).unwrap();
    std::fs::set_permissions(node.directory.path(), open).unwrap();
    let user =
        User { uid: 65534, gid: 65534, name: "somebody".into(), home: "/nonexistent".into() };
    // The directory of the build may be closed to others.
    let server = node.directory.path().join("sftp-server");
    std::fs::copy(PROGRAMS, &server).unwrap();
    let sftp_server = vec![server.into()];
    let spawn = HostSpawn { user: Some(user), sftp_server, ..node.spawn("one") };
    let access = Access { spawn: Arc::new(spawn), forward_to: Vec::new() };
    node.policy.admit("one", key_of("one").public_key(), access);
    let (_, output) = client.run("id -u; id -G; echo $USER $HOME; touch mine").await;
    assert_eq!(output, "65534\n65534\nsomebody /nonexistent\n");
    assert_eq!(directory.join("mine").metadata().unwrap().uid(), 65534);
    let mut command = client.ssh(&["-tt"]);
    let output = command.arg("echo to the terminal > $(tty)").output().await.unwrap();
    assert_eq!(text(&output.stdout), "to the terminal\r\n");
    // Files are those that this user may read.
    std::fs::write(directory.join("secret"), "x").unwrap();
    let closed = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(directory.join("secret"), closed).unwrap();
    let remote = format!("{}:secret", client.host);
    let copy = client.program("scp").arg(remote).arg(node.path("input")).output().await.unwrap();
    assert!(text(&copy.stderr).contains("Permission denied"), "{}", text(&copy.stderr));
}
