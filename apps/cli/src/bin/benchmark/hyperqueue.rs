//! Runs HyperQueue from PyPI with a Python script of this project, one process per round, in a virtual
//! environment below `target/python`.

use crate::scratch::Scratch;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const REQUIREMENT: &str = "hyperqueue==0.27.0";

pub struct HyperQueue {
    python: PathBuf,
    script: PathBuf,
}

/// Jobs submitted one by one, as the script measures them.
#[derive(Deserialize)]
pub struct Throughput {
    /// From the first submission to the last end.
    pub seconds: f64,
    /// From the first submission to the last answer.
    pub accepted_seconds: f64,
    /// The CPU time of server, worker and client, which are one process.
    pub own_cpu_seconds: f64,
    /// The CPU time of the jobs.
    pub jobs_cpu_seconds: f64,
}

#[derive(Deserialize)]
struct Latency {
    millis: Vec<f64>,
}

impl HyperQueue {
    /// Installs HyperQueue unless it is installed.
    pub fn install() -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let workspace =
            workspace.canonicalize().context("cannot find the source directory of this program")?;
        let directory = workspace.join("target/python").join(REQUIREMENT.replace("==", "-"));
        // Written last: without it, the installation was interrupted.
        let complete = directory.join("complete");
        let python = directory.join("bin/python");
        if !complete.is_file() {
            eprintln!("installing {REQUIREMENT} in {}", directory.display());
            let need = "HyperQueue needs python3 with its venv module; or use --without-hyperqueue";
            let mut venv = Command::new("python3");
            succeed(venv.args(["-m", "venv", "--clear"]).arg(&directory), need)?;
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            succeed(
                pip.arg(REQUIREMENT),
                "cannot install HyperQueue from PyPI; or use --without-hyperqueue",
            )?;
            File::create(complete)?;
        }
        Ok(Self { python, script: workspace.join("tests/python/hyperqueue_driver.py") })
    }

    pub async fn throughput(&self, jobs: usize, scratch: &Scratch) -> Result<Throughput> {
        self.run("throughput", jobs, scratch).await
    }

    /// Milliseconds from submission to process, in the order of the jobs.
    pub async fn latency(&self, jobs: usize, scratch: &Scratch) -> Result<Vec<f64>> {
        let latency: Latency = self.run("latency", jobs, scratch).await?;
        Ok(latency.millis)
    }

    async fn run<T: DeserializeOwned>(
        &self,
        measurement: &str,
        jobs: usize,
        scratch: &Scratch,
    ) -> Result<T> {
        let directory = scratch.directory("hyperqueue-")?;
        let output = tokio::process::Command::new(&self.python)
            .arg(&self.script)
            .args([measurement, &jobs.to_string()])
            .current_dir(&directory)
            .env("HOME", &directory)
            // HyperQueue does not remove the directory of its server.
            .env("TMPDIR", &directory)
            .env("TQDM_DISABLE", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot start Python")?;
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "HyperQueue, {}:\n{stderr}", output.status);
        let figures = stdout.lines().last().unwrap_or_default();
        serde_json::from_str(figures).with_context(|| format!("the script printed {figures:?}"))
    }
}

fn succeed(command: &mut Command, need: &str) -> Result<()> {
    let output = command.output().context(need.to_owned())?;
    let text = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{need}:\n{}", String::from_utf8_lossy(&text));
    Ok(())
}
