//! Whether the GPUs of a node have failed, and how busy they are. A job that fails on a node with a failed GPU is not to
//! blame, and the node takes no further job.

use std::io;
use std::path::Path;

use protocol::{GpuMetrics, Problem};

use super::nvidia_smi::{self, RunError};
use crate::host::Host;
use crate::problem::detail;
use crate::system::kernel_log;

/// Errors of the kernel log after which a GPU needs a reset or a repair (NVIDIA, "XID Errors"): memory that cannot be
/// corrected or remapped, a processor that hangs, NVLink, a GPU that has fallen off the bus.
const FATAL_XIDS: [u32; 9] = [48, 61, 62, 64, 74, 79, 95, 119, 120];

const QUERY: &str = "--query-gpu=uuid,ecc.errors.uncorrected.volatile.total,utilization.gpu,memory.used,memory.total";

/// Checks and measures the GPUs of the node. `stop` is asked often.
///
/// # Errors
/// What has failed. It is `Ok` when the node has no GPUs, they work, or nothing tells.
pub fn check(host: &Host, stop: &dyn Fn() -> bool) -> Result<Vec<GpuMetrics>, Problem> {
    let gpus = super::of(host);
    if gpus.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec![QUERY, "--format=csv,noheader,nounits"];
    let chosen = format!("--id={}", gpus.join(","));
    if host.gpu_share.is_some() {
        arguments.push(&chosen);
    }
    let mut measured = Vec::new();
    let failure = match nvidia_smi::run(&arguments, stop) {
        Ok(output) => {
            measured = lines_of_gpus(&output).map(metrics).collect();
            failure(&output, gpus.len())
        }
        // Drivers without it exist; on EC2 the setup of the node has required it.
        Err(RunError::NotStarted(_)) => None,
        Err(RunError::NotInTime) if stop() => None,
        Err(error) => Some(("GpuLost", error.to_string())),
    };
    let failure = failure.or_else(|| {
        let log = host.drivers.as_ref().map(|check| fatal_error(&check.kernel_log));
        // A log that cannot be read tells nothing.
        log.and_then(Result::ok).flatten().map(|line| ("GpuFatalError", line))
    });
    let Some((code, reason)) = failure else { return Ok(measured) };
    Err(Problem {
        code: code.to_owned(),
        message: "A GPU of the node has failed".to_owned(),
        details: vec![detail("Reason", reason)],
    })
}

/// One line per GPU: its id, its errors of memory, and what [`QUERY`] asks for further; each a number where the driver
/// counts it.
fn lines_of_gpus(output: &str) -> impl Iterator<Item = &str> {
    output.lines().filter(|line| line.starts_with("GPU-"))
}

fn metrics(line: &str) -> GpuMetrics {
    let mut values = line.split(',').skip(2).map(|value| value.trim().parse().ok());
    let mut next = || values.next().flatten();
    GpuMetrics { utilization_percent: next(), memory_used_mib: next(), memory_total_mib: next() }
}

fn failure(output: &str, expected: usize) -> Option<(&'static str, String)> {
    let gpus: Vec<&str> = lines_of_gpus(output).collect();
    if gpus.len() < expected {
        let reason = format!("{} of {expected} GPUs are left: {}", gpus.len(), output.trim());
        return Some(("GpuLost", reason));
    }
    let has_errors = |line: &&&str| {
        let count = line.split(',').nth(1).map(str::trim).unwrap_or_default();
        count.parse::<u64>().is_ok_and(|count| count > 0)
    };
    let broken = gpus.iter().find(has_errors)?;
    Some(("GpuMemoryError", format!("memory errors that cannot be corrected: {broken}")))
}

/// The last fatal error since the machine started.
fn fatal_error(log: &Path) -> io::Result<Option<String>> {
    let text = kernel_log::read(log)?;
    let is_fatal = |line: &&str| xid(line).is_some_and(|xid| FATAL_XIDS.contains(&xid));
    Ok(text.lines().rfind(is_fatal).map(|line| {
        // Without priority, number and time of the record.
        line.split_once(';').map_or(line, |(_, message)| message).to_owned()
    }))
}

/// `NVRM: Xid (PCI:0000:00:1e): 79, pid=…`
fn xid(line: &str) -> Option<u32> {
    let (_, rest) = line.split_once("NVRM: Xid (")?;
    let (_, rest) = rest.split_once("): ")?;
    let end = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_that_is_gone_or_has_lost_memory_has_failed() {
        let check = |output: &str| failure(output, 2).map(|(code, _)| code);
        assert_eq!(check("GPU-1, 0\nGPU-2, 0\n"), None);
        assert_eq!(check("GPU-1, [N/A]\nGPU-2, [Not Supported]\n"), None);
        assert_eq!(check("GPU-1, 0\nGPU-2, 3\n"), Some("GpuMemoryError"));
        assert_eq!(check("GPU-1, 0\n"), Some("GpuLost"));
        let lost = "Unable to determine the device handle for GPU 0000:00:1E.0: GPU is lost.";
        let (code, reason) = failure(&format!("GPU-1, 0\n{lost}\n"), 2).unwrap();
        assert_eq!(code, "GpuLost");
        assert!(reason.contains("1 of 2 GPUs are left") && reason.contains(lost), "{reason}");
    }

    #[test]
    fn what_a_driver_does_not_measure_is_absent() {
        let output =
            "warning\nGPU-1, 0, 87, 12345, 81559\nGPU-2, [N/A], [N/A], 1, 16384\nGPU-3, 0\n";
        let gpu = |utilization_percent, memory_used_mib, memory_total_mib| GpuMetrics {
            utilization_percent,
            memory_used_mib,
            memory_total_mib,
        };
        let measured: Vec<GpuMetrics> = lines_of_gpus(output).map(metrics).collect();
        let expected = [
            gpu(Some(87), Some(12_345), Some(81_559)),
            gpu(None, Some(1), Some(16_384)),
            gpu(None, None, None),
        ];
        assert_eq!(measured, expected);
    }

    #[test]
    fn only_errors_of_the_device_count() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kmsg");
        let check = |text: &str| {
            std::fs::write(&path, text).unwrap();
            fatal_error(&path).unwrap()
        };
        let of_a_job = "4,1,2,-;NVRM: Xid (PCI:0000:00:1e): 13, pid=7, name=python\n";
        assert_eq!(check(of_a_job), None);
        let fatal = "4,3,9,-;NVRM: Xid (PCI:0000:00:1e): 79, pid='<unknown>', GPU has fallen off\n";
        assert_eq!(
            check(&format!("{of_a_job}{fatal}6,4,9,-;eth0: up\n")).as_deref(),
            Some("NVRM: Xid (PCI:0000:00:1e): 79, pid='<unknown>', GPU has fallen off")
        );
        assert_eq!(check("4,3,9,-;NVRM: Xid (broken\n"), None);
        assert!(fatal_error(&directory.path().join("none")).is_err());
    }
}
