//! Sweeps: jobs of an experiment that differ in their parameters. Each is a job like any other; what it says about
//! its sweep is an extension of its properties.

use crate::{Name, Uid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a job says about its sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Sweep")]
pub struct SweepRun {
    /// Name of the sweep. Jobs of one experiment with the same name form a sweep.
    #[schemars(with = "String")]
    pub name: Name,
    /// The parameters of this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<SweepParameter>,
    /// The most jobs of the sweep that run on a cluster at a time. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The metric by which its runs are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// When a run is terminated that is worse than others. Needs an objective. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
}

/// A parameter of a run, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SweepParameter {
    /// Name of the parameter.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The metric by which runs are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// Name of the metric.
    pub metric: String,
    /// Whether a small or a large value is better.
    #[serde(default, skip_serializing_if = "Goal::is_minimize")]
    pub goal: Goal,
}

/// Whether a small or a large value is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Goal {
    /// The smallest value is the best, as of a loss.
    #[default]
    Minimize,
    /// The largest value is the best, as of an accuracy.
    Maximize,
}

impl Goal {
    fn is_minimize(&self) -> bool {
        *self == Self::Minimize
    }

    /// Whether the first value is better than the second.
    pub fn prefers(self, value: f64, other: f64) -> bool {
        match self {
            Self::Minimize => value < other,
            Self::Maximize => value > other,
        }
    }
}

/// The median rule: a run is terminated when the best value that it has reported is worse than the median of what
/// the other runs had reported up to the same step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlyStopping {
    /// No run is terminated before it has reported this step.
    pub after_step: u64,
    /// How many other runs must have reported that far.
    pub minimum_runs: u32,
}

/// A limit of the sweep of a queued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepLimit {
    /// Name of the sweep in lower case, as sweeps are found without regard to case.
    pub name: String,
    /// The most jobs of it that run on a cluster at a time.
    pub max_parallel: u32,
}

/// A sweep whose jobs are limited. Names are those of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SweepKey {
    /// Uid of the experiment.
    pub experiment: Uid,
    /// Name of the sweep in lower case.
    pub name: String,
}

impl SweepRun {
    /// The limit, if it has one.
    pub fn limit(&self) -> Option<SweepLimit> {
        let max_parallel = self.max_parallel?;
        Some(SweepLimit { name: self.name.key(), max_parallel })
    }
}
