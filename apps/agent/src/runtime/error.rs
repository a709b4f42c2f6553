//! Why a container cannot be provided, and whose failure that is, by the words of the engine.

use crate::fault::Fault;

/// Why a container cannot be provided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    #[error(
        "The node has no working container engine: install Docker or Podman on it, or leave out containerSettings"
    )]
    NoEngine {
        /// Each engine that was tried, and what is wrong with it.
        tried: Vec<(String, String)>,
    },
    /// Code and message of Batch AI (docs/contract.md, "Errors of jobs").
    #[error("unable to start docker container")]
    NotStarted { image: String, reason: String, fault: Fault },
}

impl ContainerError {
    pub fn fault(&self) -> Fault {
        match self {
            Self::NoEngine { .. } => Fault::Node,
            Self::NotStarted { fault, .. } => *fault,
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::NoEngine { .. } => "ContainerRuntimeMissing",
            Self::NotStarted { .. } => "FailedStartingContainer",
        }
    }

    /// Names and values for the user.
    pub fn details(&self) -> Vec<(String, String)> {
        match self {
            Self::NoEngine { tried } => tried.clone(),
            Self::NotStarted { image, reason, .. } => {
                vec![("imageName".into(), image.clone()), ("Reason".into(), reason.clone())]
            }
        }
    }
}

/// Why a pull has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullFailure {
    /// There is no such image, or it may not be pulled with the credentials of the job.
    Refused,
    /// The disk of the node is full.
    DiskFull,
    /// The registry does not answer, or cannot be reached: it may be back soon.
    Unreachable,
}

/// Words of Docker and Podman, in small letters. Those of a refusal are tried first: an engine says at the end
/// that it could not be done, and before, why.
const REFUSALS: &[&str] = &[
    "manifest unknown",
    "name unknown",
    "name invalid",
    "access denied",
    "access forbidden",
    "denied:",
    "unauthorized",
    "authentication required",
    "invalid username/password",
    "incorrect username or password",
    "no basic auth credentials",
    "repository does not exist",
    "does not exist or may require",
    "not found: manifest",
    "no matching manifest",
    "no image found in",
    "invalid reference format",
    "invalid tag format",
    "unsupported manifest",
    "unsupported mediatype",
];

const DISK_FULL: &str = "no space left on device";

/// Whose failure the words of a failed pull are.
pub fn pull_failure(words: &str) -> PullFailure {
    let words = words.to_lowercase();
    if words.contains(DISK_FULL) {
        PullFailure::DiskFull
    } else if REFUSALS.iter().any(|refusal| words.contains(refusal)) {
        PullFailure::Refused
    } else {
        PullFailure::Unreachable
    }
}

/// Words of engines about images in which no program can be started, and about settings of the job.
const UNUSABLE: &[&str] = &[
    "executable file not found",
    "exec format error",
    "no such file or directory: oci",
    "exec: \"/bin/bash\"",
    "`/bin/bash`",
    "invalid size",
    "invalid argument \"",
];

/// Whose failure the words of an engine are that could not start a container.
pub fn start_fault(words: &str) -> Fault {
    let words = words.to_lowercase();
    if words.contains(DISK_FULL) {
        Fault::Disk
    } else if UNUSABLE.iter().any(|reason| words.contains(reason)) {
        Fault::Job
    } else {
        Fault::Node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_engines_decide_whose_failure_a_pull_is() {
        use PullFailure::{DiskFull, Refused, Unreachable};
        let table = [
            (
                "Error response from daemon: pull access denied for none, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Refused,
            ),
            (
                "Error response from daemon: manifest for ubuntu:none not found: manifest unknown: manifest unknown",
                Refused,
            ),
            (
                "Error response from daemon: Head \"https://r/v2/a/manifests/1\": unauthorized: incorrect username or password",
                Refused,
            ),
            (
                "Error: initializing source docker://127.0.0.1:5000/a:latest: reading manifest latest in 127.0.0.1:5000/a: manifest unknown",
                Refused,
            ),
            (
                "Error: unable to retrieve auth token: invalid username/password: unauthorized",
                Refused,
            ),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", Refused),
            ("failed to register layer: write /a: no space left on device", DiskFull),
            (
                "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host",
                Unreachable,
            ),
            (
                "pinging container registry r: Get \"https://r/v2/\": dial tcp 127.0.0.1:443: connect: connection refused",
                Unreachable,
            ),
            ("received unexpected HTTP status: 503 Service Unavailable", Unreachable),
            ("toomanyrequests: You have reached your pull rate limit", Unreachable),
        ];
        for (words, expected) in table {
            assert_eq!(pull_failure(words), expected, "{words}");
        }
    }

    #[test]
    fn an_image_without_a_shell_is_the_job_s_failure() {
        let table = [
            (
                "OCI runtime create failed: exec: \"/bin/bash\": stat /bin/bash: no such file or directory: unknown.",
                Fault::Job,
            ),
            (
                "runc: exec: \"/bin/bash\": executable file not found in $PATH: OCI runtime",
                Fault::Job,
            ),
            ("crun: executable file `/bin/bash` not found: No such file or directory", Fault::Job),
            ("mkdir /var/lib/docker/overlay2/x: no space left on device", Fault::Disk),
            ("could not select device driver \"\" with capabilities: [[gpu]]", Fault::Node),
            ("Cannot connect to the Docker daemon", Fault::Node),
        ];
        for (words, expected) in table {
            assert_eq!(start_fault(words), expected, "{words}");
        }
    }
}
