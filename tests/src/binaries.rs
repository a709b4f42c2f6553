//! The programs of this workspace, as they are run: built once per test process, in the profile of
//! the tests.

use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Together with everything else. For less, cargo would choose other features of what they share than
/// it did for the tests, and build all of that again.
static BUILT: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(build);

/// The program of that name, up to date with its sources.
///
/// # Panics
/// When it cannot be built; what cargo said stands on stderr.
pub fn built(name: &str) -> PathBuf {
    BUILT.get(name).unwrap_or_else(|| panic!("there is no program {name}")).clone()
}

fn build() -> HashMap<String, PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--workspace", "--all-targets"])
        // Where a program is, is said by cargo: the target directory may be anywhere.
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().expect("cargo, which built this test, can be run");
    assert!(output.status.success(), "the programs cannot be built (see above)");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().filter_map(executable).collect()
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    // A program has the same name as its unit tests.
    if message["profile"]["test"] == true || message["target"]["kind"][0] != "bin" {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    Some((message["target"]["name"].as_str()?.to_owned(), path))
}
