//! When a queued job starts: at the latest, if every job before it runs to its time limit; and as expected, if
//! each takes as long as the median of the ended runs of its experiment.
//!
//! Nodes that are lost or cannot be launched, and jobs of other workspaces, are not foreseen.

use crate::{Cluster, ExecutionState, Job, time};
use jiff::{SignedDuration, Timestamp};

/// A job that has nodes, or gets them first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    pub nodes: u32,
    /// None while it is queued.
    pub started: Option<Timestamp>,
    pub time_limit: SignedDuration,
    /// The median run time of what has ended in its experiment.
    pub usual: Option<SignedDuration>,
}

/// When a job starts, by what is known now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub latest: Timestamp,
    /// None if nothing of some experiment has ended yet.
    pub expected: Option<Timestamp>,
}

impl Load {
    /// A job that runs or is queued. None if the service does not tell how long it may run.
    pub fn of(job: &Job, usual: Option<SignedDuration>) -> Option<Self> {
        let is_queued = job.properties.execution_state == ExecutionState::Queued;
        Some(Self {
            nodes: job.properties.node_count,
            started: started(job).and_then(time::parse).filter(|_| !is_queued),
            time_limit: job.time_limit()?,
            usual,
        })
    }
}

/// When the current attempt has started, or the job for a service without attempts.
fn started(job: &Job) -> Option<&str> {
    let attempt = job.attempts().last().and_then(|attempt| attempt.start_time.as_deref());
    attempt.or(job.start_time())
}

/// The most nodes that the settings of a cluster allow.
pub fn capacity(cluster: &Cluster) -> Option<u32> {
    let settings = &cluster.properties.scale_settings;
    let manual = settings.manual.as_ref().map(|it| it.target_node_count);
    settings.auto_scale.as_ref().map(|it| it.maximum_node_count).or(manual)
}

/// How long a job has run that succeeded. A failure may come early.
pub fn successful_run(job: &Job) -> Option<SignedDuration> {
    let start = job.start_time().and_then(time::parse)?;
    let end = job.end_time().and_then(time::parse)?;
    let has_succeeded = job.properties.execution_state == ExecutionState::Succeeded;
    has_succeeded.then(|| time::elapsed(start, end))
}

/// When a job gets its `needs` nodes of a cluster that may have `capacity`. `before` are the jobs that run and
/// those before it in the queue, in this order. None if the cluster never has as many nodes.
pub fn estimate(capacity: u32, before: &[Load], needs: u32, now: Timestamp) -> Option<Estimate> {
    let latest = start(capacity, before, needs, now, |load| Some(load.time_limit))?;
    let expected = start(capacity, before, needs, now, |load| {
        load.usual.map(|usual| usual.min(load.time_limit))
    });
    Some(Estimate { latest, expected })
}

/// The start of a job if each job before it lasts as long as `lasts` says.
fn start(
    capacity: u32,
    before: &[Load],
    needs: u32,
    now: Timestamp,
    lasts: impl Fn(&Load) -> Option<SignedDuration>,
) -> Option<Timestamp> {
    // When each node is free. Running jobs may have more nodes than the settings now allow.
    let mut free: Vec<Timestamp> = Vec::new();
    for (load, started) in before.iter().filter_map(|load| Some((load, load.started?))) {
        let end = started.checked_add(lasts(load)?).ok()?.max(now);
        free.extend((0..load.nodes).map(|_| end));
    }
    free.resize(free.len().max(capacity as usize), now);
    let mut earliest = now;
    for load in before.iter().filter(|load| load.started.is_none()) {
        earliest = take(&mut free, load.nodes, earliest, Some(lasts(load)?))?;
    }
    take(&mut free, needs, earliest, None)
}

/// Gives the nodes that are free first to a job, which does not start before `earliest`. Returns its start.
fn take(
    free: &mut [Timestamp],
    needs: u32,
    earliest: Timestamp,
    lasts: Option<SignedDuration>,
) -> Option<Timestamp> {
    free.sort_unstable();
    let nodes = free.get_mut(..needs as usize)?;
    let start = nodes.last().copied().unwrap_or(earliest).max(earliest);
    if let Some(lasts) = lasts {
        nodes.fill(start.checked_add(lasts).ok()?);
    }
    Some(start)
}

/// The median; of an even number the lower one in the middle.
pub fn median(mut durations: Vec<SignedDuration>) -> Option<SignedDuration> {
    durations.sort_unstable();
    durations.get(durations.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 10_000;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(NOW + 60 * minutes).unwrap()
    }

    fn minutes(minutes: i64) -> SignedDuration {
        SignedDuration::from_mins(minutes)
    }

    /// `started` counts from now.
    fn load(nodes: u32, started: Option<i64>, limit: i64, usual: Option<i64>) -> Load {
        let (started, usual) = (started.map(at), usual.map(minutes));
        Load { nodes, started, time_limit: minutes(limit), usual }
    }

    #[track_caller]
    fn check(
        capacity: u32,
        before: &[Load],
        needs: u32,
        latest: Option<i64>,
        expected: Option<i64>,
    ) {
        let estimate = estimate(capacity, before, needs, at(0));
        assert_eq!(estimate.map(|it| it.latest), latest.map(at), "latest");
        assert_eq!(estimate.and_then(|it| it.expected), expected.map(at), "expected");
    }

    #[test]
    fn a_job_with_nothing_before_it_starts_now() {
        check(1, &[], 1, Some(0), Some(0));
        check(4, &[load(3, Some(-5), 60, None)], 1, Some(0), None);
    }

    #[test]
    fn a_job_waits_for_the_nodes_that_are_free_first() {
        let running = [load(1, Some(-10), 60, Some(15)), load(1, Some(-20), 40, Some(30))];
        check(2, &running, 1, Some(20), Some(5));
        check(2, &running, 2, Some(50), Some(10));
        check(3, &running, 1, Some(0), Some(0));
    }

    #[test]
    fn jobs_before_it_in_the_queue_take_nodes_first() {
        let before = [
            load(2, Some(-10), 60, Some(20)),
            load(2, None, 30, Some(10)),
            load(1, None, 100, Some(5)),
        ];
        // Latest: 50 + 30 on both nodes, then one each; expected: 10 + 10.
        check(2, &before, 1, Some(80), Some(20));
        check(2, &before, 2, Some(180), Some(25));
    }

    #[test]
    fn a_run_that_takes_longer_than_usual_ends_now_by_expectation() {
        check(1, &[load(1, Some(-30), 60, Some(10))], 1, Some(30), Some(0));
        check(1, &[load(1, Some(-30), 60, Some(90))], 1, Some(30), Some(30));
    }

    #[test]
    fn without_an_ended_run_there_is_only_a_latest_start() {
        let before = [load(1, Some(0), 60, Some(10)), load(1, None, 60, None)];
        check(1, &before, 1, Some(120), None);
    }

    #[test]
    fn a_cluster_that_is_too_small_gives_no_estimate() {
        check(2, &[], 3, None, None);
        check(1, &[load(2, None, 60, Some(1))], 1, None, None);
        // It shrinks, and has still more nodes.
        check(1, &[load(2, Some(0), 60, Some(1))], 1, Some(60), Some(1));
    }

    #[test]
    fn the_median_is_a_run_that_there_was() {
        let of = |values: &[i64]| median(values.iter().map(|it| minutes(*it)).collect());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(minutes(7)));
        assert_eq!(of(&[9, 1, 5]), Some(minutes(5)));
        assert_eq!(of(&[9, 1, 5, 7]), Some(minutes(5)));
    }
}
