//! Metrics of a job, an addition to the contract: `properties.extensions.metrics`.

#![expect(missing_docs, reason = "fields of bodies are described by their types")]

use super::job::JobProperties;
use super::parts::Resource;
use model::{JobMetrics, MetricCurve, MetricPoint};
use schemars::JsonSchema;
use serde::Serialize;

/// How much of its metrics the body of a job has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricDetail {
    /// The latest point of each: a list of jobs stays small.
    Latest,
    /// The curves, too.
    Curves,
}

/// A metric that the job reports: its latest value, the lowest and the highest until then, and a few points of its
/// curve, in the order of steps.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Metric")]
pub struct MetricBody {
    pub name: String,
    #[serde(flatten)]
    pub latest: MetricPointBody,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<MetricPointBody>,
}

/// A point of a curve: the value at a step, and the lowest and the highest value until then.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MetricPoint")]
pub struct MetricPointBody {
    pub step: u64,
    pub value: f64,
    pub minimum: f64,
    pub maximum: f64,
}

impl From<&MetricPoint> for MetricPointBody {
    fn from(point: &MetricPoint) -> Self {
        let MetricPoint { step, value, minimum, maximum } = *point;
        Self { step, value, minimum, maximum }
    }
}

impl Resource<JobProperties> {
    /// The body with the metrics of the job.
    pub fn with_metrics(mut self, metrics: Option<&JobMetrics>, detail: MetricDetail) -> Self {
        if let Some(JobMetrics { metrics, .. }) = metrics {
            let extensions = self.properties.extensions.get_or_insert_default();
            extensions.metrics = metrics.iter().filter_map(|it| body(it, detail)).collect();
        }
        self
    }
}

fn body(curve: &MetricCurve, detail: MetricDetail) -> Option<MetricBody> {
    Some(MetricBody {
        name: curve.name.clone(),
        latest: curve.latest()?.into(),
        curve: match detail {
            MetricDetail::Latest => Vec::new(),
            MetricDetail::Curves => curve.points.iter().map(MetricPointBody::from).collect(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, at, pretty};

    #[test]
    fn a_job_has_curves_and_a_list_only_the_latest_points() {
        let point = |step, value| MetricPoint { step, value, minimum: value, maximum: 2.5 };
        let points = vec![point(0, 2.5), point(10, 0.25)];
        let curve = MetricCurve { name: "loss".to_owned(), attempt: 1, points };
        let job = fixtures::job();
        let metrics = JobMetrics {
            job: job.reference(),
            version: 1,
            attempt: 1,
            sweep: None,
            metrics: vec![curve],
        };
        let shown = |detail| {
            let body = crate::job(&job, None, at(0)).with_metrics(Some(&metrics), detail);
            pretty(&body.properties.extensions)
        };
        insta::assert_snapshot!(shown(MetricDetail::Latest), @r#"
        {
          "metrics": [
            {
              "name": "loss",
              "step": 10,
              "value": 0.25,
              "minimum": 0.25,
              "maximum": 2.5
            }
          ]
        }
        "#);
        insta::assert_snapshot!(shown(MetricDetail::Curves), @r#"
        {
          "metrics": [
            {
              "name": "loss",
              "step": 10,
              "value": 0.25,
              "minimum": 0.25,
              "maximum": 2.5,
              "curve": [
                {
                  "step": 0,
                  "value": 2.5,
                  "minimum": 2.5,
                  "maximum": 2.5
                },
                {
                  "step": 10,
                  "value": 0.25,
                  "minimum": 0.25,
                  "maximum": 2.5
                }
              ]
            }
          ]
        }
        "#);
        let none = crate::job(&job, None, at(0)).with_metrics(None, MetricDetail::Curves);
        assert!(none.properties.extensions.is_none());
    }
}
