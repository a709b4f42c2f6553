//! The sweep that a job is a run of, and the metrics that it reported.

use super::Job;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    pub name: String,
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    pub objective: Option<Objective>,
}

#[derive(Debug, Deserialize)]
pub struct Parameter {
    pub name: String,
    pub value: String,
}

/// The metric by which runs are compared.
#[derive(Clone, Debug, Deserialize)]
pub struct Objective {
    pub metric: String,
    #[serde(default)]
    pub goal: Goal,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    #[default]
    Minimize,
    Maximize,
}

/// What a job reported of a metric: the last value, at a step, and the extremes.
#[derive(Debug, Deserialize)]
pub struct Metric {
    pub name: String,
    pub step: u64,
    pub value: f64,
    pub minimum: f64,
    pub maximum: f64,
    /// A few points of its curve. Lists of jobs have none.
    #[serde(default)]
    pub curve: Vec<MetricPoint>,
}

/// The value at a step.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct MetricPoint {
    pub step: u64,
    pub value: f64,
}

impl Job {
    pub fn sweep(&self) -> Option<&Sweep> {
        self.properties.extensions.as_ref()?.sweep.as_ref()
    }

    pub fn sweep_name(&self) -> Option<String> {
        Some(self.sweep()?.name.clone())
    }

    pub fn metrics(&self) -> &[Metric] {
        self.properties.extensions.as_ref().map_or(&[], |extensions| &extensions.metrics)
    }
}
