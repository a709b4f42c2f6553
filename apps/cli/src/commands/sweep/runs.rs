//! The runs of a sweep, and which of them is best.

use crate::commands::job::list::{self, Listed};
use crate::context::Context;
use anyhow::{Result, bail};
use resources::natural;
use resources::{Goal, Job, Metric, Objective};
use std::cmp::Ordering;

/// The runs of a sweep of the experiment.
///
/// # Errors
/// When there is none, with the names of those there are.
pub async fn existing(context: &Context, sweep: &str) -> Result<Vec<Listed>> {
    let jobs = list::read(&context.client, &context.scope.jobs()?).await?;
    let mut names: Vec<String> = jobs.iter().filter_map(|it| it.job.sweep_name()).collect();
    let runs: Vec<Listed> = jobs
        .into_iter()
        .filter(|it| it.job.sweep_name().is_some_and(|name| name.eq_ignore_ascii_case(sweep)))
        .collect();
    if !runs.is_empty() {
        return Ok(runs);
    }
    names.sort();
    names.dedup();
    let experiment = context.scope.experiment.as_deref().unwrap_or_default();
    match names.as_slice() {
        [] => bail!("experiment {experiment} has no sweep; to start one, see batchai sweep --help"),
        names => bail!("experiment {experiment} has no sweep {sweep}; it has {}", names.join(", ")),
    }
}

/// The objective of a sweep: that of the first run that has one.
pub fn objective(runs: &[Listed]) -> Option<Objective> {
    runs.iter().find_map(|run| run.job.sweep()?.objective.clone())
}

/// The metric of this name, if the job reported it.
pub fn metric<'a>(job: &'a Job, name: &str) -> Option<&'a Metric> {
    job.metrics().iter().find(|metric| metric.name == name)
}

/// The best value that a run reported.
pub fn best(job: &Job, objective: &Objective) -> Option<f64> {
    let metric = metric(job, &objective.metric)?;
    Some(match objective.goal {
        Goal::Minimize => metric.minimum,
        Goal::Maximize => metric.maximum,
    })
}

/// The best run first, those without a value last, equal ones in the order of their names.
pub fn sort(runs: &mut [Listed], objective: Option<&Objective>) {
    runs.sort_by(|one, other| natural::compare(&one.job.name, &other.job.name));
    let Some(objective) = objective else { return };
    runs.sort_by(|one, other| match (best(&one.job, objective), best(&other.job, objective)) {
        (Some(one), Some(other)) => match objective.goal {
            Goal::Minimize => one.total_cmp(&other),
            Goal::Maximize => other.total_cmp(&one),
        },
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
}
