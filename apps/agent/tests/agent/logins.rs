//! The administrator's login, with the ordinary OpenSSH client. Skipped where that is not installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use protocol::Administrator;

use crate::support::{ControlPlane, Node, wait_until};

/// Of the password `correct horse`, with a thousand rounds.
const PASSWORD_HASH: &str =
    "$pbkdf2-sha256$i=1000,l=32$b2YgdGhpcyB0ZXN0$ShR4of1+Ah4gH70pSMPI0jrgBOOEeNW44Owtw/2jOTg";

struct Client {
    directory: tempfile::TempDir,
    port: u16,
}

impl Client {
    /// A node with an administrator `alice`, and a client with her key.
    fn and_node() -> Option<(ControlPlane, Node, Client)> {
        if !Path::new("/usr/bin/ssh").exists() {
            eprintln!("skipped: ssh is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
        assert!(keygen.status().unwrap().success());
        let public_key = fs::read_to_string(directory.path().join("key.pub")).unwrap();
        let control = ControlPlane::start();
        let mut node = Node::new(&control, "node", |setup| {
            setup.administrator = Some(Administrator {
                user: "alice".into(),
                public_key: Some(public_key),
                password_hash: Some(PASSWORD_HASH.into()),
            });
        });
        node.start_agent(&control);
        control.wait_until_idle("node");
        let port = login_port(&control);
        Some((control, node, Client { directory, port }))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn options(&self) -> Vec<String> {
        let known = format!("UserKnownHostsFile={}", self.path("known_hosts").display());
        ["-F", "none", "-o", &known, "-o", "StrictHostKeyChecking=accept-new", "-o"]
            .into_iter()
            .chain([
                "IdentitiesOnly=yes",
                "-o",
                "NumberOfPasswordPrompts=1",
                "-o",
                "LogLevel=ERROR",
            ])
            .map(str::to_owned)
            .collect()
    }

    fn ssh(&self, user: &str) -> Command {
        let mut command = Command::new("ssh");
        command.args(self.options()).args(["-p", &self.port.to_string(), "-l", user]);
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    fn with_key(&self, line: &str) -> Output {
        let mut command = self.ssh("alice");
        command.args(["-o", "BatchMode=yes", "-i"]).arg(self.path("key"));
        command.args(["127.0.1.1", line]).output().unwrap()
    }

    fn with_password(&self, password: &str, line: &str) -> Output {
        let ask = self.path("ask");
        fs::write(&ask, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = self.ssh("alice");
        command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force");
        command.args(["127.0.1.1", line]).output().unwrap()
    }
}

fn login_port(control: &ControlPlane) -> u16 {
    control.wait("the port of logins", "node", |script| script.requests.last()?.login_port)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_administrator_logs_in_with_key_or_password_and_nobody_else() {
    let Some((_control, node, client)) = Client::and_node() else { return };
    let line =
        "echo $SSH_CONNECTION | cut -d' ' -f3; pwd; env | grep -c -e AZ_BATCHAI -e TOKEN; exit 3";
    let output = client.with_key(line);
    let home = fs::canonicalize(node.home()).unwrap();
    let expected = format!("127.0.1.1\n{}\n0\n", home.display());
    assert_eq!((text(&output.stdout), output.status.code()), (expected, Some(3)), "{output:?}");
    let output = client.with_password("correct horse", "echo in");
    assert_eq!(text(&output.stdout), "in\n", "{output:?}");
    let refused = client.with_password("wrong horse", "echo in");
    assert_eq!((text(&refused.stdout), refused.status.code()), (String::new(), Some(255)));
    let mut other = client.ssh("bob");
    other.args(["-o", "BatchMode=yes", "-i"]).arg(client.path("key")).args(["127.0.1.1", "true"]);
    assert_eq!(other.output().unwrap().status.code(), Some(255));
}

#[test]
fn a_session_outlives_the_agent_and_the_next_agent_knows_the_administrator() {
    let Some((control, mut node, client)) = Client::and_node() else { return };
    let mut command = client.ssh("alice");
    command.args(["-o", "BatchMode=yes", "-i"]).arg(client.path("key"));
    command.args(["127.0.1.1", "echo up; read line; echo got $line"]);
    let mut session = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(session.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    node.kill_agent();
    // The last request of the killed agent was that of an idle node.
    control.change("node", |script| script.requests.clear());
    node.start_agent(&control);
    control.wait_until_idle("node");
    assert_eq!(login_port(&control), client.port, "the port stays");
    assert_eq!(text(&client.with_key("echo again").stdout), "again\n");
    session.stdin.take().unwrap().write_all(b"text\n").unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "got text\n");
    assert!(session.wait().unwrap().success());
}

#[test]
fn a_port_of_a_job_is_forwarded_and_files_are_copied() {
    let Some((_control, _node, client)) = Client::and_node() else { return };
    let notebook = TcpListener::bind("127.0.1.1:0").unwrap();
    let port = notebook.local_addr().unwrap().port();
    let local = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = client.ssh("alice");
    command.args(["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-N", "-i"]);
    command.arg(client.path("key"));
    command.args(["-L", &format!("127.0.0.1:{local}:127.0.1.1:{port}"), "127.0.1.1"]);
    let mut tunnel = command.spawn().unwrap();
    let server = std::thread::spawn(move || {
        notebook.accept().unwrap().0.write_all(b"a notebook").unwrap();
    });
    let mut received = String::new();
    wait_until("the tunnel is there", || {
        received.clear();
        TcpStream::connect(("127.0.0.1", local))
            .and_then(|mut stream| stream.read_to_string(&mut received))
            .is_ok_and(|count| count > 0)
    });
    assert_eq!(received, "a notebook");
    server.join().unwrap();
    tunnel.kill().unwrap();
    tunnel.wait().unwrap();

    fs::write(client.path("sent"), "content").unwrap();
    let remote = format!("scp://alice@127.0.1.1:{}/", client.port);
    let copy = |from: &str, to: &str| {
        let mut scp = Command::new("scp");
        scp.args(client.options())
            .args(["-q", "-o", "BatchMode=yes", "-i"])
            .arg(client.path("key"));
        assert!(scp.args([from, to]).env_remove("SSH_AUTH_SOCK").status().unwrap().success());
    };
    copy(&client.path("sent").display().to_string(), &format!("{remote}there"));
    copy(&format!("{remote}there"), &client.path("back").display().to_string());
    assert_eq!(fs::read_to_string(client.path("back")).unwrap(), "content");
}

/// Connections of strangers, of which the node serves some.
#[test]
fn clients_that_do_not_log_in_keep_no_administrator_out_and_nobody_loses_a_session() {
    let Some((_control, _node, client)) = Client::and_node() else { return };
    let mut command = client.ssh("alice");
    command.args(["-o", "BatchMode=yes", "-i"]).arg(client.path("key"));
    command.args(["127.0.1.1", "echo up; read line; echo got $line"]);
    let mut session = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(session.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let connect = |_| TcpStream::connect(("127.0.1.1", client.port)).unwrap();
    let mut strangers: Vec<TcpStream> = (0..100).map(connect).collect();
    for _ in 0..3 {
        let entered = client.with_key("echo in");
        assert_eq!(text(&entered.stdout), "in\n", "{entered:?}");
        strangers.extend((0..10).map(connect));
    }
    let mut received = Vec::new();
    // It may be a reset.
    let _ = strangers[0].read_to_end(&mut received);
    session.stdin.take().unwrap().write_all(b"still here\n").unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "got still here\n");
    assert!(session.wait().unwrap().success());
}
