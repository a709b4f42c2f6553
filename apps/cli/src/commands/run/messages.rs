//! What a run says on stderr, besides the state of its job.

use super::counted;
use crate::client::Scope;
use crate::transfer::human_bytes;
use std::path::Path;

pub fn made(kind: &str, name: &str) -> String {
    format!("Made {kind} {name}.")
}

pub fn uploaded(files: usize, bytes: u64) -> String {
    format!("Uploaded {} ({}).", counted(files, "file"), human_bytes(bytes))
}

pub fn submitted(name: &str, cluster: &str) -> String {
    format!("Submitted {name} to cluster {cluster}.")
}

pub fn downloaded(files: usize, out: &Path) -> String {
    format!("Downloaded {} to {}.", counted(files, "file"), out.display())
}

/// How a job is followed later.
pub fn later(scope: &Scope, name: &str) -> String {
    let option = |option: &str, name: &Option<String>| {
        name.as_ref().map(|name| format!(" {option} {name}")).unwrap_or_default()
    };
    let (workspace, experiment) = (option("-w", &scope.workspace), option("-e", &scope.experiment));
    format!("Follow it with: batchai job logs {name} --follow{workspace}{experiment}")
}

/// After Ctrl-C.
pub fn detached(scope: &Scope, name: &str) -> String {
    format!("\nDetached: the job goes on. {}", later(scope, name))
}
