//! The progress display on stderr: a bar per job on a terminal, else a line every few seconds.

use super::tracked_job::TrackedJob;
use crate::output::nodes;
use crate::stderr;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use resources::{Cluster, ExecutionState};
use std::fmt::Display;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// The interval of progress lines without a terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

pub struct Screen {
    start: Instant,
    mode: Mode,
}

enum Mode {
    Live { all: MultiProgress, lines: Mutex<Vec<ProgressBar>> },
    Plain { last: Mutex<Option<Instant>> },
}

impl Screen {
    pub fn new(start: Instant) -> Self {
        let mode = if std::io::stderr().is_terminal() {
            Mode::Live { all: MultiProgress::new(), lines: Mutex::default() }
        } else {
            Mode::Plain { last: Mutex::default() }
        };
        Self { start, mode }
    }

    /// Prints a line with the elapsed time.
    pub fn event(&self, event: impl Display) {
        let line = format!("{} {event}", self.elapsed());
        match &self.mode {
            Mode::Live { all, .. } => drop(all.println(line)),
            Mode::Plain { .. } => stderr::message(line),
        }
    }

    /// Shows the current state.
    pub fn draw(&self, jobs: &[TrackedJob], cluster: &Cluster) {
        match &self.mode {
            Mode::Live { all, lines } => {
                let mut lines = lines.lock().expect("no panic while it is locked");
                if lines.is_empty() {
                    *lines = bars(all, jobs);
                }
                for (line, job) in lines.iter().zip(jobs) {
                    line.set_position(u64::from(job.log().epoch));
                    line.set_message(describe(job));
                }
                if let Some(last) = lines.last() {
                    last.set_message(node_counts(cluster));
                }
            }
            Mode::Plain { last } => {
                let mut last = last.lock().expect("no panic while it is locked");
                if last.is_none_or(|last| last.elapsed() >= PLAIN_INTERVAL) {
                    *last = Some(Instant::now());
                    stderr::message(format_args!(
                        "{} {}; {}",
                        self.elapsed(),
                        job_counts(jobs),
                        node_counts(cluster)
                    ));
                }
            }
        }
    }

    /// Removes the bars.
    pub fn close(&self) {
        if let Mode::Live { lines, .. } = &self.mode {
            let lines = std::mem::take(&mut *lines.lock().expect("no panic while it is locked"));
            lines.iter().for_each(ProgressBar::finish_and_clear);
        }
    }

    fn elapsed(&self) -> String {
        format!("{:5.1}s ", self.start.elapsed().as_secs_f64())
    }
}

/// A bar per job, and a last line for the cluster.
fn bars(all: &MultiProgress, jobs: &[TrackedJob]) -> Vec<ProgressBar> {
    let bar = ProgressStyle::with_template("  {prefix:21} {bar:16.cyan/dim} {wide_msg}");
    let bar = bar.expect("the template is valid").progress_chars("━╸─");
    let text = ProgressStyle::with_template("  {prefix:21} {wide_msg}");
    let text = text.expect("the template is valid");
    let bars = jobs.iter().map(|job| {
        let line = all.add(ProgressBar::new(u64::from(job.epochs())));
        line.set_style(bar.clone());
        line.set_prefix(job.name().to_owned());
        line
    });
    let mut lines: Vec<_> = bars.collect();
    let last = all.add(ProgressBar::new(1));
    last.set_style(text);
    last.set_prefix("cluster spot");
    lines.push(last);
    lines
}

fn describe(job: &TrackedJob) -> String {
    let record = job.record();
    let state = record.properties.execution_state;
    let attempt = match record.attempt_number() {
        0 | 1 => String::new(),
        number => format!("  attempt {number}"),
    };
    match state {
        ExecutionState::Queued if record.attempt_number() > 0 => {
            format!("requeued with the checkpoint of epoch {}", job.log().epoch)
        }
        ExecutionState::Queued => {
            let reason = record.waiting_reason().map(|reason| format!(": {reason}"));
            format!("queued{}", reason.unwrap_or_default())
        }
        ExecutionState::Running => {
            let node = record.attempts().last().and_then(|attempt| attempt.nodes.first());
            let node = node.map(|node| format!("  on {}", short(node))).unwrap_or_default();
            let (log, epochs) = (job.log(), job.epochs());
            format!("epoch {}/{epochs}  {}{attempt}{node}", log.epoch, log.metrics)
        }
        ExecutionState::Succeeded => format!("succeeded  {}{attempt}", job.log().metrics),
        ExecutionState::Failed => {
            let error = record.first_error().map(ToString::to_string).unwrap_or_default();
            format!("failed: {error}")
        }
        ExecutionState::Terminating | ExecutionState::Unknown => state.to_string(),
    }
}

/// A prefix of the node's id that is long enough to be unique.
fn short(node: &str) -> &str {
    let unique = node.strip_prefix("tvm-").unwrap_or(node);
    unique.get(..8).unwrap_or(unique)
}

fn node_counts(cluster: &Cluster) -> String {
    let properties = &cluster.properties;
    format!("nodes {}", nodes(properties.current_node_count, &properties.node_state_counts))
}

fn job_counts(jobs: &[TrackedJob]) -> String {
    let states = [
        ExecutionState::Queued,
        ExecutionState::Running,
        ExecutionState::Succeeded,
        ExecutionState::Failed,
    ];
    let counted = states.iter().filter_map(|state| {
        let is_in = |job: &&TrackedJob| job.record().properties.execution_state == *state;
        let count = jobs.iter().filter(is_in).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    format!("jobs {}", counted.collect::<Vec<_>>().join(", "))
}
