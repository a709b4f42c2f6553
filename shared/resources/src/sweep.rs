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
    /// Points of its curve, in the order of their steps. The answer to a single job has them, a list does not.
    #[serde(default)]
    pub curve: Vec<MetricPoint>,
}

/// The value of a metric at a step.
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

    /// The metric of this name, if the job reported it.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics().iter().find(|metric| metric.name == name)
    }

    /// The value of a parameter of its sweep.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.sweep()?.parameters.iter().find(|it| it.name == name);
        found.map(|parameter| parameter.value.as_str())
    }
}
