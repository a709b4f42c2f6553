//! Metrics that jobs report: stored while they run and with their end, and read with the jobs.
//!
//! While a job runs its metrics are written on their own, after the heartbeat that brought them: if that fails, the next
//! report has them again. The end of an attempt is recorded together with its last metrics, in one commit.

use crate::{Context, Error, early_stopping};
use lifecycle::Draft;
use lifecycle::job_metrics::{is_final, record, reported_attempt};
use model::{AttemptRef, Job, JobMetrics, Node};
use protocol::SyncRequest;

/// How often metrics of a running job are stored before they are left to the next report. The record of a job has one
/// writer, apart from reports that were delayed; that of the job itself is written by the first report only.
const TRIES: usize = 3;

/// Adds the metrics of a report about the end of an attempt to the draft that records it. The draft has the job.
///
/// # Errors
/// What the table reports.
pub(crate) async fn add_final(
    context: &Context,
    draft: &mut Draft,
    node: &Node,
    job: Option<&Job>,
    request: &SyncRequest,
) -> Result<(), Error> {
    let Some(job) = job.filter(|_| is_final(request)) else { return Ok(()) };
    if let Some(attempt) = reported_attempt(node, job, request) {
        let stored = of_job(context, job).await?;
        record(draft, &attempt, stored, &request.job_metrics)?;
    }
    Ok(())
}

/// Stores the metrics of a job that goes on. `node` and `job` are as the request left them. Nothing fails: the
/// heartbeat that brought the metrics counts.
pub(crate) async fn store_live(
    context: &Context,
    node: &Node,
    job: Option<&Job>,
    request: &SyncRequest,
) {
    let Some(job) = job.filter(|_| !is_final(request)) else { return };
    let Some(attempt) = reported_attempt(node, job, request) else { return };
    for _ in 0..TRIES {
        match try_store(context, job, &attempt, request).await {
            Ok(()) => return,
            Err(error) if error.is_conflict() => {}
            Err(error) => {
                let (job, error) = (&attempt.job.name, error.chain());
                return tracing::warn!(job, error, "the metrics of a job were not stored");
            }
        }
    }
}

async fn try_store(
    context: &Context,
    known: &Job,
    attempt: &AttemptRef,
    request: &SyncRequest,
) -> Result<(), Error> {
    // The record of a job that has metrics is not written: as it was read for the heartbeat, it is new enough.
    let job = match known.has_metrics {
        true => Some(known.clone()),
        false => context.table.job(&attempt.job).await?,
    };
    let Some(job) = job.filter(|job| job.attempt(attempt).is_some()) else { return Ok(()) };
    let stored = of_job(context, &job).await?;
    if known.has_metrics && stored.is_none() {
        // The job was removed since.
        return Ok(());
    }
    let mut draft = context.draft();
    draft.read_job(job.clone());
    let before = stored.clone();
    let Some(changed) = record(&mut draft, attempt, stored, &request.job_metrics)? else {
        return Ok(());
    };
    context.commit(draft).await?;
    after_new_points(context, &job, attempt, before.as_ref(), &changed).await;
    Ok(())
}

/// Called after new points of a running job were stored: what follows from the course of a job while it runs belongs
/// here. Runs before the agent is answered. If it fails, the next points are the next chance.
async fn after_new_points(
    context: &Context,
    job: &Job,
    attempt: &AttemptRef,
    before: Option<&JobMetrics>,
    after: &JobMetrics,
) {
    if let Err(error) = early_stopping::stop_if_hopeless(context, job, attempt, before, after).await
    {
        let (job, error) = (&attempt.job.name, error.chain());
        tracing::warn!(job, error, "a run of a sweep was not compared with the others");
    }
}

/// The metrics of a job; nothing is read for a job that never reported any.
///
/// # Errors
/// What the table reports.
pub async fn of_job(context: &Context, job: &Job) -> Result<Option<JobMetrics>, Error> {
    match job.has_metrics {
        true => Ok(context.table.job_metrics(&job.reference()).await?),
        false => Ok(None),
    }
}

/// The metrics of the jobs of one page of an experiment, in the order of the jobs. `after` is the position of the page.
/// One range is read, if any of the jobs has metrics.
///
/// # Errors
/// What the table reports.
pub async fn of_page(
    context: &Context,
    jobs: &[Job],
    after: Option<&str>,
) -> Result<Vec<Option<JobMetrics>>, Error> {
    let count = jobs.iter().filter(|job| job.has_metrics).count();
    let Some(first) = jobs.iter().find(|job| job.has_metrics) else {
        return Ok(vec![None; jobs.len()]);
    };
    let mut found = context.table.metrics_of_jobs(&first.experiment, after, count).await?;
    let take = |job: &Job| {
        let position = found.iter().position(|metrics| metrics.is_of(&job.uid))?;
        Some(found.swap_remove(position))
    };
    Ok(jobs.iter().map(take).collect())
}
