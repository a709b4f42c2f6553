//! The GPUs of a node: which they are, whether their drivers work, and whether they have failed.

pub mod drivers;
pub mod health;
mod nvidia_smi;

use std::fs;

use crate::attempt::FileStamp;
use crate::host::Host;

/// The GPUs that the jobs of this node see, as `CUDA_VISIBLE_DEVICES` names them: those that the node was given, or all
/// of the machine.
pub fn of(host: &Host) -> Vec<String> {
    match &host.gpu_share {
        Some(share) => share.clone(),
        None => (0..count(host)).map(|index| index.to_string()).collect(),
    }
}

/// Counted again when `/dev` has changed: the setup task may install drivers.
fn count(host: &Host) -> usize {
    let mut known = host.known();
    let devices = fs::metadata("/dev").ok();
    if let (Some((mark, count)), Some(devices)) = (known.gpus, &devices)
        && mark.still_holds(devices)
    {
        return count;
    }
    let count = count_devices();
    known.gpus = devices.as_ref().and_then(FileStamp::of).map(|mark| (mark, count));
    count
}

fn count_devices() -> usize {
    let Ok(devices) = fs::read_dir("/dev") else { return 0 };
    let is_gpu = |name: &str| {
        name.strip_prefix("nvidia").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    devices.flatten().filter(|device| device.file_name().to_str().is_some_and(is_gpu)).count()
}
