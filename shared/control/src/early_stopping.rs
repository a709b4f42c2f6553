//! Runs of sweeps that are worse than the others are stopped while they run, by what they and the others have reported.

use crate::context::replan;
use crate::{Context, Error};
use lifecycle::members;
use model::{AttemptRef, EndReason, Job, JobMetrics, MetricCurve, limits};
use scheduler::early_stopping::{is_due, reason_to_stop};

/// Asks the attempt to end if its sweep has a rule for that, and the rule says so. `before` and `after` are the metrics
/// of the job before and after its latest points were stored. The others are read only when a point was kept.
///
/// # Errors
/// What the table reports.
pub(crate) async fn stop_if_hopeless(
    context: &Context,
    job: &Job,
    attempt: &AttemptRef,
    before: Option<&JobMetrics>,
    after: &JobMetrics,
) -> Result<(), Error> {
    let Some(sweep) = job.spec.sweep.as_deref() else { return Ok(()) };
    let (Some(rule), Some(objective)) = (sweep.early_stopping, &sweep.objective) else {
        return Ok(());
    };
    let metric = objective.metric.as_str();
    let Some(own) = after.curve(metric) else { return Ok(()) };
    if !is_due(before.and_then(|before| before.curve(metric)), own) {
        return Ok(());
    }
    let runs = context.table.metrics_of_sweep(&job.experiment, &sweep.name).await?;
    let others = runs.iter().filter(|other| !other.is_of(&job.uid));
    let others: Vec<&MetricCurve> = others.filter_map(|other| other.curve(metric)).collect();
    let Some(reason) = reason_to_stop(rule, objective, own, &others) else { return Ok(()) };
    replan(|| async {
        let Some(job) = context.table.job(&attempt.job).await? else { return Ok(()) };
        let mut draft = context.draft();
        draft.read_job(job);
        let end_reason = EndReason::StoppedEarly { reason: reason.clone() };
        members::end_attempt(&mut draft, attempt, &end_reason, limits::STOP_GRACE_SECONDS)?;
        context.commit(draft).await?;
        Ok(())
    })
    .await
}
