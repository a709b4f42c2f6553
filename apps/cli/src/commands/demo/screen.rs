//! What one sees while the demonstration runs: a line per job that moves if stderr is a terminal,
//! else a line now and then.

use super::setup::Stage;
use super::watch::{Watch, Watched};
use crate::output::nodes;
use crate::resources::ExecutionState;
use crate::talk;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Between two lines where nothing moves.
const PLAIN_PAUSE: Duration = Duration::from_secs(5);

pub struct Screen {
    begin: Instant,
    kind: Kind,
}

enum Kind {
    Live { all: MultiProgress, lines: Mutex<Vec<ProgressBar>> },
    Plain { last: Mutex<Option<Instant>> },
}

impl Screen {
    pub fn new(begin: Instant) -> Self {
        let kind = if std::io::stderr().is_terminal() {
            Kind::Live { all: MultiProgress::new(), lines: Mutex::default() }
        } else {
            Kind::Plain { last: Mutex::default() }
        };
        Self { begin, kind }
    }

    /// Something happened.
    pub fn tell(&self, event: impl Display) {
        let line = format!("{} {event}", self.clock());
        match &self.kind {
            Kind::Live { all, .. } => drop(all.println(line)),
            Kind::Plain { .. } => talk::say(line),
        }
    }

    /// How it stands.
    pub fn draw(&self, stage: &Stage, watch: &Watch) {
        match &self.kind {
            Kind::Live { all, lines } => {
                let mut lines = lines.lock().expect("nobody panics while drawing");
                if lines.is_empty() {
                    *lines = bars(all, stage);
                }
                for (line, job) in lines.iter().zip(&watch.jobs) {
                    line.set_position(u64::from(job.log.epoch));
                    line.set_message(describe(job));
                }
                if let Some(last) = lines.last() {
                    last.set_message(cluster(watch));
                }
            }
            Kind::Plain { last } => {
                let mut last = last.lock().expect("nobody panics while drawing");
                if last.is_none_or(|last| last.elapsed() >= PLAIN_PAUSE) {
                    *last = Some(Instant::now());
                    talk::say(format_args!(
                        "{} {}; {}",
                        self.clock(),
                        counts(watch),
                        cluster(watch)
                    ));
                }
            }
        }
    }

    /// Nothing moves any more.
    pub fn close(&self) {
        if let Kind::Live { lines, .. } = &self.kind {
            let lines = std::mem::take(&mut *lines.lock().expect("nobody panics while drawing"));
            lines.iter().for_each(ProgressBar::finish_and_clear);
        }
    }

    fn clock(&self) -> String {
        format!("{:5.1} s ", self.begin.elapsed().as_secs_f64())
    }
}

/// A bar per job, and a last line for the cluster.
fn bars(all: &MultiProgress, stage: &Stage) -> Vec<ProgressBar> {
    let bar = ProgressStyle::with_template("  {prefix:21} {bar:16.cyan/dim} {wide_msg}");
    let bar = bar.expect("the template is valid").progress_chars("━╸─");
    let text = ProgressStyle::with_template("  {prefix:21} {wide_msg}");
    let text = text.expect("the template is valid");
    let jobs = stage.plans.iter().map(|plan| {
        let line = all.add(ProgressBar::new(u64::from(plan.epochs)));
        line.set_style(bar.clone());
        line.set_prefix(plan.name.clone());
        line
    });
    let mut lines: Vec<_> = jobs.collect();
    let last = all.add(ProgressBar::new(1));
    last.set_style(text);
    last.set_prefix("cluster spot");
    lines.push(last);
    lines
}

fn describe(job: &Watched) -> String {
    let record = job.record();
    let state = record.properties.execution_state;
    let again = match record.attempt_number() {
        0 | 1 => String::new(),
        number => format!("  attempt {number}"),
    };
    match state {
        ExecutionState::Queued if record.attempt_number() > 0 => {
            format!("queued again, checkpoint of epoch {}", job.log.epoch)
        }
        ExecutionState::Queued => {
            let reason = record.waiting_reason().map(|reason| format!(". {reason}"));
            format!("queued{}", reason.unwrap_or_default())
        }
        ExecutionState::Running => {
            let node = record.attempts().last().and_then(|attempt| attempt.nodes.first());
            let node = node.map(|node| format!("  on {}", short(node))).unwrap_or_default();
            format!("epoch {}/{}  {}{again}{node}", job.log.epoch, job.epochs(), job.log.progress)
        }
        ExecutionState::Succeeded => format!("done  {}{again}", job.log.progress),
        ExecutionState::Failed => {
            let error = record.first_error().map(ToString::to_string).unwrap_or_default();
            format!("failed: {error}")
        }
        ExecutionState::Terminating | ExecutionState::Unknown => state.to_string(),
    }
}

/// Enough of a node's id to tell it from the others.
fn short(node: &str) -> &str {
    let unique = node.strip_prefix("tvm-").unwrap_or(node);
    unique.get(..8).unwrap_or(unique)
}

fn cluster(watch: &Watch) -> String {
    let properties = &watch.cluster.properties;
    format!("nodes {}", nodes(properties.current_node_count, &properties.node_state_counts))
}

fn counts(watch: &Watch) -> String {
    let states = [
        ExecutionState::Queued,
        ExecutionState::Running,
        ExecutionState::Succeeded,
        ExecutionState::Failed,
    ];
    let counted = states.iter().filter_map(|state| {
        let is_in = |job: &&Watched| job.record().properties.execution_state == *state;
        let count = watch.jobs.iter().filter(is_in).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    format!("jobs {}", counted.collect::<Vec<_>>().join(", "))
}
