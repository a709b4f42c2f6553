//! The binaries of this workspace, built once per test process in the profile of the tests.

use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Builds the whole workspace: for fewer packages, cargo would select other features of shared
/// dependencies than for the tests, and build them again.
static BUILT: LazyLock<HashMap<String, PathBuf>> = LazyLock::new(build_all);

/// The path of a binary that is up to date with its sources.
///
/// # Panics
/// When the build fails; the messages of cargo are on stderr.
pub fn build(name: &str) -> PathBuf {
    BUILT.get(name).unwrap_or_else(|| panic!("there is no binary {name}")).clone()
}

fn build_all() -> HashMap<String, PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--workspace", "--all-targets"])
        // The target directory may be anywhere, so the paths come from the messages of cargo.
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    // Build scripts that read them for their own package, such as ring's, would run again, and most
    // dependencies be built again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().expect("cargo built this test, so it can be run");
    assert!(output.status.success(), "the binaries cannot be built (see above)");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().filter_map(executable).collect()
}

fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    // The unit tests of a binary have the same name.
    if message["profile"]["test"] == true || message["target"]["kind"][0] != "bin" {
        return None;
    }
    let path = PathBuf::from(message["executable"].as_str()?);
    Some((message["target"]["name"].as_str()?.to_owned(), path))
}
