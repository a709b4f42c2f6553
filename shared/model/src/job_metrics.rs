//! What a job reports about its progress, such as its loss: a curve for each metric. A record of its own beside the
//! job's, so that a job that reports none costs nothing more.

use crate::{JobRef, Name, Uid};
use serde::{Deserialize, Serialize};

/// The metrics of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobMetrics {
    /// The job. A later job of the same name has a record of its own.
    pub job: JobRef,
    /// Incremented by every write.
    pub version: u64,
    /// The attempt that reported last.
    pub attempt: u32,
    /// The sweep that the job is a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Name>,
    /// In the order in which the job reported them first.
    pub metrics: Vec<MetricCurve>,
}

/// The curve of a metric: at most [`crate::limits::MAX_METRIC_POINTS`] points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricCurve {
    /// The name of the metric.
    pub name: String,
    /// The attempt that reported the latest point. The first points may be of earlier attempts.
    pub attempt: u32,
    /// In the order of steps. The last one is the latest.
    pub points: Vec<MetricPoint>,
}

/// A point of a curve, stored as a list of four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Numbers", into = "Numbers")]
pub struct MetricPoint {
    /// The step of the job.
    pub step: u64,
    /// The value at this step.
    pub value: f64,
    /// The lowest value of all steps up to this one.
    pub minimum: f64,
    /// The highest value of all steps up to this one.
    pub maximum: f64,
}

type Numbers = (u64, f64, f64, f64);

impl JobMetrics {
    /// The curve of a metric.
    pub fn curve(&self, name: &str) -> Option<&MetricCurve> {
        self.metrics.iter().find(|curve| curve.name == name)
    }

    /// Whether these are the metrics of this job, not those of another one that had its name.
    pub fn is_of(&self, job: &Uid) -> bool {
        self.job.uid == *job
    }
}

impl MetricCurve {
    /// The point that was reported last.
    pub fn latest(&self) -> Option<&MetricPoint> {
        self.points.last()
    }
}

impl From<Numbers> for MetricPoint {
    fn from((step, value, minimum, maximum): Numbers) -> Self {
        Self { step, value, minimum, maximum }
    }
}

impl From<MetricPoint> for Numbers {
    fn from(point: MetricPoint) -> Self {
        (point.step, point.value, point.minimum, point.maximum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_stored_in_few_bytes() {
        let point = MetricPoint { step: 100, value: 0.31, minimum: 0.3, maximum: 2.5 };
        let curve = MetricCurve { name: "loss".into(), attempt: 1, points: vec![point] };
        let uid = |byte| Uid::from_bytes([byte; 16]);
        let job = JobRef { experiment: uid(1), name: "j".into(), uid: uid(2) };
        let metrics = JobMetrics { job, version: 1, attempt: 1, sweep: None, metrics: vec![curve] };
        let text = serde_json::to_string(&metrics).unwrap();
        let curve = r#"{"name":"loss","attempt":1,"points":[[100,0.31,0.3,2.5]]}"#;
        assert!(text.ends_with(&format!(r#""metrics":[{curve}]}}"#)), "{text}");
        assert_eq!(serde_json::from_str::<JobMetrics>(&text).unwrap(), metrics);
        assert_eq!(metrics.curve("loss").and_then(MetricCurve::latest), Some(&point));
        assert!(metrics.curve("accuracy").is_none() && metrics.is_of(&uid(2)));
    }
}
