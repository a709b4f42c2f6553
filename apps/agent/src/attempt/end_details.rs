//! What is reported with the end of an attempt: a shortage that explains a failure, and the end of its output where the
//! service cannot read that. To be called when every process has ended, and before anything is unmounted.

use std::path::{Path, PathBuf};

use protocol::{End, EndDetails, Shortage};

use super::journal::State;
use super::layout::AttemptLayout;
use super::output_tail::{self, Secrets};
use crate::shortage::{self, Failure};

/// `None` when there is nothing to report.
pub fn gather(state: &State, layout: &AttemptLayout, end: &End) -> Option<Box<EndDetails>> {
    let details = EndDetails {
        shortage: find_shortage(state, layout, end),
        output: output(state, layout, end),
    };
    (details != EndDetails::default()).then(|| Box::new(details))
}

/// Of a command that failed by itself.
fn find_shortage(state: &State, layout: &AttemptLayout, end: &End) -> Option<Shortage> {
    let exit_code = match end {
        End::Exited { exit_code: 0 } => return None,
        End::Exited { exit_code } | End::PreparationFailed { exit_code } => *exit_code,
        End::NotProvided { .. }
        | End::NodeFailed { .. }
        | End::WallClockExceeded
        | End::Stopped
        | End::Interrupted
        | End::Lost { .. } => return None,
    };
    shortage::find(Failure { exit_code, before: state.oom_kills, paths: written(layout) })
}

/// Where the job writes.
fn written(layout: &AttemptLayout) -> Vec<PathBuf> {
    let environment = layout.environment.on_host();
    let temporary = environment.get("TMPDIR").map_or("/tmp", String::as_str);
    let mut paths = vec![layout.paths.temp.clone(), layout.environment.stdouterr.clone()];
    paths.extend(layout.environment.outputs.iter().cloned());
    paths.extend([PathBuf::from(temporary), "/dev/shm".into()]);
    paths
}

/// Of the master, and of a node on which a command failed. The values of secrets are replaced; where an earlier agent
/// process had them, nothing is reported.
fn output(state: &State, layout: &AttemptLayout, end: &End) -> Vec<protocol::OutputTail> {
    let Some(bytes) = state.assignment.output_tail_bytes else { return Vec::new() };
    let has_failed = match end {
        End::Exited { exit_code } => *exit_code != 0,
        End::PreparationFailed { .. } => true,
        End::NotProvided { .. }
        | End::NodeFailed { .. }
        | End::WallClockExceeded
        | End::Stopped
        | End::Interrupted
        | End::Lost { .. } => false,
    };
    if state.assignment.rank != 0 && !has_failed {
        return Vec::new();
    }
    let Some(secrets) = secrets(state, layout) else { return Vec::new() };
    let tail = |path: &PathBuf| output_tail::read(path, bytes as usize, &secrets);
    files(state, layout, end).iter().filter_map(tail).collect()
}

fn secrets<'a>(state: &State, layout: &'a AttemptLayout) -> Option<Secrets<'a>> {
    // With its key a job has its secrets too.
    let is_known = !state.has_secrets || layout.ssh.is_some() || !layout.secrets.is_empty();
    is_known.then(|| Secrets::new(&layout.secrets))
}

/// Standard output and standard error of the first process of this node, or of the preparation.
fn files(state: &State, layout: &AttemptLayout, end: &End) -> Vec<PathBuf> {
    if matches!(end, End::PreparationFailed { .. }) {
        let names = ["stdout-job_prep", "stderr-job_prep"];
        return names.map(|name| layout.file(&state.assignment, name, ".txt")).into();
    }
    let directory: &Path = &layout.environment.stdouterr;
    let first = layout.launch.processes.first();
    let path = |name: &str, label: &str| directory.join(format!("{name}{label}.txt"));
    let both = |label: &String| ["stdout", "stderr"].map(|name| path(name, label)).into();
    first.map_or_else(Vec::new, |process| both(&process.label))
}
