//! Runs client programs.

use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// Runs a client program, which must succeed. Prints its output, also in the failure message.
pub async fn succeeds(mut command: Command, what: &str, timeout: Duration) {
    let child = command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let output = tokio::time::timeout(timeout, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{what} timed out")).unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    println!("{text}");
    assert!(output.status.success(), "{what} failed:\n{text}");
}
