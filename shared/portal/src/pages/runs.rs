//! Jobs side by side: the columns that they share, and their order.

use resources::{Goal, Job, Objective, natural};
use std::cmp::Ordering;

/// So many parameters and so many metrics are shown: a table that is wider is hard to read.
const PARAMETERS: usize = 6;
const METRICS: usize = 6;

/// What jobs are compared by.
pub(crate) struct Columns {
    /// In the order in which the sweep names them.
    pub(crate) parameters: Vec<String>,
    /// That of the objective first.
    pub(crate) metrics: Vec<String>,
    /// Of the first job that has one.
    pub(crate) objective: Option<Objective>,
    /// Parameters and metrics that are not shown.
    pub(crate) hidden: usize,
}

impl Columns {
    pub(crate) fn of(jobs: &[Job]) -> Self {
        let objective = jobs.iter().find_map(|job| job.sweep()?.objective.clone());
        let sweeps = jobs.iter().filter_map(Job::sweep);
        let names = sweeps.flat_map(|sweep| &sweep.parameters).map(|it| it.name.as_str());
        let mut parameters = distinct(names);
        let first = objective.as_ref().map(|it| it.metric.as_str());
        let reported = jobs.iter().flat_map(Job::metrics).map(|metric| metric.name.as_str());
        let mut metrics = distinct(first.into_iter().chain(reported));
        let hidden =
            parameters.len().saturating_sub(PARAMETERS) + metrics.len().saturating_sub(METRICS);
        parameters.truncate(PARAMETERS);
        metrics.truncate(METRICS);
        Self { parameters, metrics, objective, hidden }
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        if !found.iter().any(|it| it == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The best value that a job reported.
pub(crate) fn best(job: &Job, objective: &Objective) -> Option<f64> {
    let metric = job.metric(&objective.metric)?;
    Some(match objective.goal {
        Goal::Minimize => metric.minimum,
        Goal::Maximize => metric.maximum,
    })
}

/// What `best` is: "best accuracy".
pub(crate) fn best_name(objective: &Objective) -> String {
    format!("best {}", objective.metric)
}

/// What jobs are sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Best,
    Name,
    Submitted,
    Metric(String),
}

/// The order of jobs, as a parameter of the page has it: `name`, `-submitted`, `metric:loss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: Key,
    pub(crate) is_descending: bool,
}

impl Order {
    /// Best first where it is known what is good.
    pub(crate) fn read(text: &str, columns: &Columns) -> Self {
        let (is_descending, word) = match text.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, text),
        };
        let key = match word {
            "name" => Key::Name,
            "submitted" => Key::Submitted,
            "best" if columns.objective.is_some() => Key::Best,
            word => match word.strip_prefix("metric:") {
                Some(name) => Key::Metric(name.to_owned()),
                None if columns.objective.is_some() => {
                    return Self { key: Key::Best, is_descending: false };
                }
                None => return Self { key: Key::Name, is_descending: false },
            },
        };
        Self { key, is_descending }
    }

    pub(crate) fn sort(&self, jobs: &mut [Job], columns: &Columns) {
        jobs.sort_by(|one, other| natural::compare(&one.name, &other.name));
        match (&self.key, &columns.objective) {
            (Key::Name, _) if self.is_descending => jobs.reverse(),
            (Key::Name, _) | (Key::Best, None) => {}
            (Key::Best, Some(objective)) => {
                let is_descending = self.is_descending != (objective.goal == Goal::Maximize);
                self.by(jobs, is_descending, |job| best(job, objective), f64::total_cmp);
            }
            (Key::Metric(name), _) => {
                let last = |job: &Job| Some(job.metric(name)?.value);
                self.by(jobs, self.is_descending, last, f64::total_cmp);
            }
            (Key::Submitted, _) => {
                let submitted = |job: &Job| job.properties.creation_time.clone();
                self.by(jobs, self.is_descending, submitted, Ord::cmp);
            }
        }
    }

    /// Jobs without a value come last, in any order.
    fn by<T>(
        &self,
        jobs: &mut [Job],
        is_descending: bool,
        value: impl Fn(&Job) -> Option<T>,
        compare: impl Fn(&T, &T) -> Ordering,
    ) {
        jobs.sort_by(|one, other| match (value(one), value(other)) {
            (Some(one), Some(other)) if is_descending => compare(&other, &one),
            (Some(one), Some(other)) => compare(&one, &other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, loss: Option<f64>, submitted: &str) -> Job {
        let metric = |value: f64| serde_json::json!([{ "name": "loss", "step": 1, "value": value, "minimum": value - 1.0, "maximum": value }]);
        let objective = serde_json::json!({ "metric": "loss" });
        serde_json::from_value(serde_json::json!({
            "name": name,
            "properties": { "creationTime": submitted, "extensions": {
                "sweep": { "name": "search", "parameters": [{ "name": "lr", "value": "1" }], "objective": objective },
                "metrics": loss.map_or(serde_json::json!([]), metric),
            } },
        }))
        .unwrap()
    }

    #[test]
    fn the_best_is_first_and_who_reported_nothing_is_last() {
        let mut jobs = vec![
            job("run-10", Some(3.0), "2026-01-01T00:00:00Z"),
            job("run-9", None, "2026-01-03T00:00:00Z"),
            job("run-2", Some(1.0), "2026-01-02T00:00:00Z"),
        ];
        let columns = Columns::of(&jobs);
        assert_eq!((columns.parameters.len(), columns.metrics.len(), columns.hidden), (1, 1, 0));
        let mut sorted = |text: &str| {
            Order::read(text, &columns).sort(&mut jobs, &columns);
            let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
            format!("{text}: {}", names.join(" "))
        };
        let orders =
            ["", "-best", "name", "-name", "-submitted", "metric:loss", "-metric:loss", "x"];
        insta::assert_snapshot!(orders.map(&mut sorted).join("\n"), @r"
        : run-2 run-10 run-9
        -best: run-10 run-2 run-9
        name: run-2 run-9 run-10
        -name: run-10 run-9 run-2
        -submitted: run-9 run-2 run-10
        metric:loss: run-2 run-10 run-9
        -metric:loss: run-10 run-2 run-9
        x: run-2 run-10 run-9
        ");
    }
}
