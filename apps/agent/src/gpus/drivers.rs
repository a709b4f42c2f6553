//! The check of GPU drivers. An instance with NVIDIA devices takes jobs only when `nvidia-smi` reaches
//! them: on an image without drivers every job would fail, and the GPUs would be paid for meanwhile.

use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::Problem;

use super::nvidia_smi;
use crate::clock::Countdown;
use crate::options::DriverCheck;
use crate::problem::detail;

/// The PCI vendor id of NVIDIA.
const NVIDIA: &str = "0x10de";
const PAUSE: Duration = Duration::from_secs(1);

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
        let failure = match nvidia_smi::run(&[], stop) {
            Ok(_) => return Ok(()),
            Err(failure) => failure,
        };
        if patience.is_over() || stop() {
            return Err(problem(&failure.to_string()));
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
        details: vec![detail("Command", nvidia_smi::PROGRAM), detail("Reason", failure)],
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
