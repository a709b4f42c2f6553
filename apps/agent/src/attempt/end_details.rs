//! What is reported with the end of an attempt: a shortage that explains a failure, and the end of its output where the
//! service cannot read that. To be called when every process has ended, and before anything is unmounted.

use std::path::PathBuf;

use protocol::{End, EndDetails, Shortage};

use super::journal::State;
use super::layout::{AttemptLayout, output_file};
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
    let exit_code = failed_exit_code(end)?;
    shortage::find(Failure { exit_code, before: state.oom_kills, paths: written(layout) })
}

/// Where a command failed by itself.
fn failed_exit_code(end: &End) -> Option<i32> {
    match end {
        End::Exited { exit_code: 0 }
        | End::NotProvided { .. }
        | End::NodeFailed { .. }
        | End::WallClockExceeded
        | End::Stopped
        | End::Interrupted
        | End::Lost { .. } => None,
        End::Exited { exit_code } | End::PreparationFailed { exit_code } => Some(*exit_code),
    }
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
    if state.assignment.rank != 0 && failed_exit_code(end).is_none() {
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
    let stdouterr = &layout.environment.stdouterr;
    let first = layout.launch.processes.first();
    let both =
        |label: &String| ["stdout", "stderr"].map(|name| output_file(stdouterr, name, label));
    first.map_or_else(Vec::new, |process| both(&process.label).into())
}
