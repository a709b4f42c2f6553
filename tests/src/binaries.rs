//! The programs of this workspace, as they are run: built once per test process, in the profile of
//! the tests.

use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

/// By package and name. The outer lock is held for a moment only, so different programs do not wait
/// for each other here.
static BUILT: LazyLock<Mutex<HashMap<(String, String), Arc<OnceLock<PathBuf>>>>> =
    LazyLock::new(Mutex::default);

/// The program `bin` of `package`, up to date with its sources.
///
/// # Panics
/// When it cannot be built; what cargo said stands on stderr.
pub fn built(package: &str, bin: &str) -> PathBuf {
    let slot = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry((package.to_owned(), bin.to_owned())).or_default())
    };
    slot.get_or_init(|| build(package, bin)).clone()
}

fn build(package: &str, bin: &str) -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--package", package, "--bin", bin])
        // Where the program is, is said by cargo: the target directory may be anywhere.
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().expect("cargo, which built this test, can be run");
    assert!(output.status.success(), "{bin} of {package} cannot be built (see above)");
    let messages = String::from_utf8_lossy(&output.stdout);
    let executable = messages.lines().find_map(|line| executable(line, bin));
    executable.unwrap_or_else(|| panic!("cargo did not say where it put {bin}"))
}

fn executable(line: &str, bin: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_it = message["target"]["name"] == bin && message["target"]["kind"][0] == "bin";
    is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
}
