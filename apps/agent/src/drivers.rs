//! The check of GPU drivers. An instance with NVIDIA devices takes jobs only when `nvidia-smi` reaches
//! them: on an image without drivers every job would fail, and the GPUs would be paid for meanwhile.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use protocol::Problem;

use crate::clock::Countdown;
use crate::options::DriverCheck;
use crate::problem::detail;

/// The PCI vendor id of NVIDIA.
const NVIDIA: &str = "0x10de";
const PROGRAM: &str = "nvidia-smi";
/// A run of `nvidia-smi` takes seconds; one that takes longer hangs in the driver.
const RUN_LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);
/// Of the output of a failed run, in bytes.
const MAX_OUTPUT: usize = 1000;

/// Returns when the drivers work, or none are needed. `stop` is asked often; true ends the check.
///
/// # Errors
/// When the drivers have not worked for the whole patience of the check.
pub fn check(check: &DriverCheck, stop: &dyn Fn() -> bool) -> Result<(), Problem> {
    if !has_nvidia_device(&check.devices) {
        return Ok(());
    }
    let mut patience = Countdown::new(check.patience);
    loop {
        let failure = match run(stop) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if patience.is_over() || stop() {
            return Err(problem(&failure));
        }
        std::thread::sleep(PAUSE.min(patience.next_step()));
    }
}

fn has_nvidia_device(devices: &Path) -> bool {
    let Ok(entries) = fs::read_dir(devices) else { return false };
    entries.flatten().any(|device| {
        let vendor = fs::read_to_string(device.path().join("vendor"));
        vendor.is_ok_and(|vendor| vendor.trim() == NVIDIA)
    })
}

fn problem(failure: &str) -> Problem {
    Problem {
        code: "GpuDriverError".to_owned(),
        message: "The node has NVIDIA GPUs, but their driver does not work; use an image with it"
            .to_owned(),
        details: vec![detail("Command", PROGRAM), detail("Reason", failure)],
    }
}

/// Runs `nvidia-smi` once. An error says why it failed.
fn run(stop: &dyn Fn() -> bool) -> Result<(), String> {
    let mut command = Command::new(PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    let output = child.stdout.take();
    // The output is read while it runs: a full pipe would stop it.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        // What cannot be read is not shown.
        let _ = output.map(|mut output| output.read_to_end(&mut text));
        text
    });
    let Some(status) = wait(&mut child, stop) else {
        // Not waited for: a process that hangs in its driver may not even end when it is killed.
        let _ = child.kill();
        return Err("it did not end in time".to_owned());
    };
    if status.success() {
        return Ok(());
    }
    let output = reader.join().unwrap_or_default();
    let output = String::from_utf8_lossy(&output[..output.len().min(MAX_OUTPUT)]);
    Err(format!("{status} {}", output.trim()).trim().to_owned())
}

/// `None` when it has not ended in time.
fn wait(child: &mut Child, stop: &dyn Fn() -> bool) -> Option<ExitStatus> {
    let mut limit = Countdown::new(RUN_LIMIT);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if limit.is_over() || stop() {
            return None;
        }
        std::thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_with_a_device_of_nvidia_is_checked() {
        let directory = tempfile::tempdir().unwrap();
        let add = |name: &str, vendor: &str| {
            let device = directory.path().join(name);
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("vendor"), format!("{vendor}\n")).unwrap();
        };
        assert!(!has_nvidia_device(&directory.path().join("none")));
        add("0000:00:03.0", "0x1d0f");
        assert!(!has_nvidia_device(directory.path()));
        add("0000:00:1e.0", NVIDIA);
        assert!(has_nvidia_device(directory.path()));
    }
}
