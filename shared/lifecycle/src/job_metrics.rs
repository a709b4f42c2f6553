//! Metrics of jobs: what an agent reports is merged into the stored curves.
//!
//! The record of a job's metrics exists only from the first report on. The commit that creates it writes the job, too
//! ([`Job::has_metrics`]), and the commit that removes the job removes it: so no record is left over, and nothing is
//! read or written for a job without metrics. In between it is written on its own, under its version.

use crate::draft::Draft;
use crate::tracked::{Tracked, write_record};
use model::{
    AttemptRef, InvalidTransition, Job, JobMetrics, MetricCurve, MetricPoint, Node, limits,
};
use protocol::{CurvePoint, JobMetric, Progress, SyncRequest};
use table::Writes;

const _: () = assert!(
    limits::MAX_JOB_METRICS == protocol::MAX_JOB_METRICS
        && limits::MAX_METRIC_POINTS == protocol::MAX_CURVE_POINTS
        && limits::MAX_METRIC_NAME_BYTES == protocol::MAX_METRIC_NAME_BYTES
        && limits::MAX_METRIC_STEP == protocol::MAX_METRIC_STEP,
    "agents keep curves as small as the service does"
);

/// The attempt whose metrics a request has: the one that is live on the node. Only the first node of a job reports
/// metrics.
pub fn reported_attempt(node: &Node, job: &Job, request: &SyncRequest) -> Option<AttemptRef> {
    let report = request.attempt.as_ref().filter(|_| !request.job_metrics.is_empty())?;
    let attempt = node.attempt().filter(|known| crate::report::is_about(known, &report.key))?;
    let master = job.attempt(attempt)?.members.first()?;
    (master.node == node.id).then(|| attempt.clone())
}

/// Whether the request reports the end of its attempt.
pub fn is_final(request: &SyncRequest) -> bool {
    let report = request.attempt.as_ref();
    report.is_some_and(|report| matches!(report.progress, Progress::Ended { .. }))
}

/// Merges reported metrics into the stored ones. The draft has the job. Returns the record if it changed.
///
/// # Errors
/// When the job was not read.
pub fn record(
    draft: &mut Draft,
    attempt: &AttemptRef,
    stored: Option<JobMetrics>,
    reported: &[JobMetric],
) -> Result<Option<JobMetrics>, InvalidTransition> {
    let first_version = draft.first_version();
    let Some(mut merged) = merge(stored.as_ref(), attempt, first_version, reported) else {
        return Ok(None);
    };
    let job = draft.job_mut(&attempt.job)?;
    job.has_metrics = true;
    merged.sweep = job.spec.sweep.as_ref().map(|sweep| sweep.name.clone());
    let after = Some(merged.clone());
    draft.change_job_metrics(Tracked { before: stored, after, fenced: false });
    Ok(Some(merged))
}

/// The stored metrics with the reported ones. `None` if nothing changes: reports of an earlier attempt, and those that
/// were overtaken by a newer one, count for nothing.
fn merge(
    stored: Option<&JobMetrics>,
    attempt: &AttemptRef,
    first_version: u64,
    reported: &[JobMetric],
) -> Option<JobMetrics> {
    let AttemptRef { job, number } = attempt;
    let mut merged = stored.cloned().unwrap_or_else(|| JobMetrics {
        job: job.clone(),
        version: first_version,
        attempt: *number,
        sweep: None,
        metrics: Vec::new(),
    });
    if merged.attempt > *number {
        return None;
    }
    merged.attempt = *number;
    for JobMetric { name, points } in reported {
        let points = valid(points);
        if points.is_empty() || !protocol::is_metric_name(name) {
            continue;
        }
        match merged.metrics.iter().position(|curve| curve.name == *name) {
            Some(known) => extend(&mut merged.metrics[known], *number, points),
            None if merged.metrics.len() < limits::MAX_JOB_METRICS => {
                merged.metrics.push(MetricCurve { name: name.clone(), attempt: *number, points });
            }
            None => {}
        }
    }
    (!merged.metrics.is_empty() && stored != Some(&merged)).then_some(merged)
}

/// The points of a report that form a curve: agents are not trusted.
fn valid(points: &[CurvePoint]) -> Vec<MetricPoint> {
    let mut valid: Vec<MetricPoint> = Vec::new();
    for CurvePoint { step, value, minimum, maximum } in points {
        let grows = valid.last().is_none_or(|last| last.step < *step);
        let is_finite = [value, minimum, maximum].iter().all(|it| it.is_finite());
        if grows && is_finite && *step <= limits::MAX_METRIC_STEP {
            let (step, value, minimum, maximum) = (*step, *value, *minimum, *maximum);
            valid.push(MetricPoint { step, value, minimum, maximum });
        }
    }
    protocol::thin(&mut valid, 0, |point| point.step);
    valid
}

/// Adds the points of an attempt. Earlier points stay up to the first of them: an attempt continues at a checkpoint, and
/// an agent that was restarted may not have read all that the job wrote. In an attempt the latest step never decreases.
fn extend(curve: &mut MetricCurve, attempt: u32, new: Vec<MetricPoint>) {
    let (Some(first), Some(latest)) = (new.first(), new.last()) else { return };
    let is_same_attempt = std::mem::replace(&mut curve.attempt, attempt) == attempt;
    if is_same_attempt && curve.latest().is_some_and(|known| known.step > latest.step) {
        return;
    }
    let points = &mut curve.points;
    points.retain(|point| point.step < first.step);
    let earlier = points.last().copied();
    points.extend(new.into_iter().map(|point| match earlier {
        None => point,
        Some(earlier) => MetricPoint {
            minimum: point.minimum.min(earlier.minimum),
            maximum: point.maximum.max(earlier.maximum),
            ..point
        },
    }));
    protocol::thin(points, 0, |point| point.step);
}

/// The writes of a draft for metrics: the record that changed, and the removal with the job.
pub(crate) fn write(
    writes: &mut Writes,
    jobs: &[Tracked<Job>],
    changed: Option<&Tracked<JobMetrics>>,
) {
    let mut is_written = false;
    for job in jobs.iter().filter(|job| job.after.is_none()) {
        let Some(before) = &job.before else { continue };
        match changed.filter(|it| it.any().is_some_and(|metrics| metrics.is_of(&before.uid))) {
            // Created by this draft, or to be removed as it was read.
            Some(Tracked { before: known, .. }) => {
                known.iter().for_each(|known| writes.remove(known));
                is_written = true;
            }
            None if before.has_metrics => writes.delete_job_metrics(&before.reference()),
            None => {}
        }
    }
    if let Some(changed) = changed.filter(|_| !is_written) {
        write_record(writes, changed);
    }
}

#[cfg(test)]
mod tests;
