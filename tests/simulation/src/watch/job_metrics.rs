//! Invariants of metrics: a record exists exactly for a job that has metrics, and never goes back; the last values that a
//! job reported are stored with its end.

use super::{Change, Checked, CommitContext, Record, Watch, ensure, replace};
use model::{AttemptRecord, EndReason, Job, JobMetrics, limits};
use table::{Write, WriteKind};

impl Watch {
    pub(super) fn apply_job_metrics(&mut self, write: &Write, changes: &mut Vec<Change>) {
        let key = (write.key.pk.clone(), write.key.sk.clone());
        let new: Option<Record<JobMetrics>> = Record::put(&write.kind);
        let is_removed = matches!(write.kind, WriteKind::Delete);
        let uid = match &new {
            Some(metrics) => metrics.job.uid.to_string(),
            None => self.uids.get(&key).cloned().unwrap_or_default(),
        };
        match is_removed {
            true => self.uids.remove(&key),
            false => self.uids.insert(key, uid.clone()),
        };
        let old = replace(&mut self.job_metrics, &uid, new);
        changes.push(Change::JobMetrics(uid, old));
    }

    pub(super) fn check_job_metrics(&self, uid: &str, old: Option<&Record<JobMetrics>>) -> Checked {
        self.check_has_metrics(uid)?;
        let Some(new) = self.job_metrics.get(uid) else { return Ok(()) };
        let name = &new.job.name;
        for curve in &new.metrics {
            let steps: Vec<u64> = curve.points.iter().map(|point| point.step).collect();
            let is_curve =
                steps.is_sorted() && (1..=limits::MAX_METRIC_POINTS).contains(&steps.len());
            ensure(is_curve, || format!("a curve of {name} has the steps {steps:?}"))?;
            let known = old.and_then(|old| old.curve(&curve.name));
            let known = known.filter(|known| known.attempt == curve.attempt);
            let (before, now) = (known.and_then(|it| it.latest()), curve.latest());
            let goes_back = before.zip(now).is_some_and(|(before, now)| before.step > now.step);
            ensure(!goes_back, || {
                format!(
                    "the metrics of {name} #{} go back from {before:?} to {now:?}",
                    curve.attempt
                )
            })?;
        }
        let goes_back = old.is_some_and(|old| old.attempt > new.attempt);
        ensure(!goes_back, || format!("the metrics of {name} are of an earlier attempt again"))
    }

    /// A job has metrics exactly if the record exists.
    pub(super) fn check_has_metrics(&self, uid: &str) -> Checked {
        let has_metrics = self.jobs.get(uid).is_some_and(|job| job.has_metrics);
        let is_stored = self.job_metrics.contains_key(uid);
        ensure(has_metrics == is_stored, || {
            format!("job {uid} has metrics: {has_metrics}, but they are stored: {is_stored}")
        })
    }

    /// What the command of a job of one node reported last is stored with its end.
    pub(super) fn check_last_metrics(
        &self,
        job: &Job,
        record: &AttemptRecord,
        context: &CommitContext<'_>,
    ) -> Checked {
        let actual = context.oracle.actual(job.uid.as_str(), record.number);
        let Some(expected) = actual.and_then(|it| it.last_step) else { return Ok(()) };
        let end = record.ended.as_ref().map(|end| &end.end_reason);
        if record.nodes.len() > 1 || !matches!(end, Some(EndReason::Exited { .. })) {
            return Ok(());
        }
        let metrics = self.job_metrics.get(job.uid.as_str());
        let latest = metrics.and_then(|it| it.curve("loss")?.latest()).map(|point| point.step);
        ensure(latest == Some(expected), || {
            let (name, number) = (&job.names.job, record.number);
            format!("{name} #{number} reported step {expected} last, but {latest:?} is stored")
        })
    }
}
