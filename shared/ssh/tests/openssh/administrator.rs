//! The administrator's login: by name, with a key or a password.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use pbkdf2::password_hash::{PasswordHasher, SaltString};
use pbkdf2::{Params, Pbkdf2};
use ssh::{Administrator, Password, PublicKey};
use tokio::process::Command;
use tracing_subscriber::fmt::MakeWriter;

use crate::fixture::{Node, assert_refused, text};

/// `ssh` as the administrator calls it. The client gets the password from `SSH_ASKPASS`.
fn ssh(node: &Node, user: &str, options: &[&str], password: &str) -> Command {
    let directory = node.path("administrator");
    let ask = directory.join(format!("ask-{password}"));
    fs::write(&ask, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
    fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).unwrap();
    let known = format!("UserKnownHostsFile={}", directory.join("known_hosts").display());
    let port = node.server.address().port().to_string();
    let mut command = Command::new("ssh");
    command.args(["-F", "none", "-o", &known, "-o", "StrictHostKeyChecking=no", "-p", &port]);
    command.args(["-o", "NumberOfPasswordPrompts=1", "-o", "IdentitiesOnly=yes"]);
    command.args(options).arg(format!("{user}@127.0.0.1"));
    command.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force");
    command.env_remove("SSH_AUTH_SOCK").stdin(std::process::Stdio::null());
    command
}

/// A file with a private key of this type, and its public key.
async fn key(node: &Node, kind: &str) -> (String, PublicKey) {
    let path = node.path("administrator").join(kind).display().to_string();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", "", "-f", &path]);
    assert!(command.status().await.unwrap().success());
    let line = fs::read_to_string(format!("{path}.pub")).unwrap();
    (path, PublicKey::from_openssh(&line).unwrap())
}

/// With few rounds: tests try it often.
fn hashed(password: &str) -> Password {
    let salt = SaltString::encode_b64(b"of this test").unwrap();
    let few = Params { rounds: 1000, output_length: 32 };
    let hash = Pbkdf2.hash_password_customized(password.as_bytes(), None, None, few, &salt);
    Password::from_hash(&hash.unwrap().to_string()).unwrap()
}

fn admit(node: &Node, keys: Vec<PublicKey>, password: Option<&str>) {
    let mut spawn = node.spawn("administrator");
    spawn.is_login = true;
    let access = ssh::Access { spawn: Arc::new(spawn), forward_to: Vec::new() };
    let password = password.map(hashed);
    let administrator = Administrator { user: "alice".into(), keys, password, access };
    node.policy.set_administrator(Some(administrator));
}

#[tokio::test]
async fn keys_of_every_usual_type_are_accepted() {
    let node = Node::start().await;
    let mut keys = Vec::new();
    for kind in ["rsa", "ed25519", "ecdsa"] {
        keys.push(key(&node, kind).await);
    }
    admit(&node, keys.iter().map(|(_, key)| key.clone()).collect(), None);
    for (path, _) in &keys {
        let output = ssh(&node, "alice", &["-i", path], "").arg("echo $ATTEMPT").output().await;
        assert_eq!(text(&output.unwrap().stdout), "administrator\n", "{path}");
    }
    // Another name, a signature with SHA-1, and a password where there is none.
    let path = &keys[0].0;
    assert_refused(&ssh(&node, "bob", &["-i", path], "").arg("true").output().await.unwrap());
    let weak = ["-i", path, "-o", "PubkeyAcceptedAlgorithms=ssh-rsa"];
    assert_refused(&ssh(&node, "alice", &weak, "").arg("true").output().await.unwrap());
    assert_refused(&ssh(&node, "alice", &[], "secret").arg("true").output().await.unwrap());
    node.policy.set_administrator(None);
    assert_refused(&ssh(&node, "alice", &["-i", path], "").arg("true").output().await.unwrap());
}

#[tokio::test]
async fn a_shell_of_the_administrator_is_a_login() {
    let node = Node::start().await;
    let (path, key) = key(&node, "ed25519").await;
    admit(&node, vec![key], None);
    let mut command = ssh(&node, "alice", &["-i", &path], "");
    let line = "shopt -q login_shell && echo login\n";
    let script = node.path("administrator").join("script");
    fs::write(&script, line).unwrap();
    command.stdin(fs::File::open(script).unwrap());
    assert_eq!(text(&command.output().await.unwrap().stdout), "login\n");
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_password_is_accepted_and_refusals_are_logged_without_it() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    // For all tests: one that is set for a thread misses what other threads were the first to log.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let node = Node::start().await;
    admit(&node, Vec::new(), Some("correct horse"));
    let right = ssh(&node, "alice", &[], "correct horse").arg("echo in").output().await.unwrap();
    assert_eq!(text(&right.stdout), "in\n", "{}", text(&right.stderr));
    let long = "x".repeat(100) + "\u{1b}[2J";
    for (user, password) in [("alice", "wrong horse"), ("bob", "correct horse"), (&long, "other")] {
        assert_refused(&ssh(&node, user, &[], password).arg("true").output().await.unwrap());
    }
    let (path, _) = key(&node, "ed25519").await;
    let stranger = ssh(&node, "alice", &["-i", &path, "-o", "BatchMode=yes"], "").output().await;
    assert_refused(&stranger.unwrap());
    node.admit("one");
    node.policy.revoke("one");
    let late = node.client("one").ssh(&["-l", "root"]).output().await.unwrap();
    assert_refused(&late);
    let log = text(&log.0.lock().unwrap());
    for expected in [
        "a login was refused peer=127.0.0.1:",
        "user=\"alice\" reason=the password is wrong",
        "user=\"bob\" reason=the user is not known",
        "user=\"alice\" reason=the key is not known",
        "user=\"root\" reason=the attempt of this key has ended",
        "login=\"administrator\"",
    ] {
        assert!(log.contains(expected), "{expected:?} is not in\n{log}");
    }
    let secrets = ["horse", "AAAA", "\u{1b}"];
    assert!(!secrets.iter().any(|secret| log.contains(secret)), "{log}");
    assert!(!log.contains(&"x".repeat(65)), "{log}");
}
