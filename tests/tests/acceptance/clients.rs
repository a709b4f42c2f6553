//! Programs of others that drive the service.

use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Runs a client to its end, which has to be a success. What it said is printed, and part of the
/// failure.
pub async fn succeeds(mut command: Command, what: &str, patience: Duration) {
    let child = command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = tokio::time::timeout(patience, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{what} takes too long")).unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    println!("{said}");
    assert!(output.status.success(), "{what} failed:\n{said}");
}
