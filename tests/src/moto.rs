//! Services of AWS on this machine: the server of moto from PyPI. Its DynamoDB is not used, because it is
//! not atomic under concurrency; see `table_server`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// An exact version, because the behaviour of emulators changes.
const REQUIREMENTS: &str = "moto[server]==5.2.5";

/// The line with its address starts with this.
const READY: &str = "Running on ";

/// A running server. It is killed on drop.
pub struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// Returns when the server listens.
    ///
    /// # Panics
    /// When it cannot be installed or does not start.
    pub fn start() -> Self {
        let python = crate::python::environment(REQUIREMENTS);
        let mut child = Command::new(python)
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the interpreter of the environment can be run");
        let mut lines = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
        let mut output = Vec::new();
        let endpoint = loop {
            match lines.next() {
                Some(Ok(line)) => match line.split_once(READY) {
                    Some((_, url)) => break url.trim().to_owned(),
                    None => output.push(line),
                },
                Some(Err(_)) | None => {
                    let _ = child.kill();
                    panic!("moto did not start:\n{}", output.join("\n"));
                }
            }
        };
        // A full pipe would block the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, endpoint }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
