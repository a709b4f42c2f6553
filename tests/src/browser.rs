//! Chromium, driven by Playwright for Python.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What the scripts need.
const REQUIREMENTS: &str = "
playwright==1.65.2
axe-playwright-python==0.1.8
";

/// The programs of Chromium, as systems name them.
const PROGRAMS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser of this machine, if it has one.
pub fn installed() -> Option<&'static str> {
    let answers = |program: &&str| {
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    PROGRAMS.into_iter().find(answers)
}

/// Runs a script of `tests/python` with these variables.
///
/// # Panics
/// When it fails or takes longer than `timeout`; the message has its output.
pub async fn run(
    browser: &str,
    script: &str,
    variables: &[(&str, String)],
    directory: &Path,
    timeout: Duration,
) {
    let python = tokio::task::spawn_blocking(|| crate::python::environment(REQUIREMENTS)).await;
    let child = tokio::process::Command::new(python.expect("the environment can be created"))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script))
        .env("BATCHAI_TEST_BROWSER", browser)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Python can be started");
    let output = tokio::time::timeout(timeout, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("{script} timed out")).expect("it has ended");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{script} failed:\n{}", String::from_utf8_lossy(&text));
}
