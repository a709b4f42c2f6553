//! The metrics of simulated jobs: some report a value at steps that follow from the time their command has run.

use crate::oracle::Oracle;
use protocol::{AttemptKey, CurvePoint, JobMetric, thin};

/// Between two steps.
const STEP_MILLIS: i64 = 700;

/// What the command of an attempt has reported on its first node.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimMetrics {
    started_at: Option<i64>,
    ran_until: i64,
}

impl SimMetrics {
    /// The command starts. Every other job reports metrics.
    pub fn start(&mut self, key: &AttemptKey, now: i64) {
        let reports = key.job_uid.bytes().next().is_some_and(|byte| byte % 2 == 0);
        self.started_at = reports.then_some(now);
        self.ran_until = now;
    }

    /// The command ran until now.
    pub fn ran(&mut self, now: i64) {
        self.ran_until = now;
    }

    /// The command has ended.
    pub fn end(&self, key: &AttemptKey, oracle: &mut Oracle) {
        if let Some(step) = self.report(key).first().and_then(|metric| metric.points.last()) {
            oracle.last_step(key, step.step);
        }
    }

    /// All metrics; none before the command starts. A later attempt continues at a checkpoint, a little behind the end
    /// of the one before.
    pub fn report(&self, key: &AttemptKey) -> Vec<JobMetric> {
        let Some(started_at) = self.started_at else { return Vec::new() };
        let first = u64::from(key.number - 1) * 3;
        let latest = first + ((self.ran_until - started_at).max(0) / STEP_MILLIS) as u64;
        // Some jobs are worse than others.
        let offset = f64::from(key.job_uid.as_bytes().get(1).copied().unwrap_or_default() % 4);
        let point = |step: u64| {
            let value = offset - (step as f64);
            CurvePoint { step, value, minimum: value, maximum: offset - (first as f64) }
        };
        let mut points: Vec<CurvePoint> = (first..=latest).map(point).collect();
        thin(&mut points, 0, |point| point.step);
        vec![JobMetric { name: "loss".to_owned(), points }]
    }
}
