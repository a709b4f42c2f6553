//! When queued jobs start: at the latest and as expected, as `batchai job explain` estimates it.
//!
//! Times follow from stored times, so that a page stays the same while nothing changes: the time of the clock is rounded, and
//! a start at that time is shown without a time.

use crate::links::{WorkspacePath, name_of};
use crate::pages::queue::{Waiting, experiment_of};
use crate::shell::Visit;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};
use resources::start_estimate::{Estimate, Load, capacity, estimate, median, successful_run};
use resources::{Cluster, ClusterNode, Job, time};
use std::collections::{BTreeSet, HashMap};

/// So many jobs of a queue have an estimate.
pub(crate) const ESTIMATED: usize = 20;
/// The most nodes of a cluster.
const NODES: usize = 1000;
/// So many running jobs are read for a page, each by itself. With more there is no estimate.
const RUNNING: usize = 128;
/// So many are read at a time.
const AT_A_TIME: usize = 16;
/// So many jobs of an experiment are read for the time that they usually take, the first by name.
const RUNS: usize = 30;
/// So many experiments are: jobs of others have no expected start.
const EXPERIMENTS: usize = 4;
/// To what the time of the clock is rounded up.
const MINUTES: i64 = 5;

/// When a job starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) latest: Moment,
    /// None if no job has ended yet in some experiment.
    pub(crate) expected: Option<Moment>,
}

/// A time; None if the job starts as soon as its nodes are ready.
pub(crate) type Moment = Option<String>;

/// Estimates for one page. It reads what they need from the API once.
pub(crate) struct Forecast<'a> {
    visit: &'a Visit,
    now: Timestamp,
    /// How many running jobs may still be read.
    running: usize,
    /// What jobs of an experiment usually take, by the path of its jobs in the API.
    usual: HashMap<String, Option<SignedDuration>>,
}

impl<'a> Forecast<'a> {
    pub(crate) fn new(visit: &'a Visit) -> Self {
        let now = rounded(time::now());
        Self { visit, now, running: RUNNING, usual: HashMap::new() }
    }

    /// The starts of the first jobs of a queue, in its order. Nothing where they cannot be estimated.
    pub(crate) async fn starts(
        &mut self,
        path: &WorkspacePath,
        cluster: &Cluster,
        queue: &[Waiting],
    ) -> Vec<Option<Start>> {
        let (Some(capacity), false) = (capacity(cluster), queue.is_empty()) else {
            return Vec::new();
        };
        let Some(mut before) = self.running(path, &cluster.name).await else { return Vec::new() };
        let mut starts = Vec::new();
        for Waiting { job, .. } in queue {
            let needs = job.properties.node_count;
            let start = match job.waits_for_nodes() {
                true => estimate(capacity, &before, needs, self.now),
                false => None,
            };
            starts.push(start.map(|start| Start::of(start, self.now)));
            let Some(load) = Load::of(job, self.usual(&job.id).await) else { break };
            before.push(load);
        }
        starts
    }

    /// The jobs that nodes of a cluster run. None if they are too many, or cannot be read.
    async fn running(&mut self, path: &WorkspacePath, cluster: &str) -> Option<Vec<Load>> {
        let nodes = path.api(&["clusters", cluster, "nodes"]);
        let nodes = self.visit.api.list::<ClusterNode>(&nodes, NODES).await.ok()?.items;
        let ids: BTreeSet<String> = nodes.into_iter().filter_map(|it| Some(it.job?.id)).collect();
        self.running = self.running.checked_sub(ids.len())?;
        let paths: Option<Vec<String>> = ids.iter().map(|id| job_path(id)).collect();
        let api = &self.visit.api;
        let read = stream::iter(paths?).map(|path| async move { api.get::<Job>(&path).await });
        let jobs: Vec<Job> = read.buffered(AT_A_TIME).try_collect().await.ok()?;
        let mut running = Vec::new();
        for job in jobs {
            let load = Load::of(&job, self.usual(&job.id).await)?;
            // It may have ended or returned to the queue since.
            running.extend((load.started.is_some() && !job.has_ended()).then_some(load));
        }
        Some(running)
    }

    /// The median of the runs of the job's experiment.
    async fn usual(&mut self, job: &str) -> Option<SignedDuration> {
        let experiment = experiment_of(job)?;
        let jobs = WorkspacePath::of_id(job)?.api(&["experiments", experiment, "jobs"]);
        if let Some(known) = self.usual.get(&jobs) {
            return *known;
        }
        if self.usual.len() >= EXPERIMENTS {
            return None;
        }
        let found = self.visit.api.list::<Job>(&jobs, RUNS).await.ok();
        let found = found.map(|found| found.items).unwrap_or_default();
        let usual = median(found.iter().filter_map(successful_run).collect());
        self.usual.insert(jobs, usual);
        usual
    }
}

impl Start {
    fn of(estimate: Estimate, now: Timestamp) -> Self {
        let moment = |time: Timestamp| (time > now).then(|| time.to_string());
        Self { latest: moment(estimate.latest), expected: estimate.expected.map(moment) }
    }
}

/// Where the API has a job, by its id.
fn job_path(id: &str) -> Option<String> {
    let segments = ["experiments", experiment_of(id)?, "jobs", name_of(id)];
    Some(WorkspacePath::of_id(id)?.api(&segments))
}

/// The end of the five minutes of a time.
fn rounded(time: Timestamp) -> Timestamp {
    let step = TimestampRound::new().smallest(Unit::Minute).increment(MINUTES);
    time.round(step.mode(RoundMode::Ceil)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        time::parse(text).unwrap()
    }

    #[test]
    fn the_clock_changes_an_estimate_every_five_minutes() {
        assert_eq!(rounded(at("2026-01-01T10:00:00.1Z")), at("2026-01-01T10:05:00Z"));
        assert_eq!(rounded(at("2026-01-01T10:05:00Z")), at("2026-01-01T10:05:00Z"));
    }

    #[test]
    fn a_start_at_the_rounded_time_has_no_time() {
        let now = at("2026-01-01T10:05:00Z");
        let later = at("2026-01-01T11:00:00Z");
        let start = Start::of(Estimate { latest: later, expected: Some(now) }, now);
        assert_eq!(start.latest.as_deref(), Some("2026-01-01T11:00:00Z"));
        assert_eq!(start.expected, Some(None));
        let start = Start::of(Estimate { latest: now, expected: None }, now);
        assert_eq!(start, Start { latest: None, expected: None });
    }
}
