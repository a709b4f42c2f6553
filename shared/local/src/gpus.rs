//! The GPUs of this machine, shared out to its nodes: none is given to two nodes at once.

use model::{ResourceError, VmSize};
use std::time::Duration;
use tokio::process::Command;

/// `nvidia-smi` answers in a second or two; one that takes longer hangs in the driver.
const LIMIT: Duration = Duration::from_secs(15);

/// The ids of the GPUs to share out, as `CUDA_VISIBLE_DEVICES` takes them: those that the operator names, or those that
/// `nvidia-smi` lists.
pub async fn chosen(named: Option<Vec<String>>) -> Vec<String> {
    match named {
        Some(ids) => ids,
        None => detect().await,
    }
}

/// None where `nvidia-smi` is not installed or fails.
async fn detect() -> Vec<String> {
    let mut command = Command::new("nvidia-smi");
    command.args(["--query-gpu=uuid", "--format=csv,noheader"]).kill_on_drop(true);
    match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) if output.status.success() => ids(&String::from_utf8_lossy(&output.stdout)),
        Ok(Ok(output)) => {
            tracing::warn!(status = %output.status, "nvidia-smi failed: nodes get no GPUs");
            Vec::new()
        }
        // Not installed.
        Ok(Err(_)) => Vec::new(),
        Err(_) => {
            tracing::warn!("nvidia-smi does not answer: nodes get no GPUs");
            Vec::new()
        }
    }
}

fn ids(output: &str) -> Vec<String> {
    output
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("GPU-"))
        .map(str::to_owned)
        .collect()
}

/// The share of a new node of this size: as many GPUs as the size has. `None` on a machine without GPUs, where
/// nodes of every size run without.
///
/// # Errors
/// When fewer are free.
pub fn share<'a>(
    all: &[String],
    taken: impl Iterator<Item = &'a String>,
    vm_size: &str,
) -> Result<Option<Vec<String>>, ResourceError> {
    if all.is_empty() {
        return Ok(None);
    }
    let taken: Vec<&String> = taken.collect();
    let wanted = VmSize::of(vm_size).gpus as usize;
    let free = all.iter().filter(|id| !taken.contains(id));
    let own: Vec<String> = free.take(wanted).cloned().collect();
    if own.len() < wanted {
        let message = format!(
            "A node of size {vm_size} needs {wanted} GPUs; of the {} of this machine {} are free",
            all.len(),
            own.len()
        );
        return Err(ResourceError::new("NotEnoughGpus", message));
    }
    Ok(Some(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn the_output_of_nvidia_smi() {
        assert_eq!(ids("GPU-1\n GPU-2\nno devices\n"), ["GPU-1", "GPU-2"]);
    }

    #[test]
    fn no_gpu_is_given_twice() {
        let all = gpus(&["a", "b", "c"]);
        let share = |taken: &[&str], size: &str| {
            super::share(&all, gpus(taken).iter(), size).map_err(|error| error.message)
        };
        assert_eq!(share(&[], "STANDARD_NC6"), Ok(Some(gpus(&["a"]))));
        assert_eq!(share(&["a"], "STANDARD_NC12"), Ok(Some(gpus(&["b", "c"]))));
        assert_eq!(share(&["a", "b", "c"], "STANDARD_D1"), Ok(Some(gpus(&[]))));
        let short =
            "A node of size STANDARD_NC12 needs 2 GPUs; of the 3 of this machine 1 are free";
        assert_eq!(share(&["a", "c"], "STANDARD_NC12"), Err(short.to_owned()));
        assert_eq!(super::share(&[], [].iter(), "STANDARD_NC6"), Ok(None));
    }
}
