//! Virtual environments for tests with Python clients, created once per set of requirements under
//! `target/python`.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of the interpreter of an environment with the packages of `requirements`, in the format of
/// `requirements.txt`.
///
/// # Panics
/// When Python, its `venv` module or a package is missing; the message names it.
pub fn environment(requirements: &str) -> PathBuf {
    let home = home();
    let mut hasher = DefaultHasher::new();
    requirements.hash(&mut hasher);
    // A virtual environment belongs to one version of Python.
    version().hash(&mut hasher);
    let name = format!("{:016x}", hasher.finish());
    let (directory, complete) = (home.join(&name), home.join(format!("{name}.complete")));
    // One process creates it, the others wait. The lock is released when the process exits.
    let lock = File::create(home.join(format!("{name}.lock"))).expect("target can be written");
    lock.lock().expect("the lock can be acquired");
    if !complete.exists() {
        // An environment cannot be moved, so a marker file says that it is complete.
        let _ = std::fs::remove_dir_all(&directory);
        install(&directory, requirements);
        File::create(&complete).expect("target can be written");
    }
    directory.join("bin/python")
}

fn home() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_workspace = |directory: &&Path| directory.join("Cargo.lock").exists();
    let workspace = own.ancestors().find(is_workspace).expect("tests run in the source tree");
    let home = workspace.join("target/python");
    std::fs::create_dir_all(&home).expect("target can be written");
    home.canonicalize().expect("it was just created")
}

fn version() -> String {
    let output = Command::new("python3").arg("--version").output().unwrap_or_else(|error| {
        panic!(
            "this test needs python3, which cannot be run ({error}): install Python 3.9 or later"
        )
    });
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn install(directory: &Path, requirements: &str) {
    let mut venv = Command::new("python3");
    succeed(
        venv.args(["-m", "venv"]).arg(directory),
        "this test needs Python's venv module (on Debian and Ubuntu: apt install python3-venv)",
    );
    let mut pip = Command::new(directory.join("bin/python"));
    let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    succeed(
        pip.args(quiet).args(requirements.lines().filter(|line| !line.is_empty())),
        "this test needs packages from PyPI, which could not be installed",
    );
}

fn succeed(command: &mut Command, need: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{need}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{need}:\n{}", String::from_utf8_lossy(&text));
}
