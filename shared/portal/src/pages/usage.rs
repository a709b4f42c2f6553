//! What the subscription uses of its quota, and what the jobs of the workspace have cost.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted, segment};
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use resources::{Experiment, Job, Usage, Workspace};

#[derive(Template)]
#[template(path = "usage.html")]
struct UsagePage {
    path: WorkspacePath,
    location: String,
    used: Vec<Usage>,
    unused: Vec<Usage>,
    /// Whether the viewer may not read the quota.
    is_denied: bool,
    costs: Costs,
}

/// What the counted jobs have cost.
#[derive(Default)]
struct Costs {
    experiments: Vec<ExperimentCost>,
    jobs: usize,
    /// Whether there are jobs that were not counted.
    more: bool,
}

struct ExperimentCost {
    name: String,
    page: String,
    jobs: usize,
    micro_usd: u64,
    /// Jobs without a cost: they have not started, or the price of their nodes is not known.
    without: usize,
}

/// The rows of an answer: some for each family of machines.
const USAGES: usize = 200;
/// So many experiments and jobs are read for the costs, every few seconds: the service has no sum of them.
const EXPERIMENTS: usize = 50;
const JOBS: usize = 500;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    let (location, found) = usages(&visit, &path).await?;
    let is_denied = found.is_none();
    let found = found.unwrap_or_default();
    let (used, unused) = found.into_iter().partition(|usage| usage.current_value > 0);
    let costs = Costs::of(&visit, &path).await?;
    let mut shell = Shell::of("Usage", &path, Tab::Usage).live(5).command(format!(
        "batchai usage --all -l {} --subscription {}",
        quoted(&location),
        quoted(&path.subscription)
    ));
    if !is_denied {
        let usages = usages_path(&path.subscription, &location);
        shell = shell.json(format!("/portal/api{usages}"));
    }
    Ok(shell.respond(&visit, &UsagePage { path, location, used, unused, is_denied, costs }))
}

/// The location of the workspace, and the quota there; `None` if the viewer may not read that.
pub(crate) async fn usages(
    visit: &Visit,
    path: &WorkspacePath,
) -> Result<(String, Option<Vec<Usage>>), Failure> {
    let workspace: Workspace = visit.api.get(&path.api(&[])).await?;
    let location = workspace.location.unwrap_or_default();
    let usages = usages_path(&path.subscription, &location);
    match visit.api.list::<Usage>(&usages, USAGES).await {
        Err(failure) if failure.is_denied() => Ok((location, None)),
        found => Ok((location, Some(found?.items))),
    }
}

fn usages_path(subscription: &str, location: &str) -> String {
    let (subscription, location) = (segment(subscription), segment(location));
    format!("/subscriptions/{subscription}/providers/Microsoft.BatchAI/locations/{location}/usages")
}

impl Costs {
    async fn of(visit: &Visit, path: &WorkspacePath) -> Result<Self, Failure> {
        let found = visit.api.list::<Experiment>(&path.api(&["experiments"]), EXPERIMENTS).await?;
        let mut costs = Self { more: found.more, ..Self::default() };
        for experiment in found.items {
            let left = JOBS - costs.jobs;
            if left == 0 {
                costs.more = true;
                break;
            }
            let jobs = path.api(&["experiments", &experiment.name, "jobs"]);
            let jobs = visit.api.list::<Job>(&jobs, left).await?;
            costs.jobs += jobs.items.len();
            costs.more |= jobs.more;
            let page = path.page(&["experiments", &experiment.name]);
            costs.experiments.push(ExperimentCost::of(experiment.name, page, &jobs.items));
        }
        costs.experiments.retain(|experiment| experiment.jobs > 0);
        costs.experiments.sort_by_key(|it| std::cmp::Reverse(it.micro_usd));
        Ok(costs)
    }

    fn total(&self) -> u64 {
        self.experiments.iter().map(|it| it.micro_usd).fold(0, u64::saturating_add)
    }

    /// Whether no job has a cost.
    fn is_unknown(&self) -> bool {
        self.experiments.iter().all(|it| it.without == it.jobs)
    }
}

impl ExperimentCost {
    fn of(name: String, page: String, jobs: &[Job]) -> Self {
        let cost = |job: &Job| job.properties.extensions.as_ref()?.cost_micro_usd;
        let known: Vec<u64> = jobs.iter().filter_map(cost).collect();
        let without = jobs.len() - known.len();
        let micro_usd = known.into_iter().fold(0, u64::saturating_add);
        Self { name, page, jobs: jobs.len(), micro_usd, without }
    }
}

impl UsagePage {
    fn submit_command(&self) -> String {
        format!("batchai job submit -f job.json -n NAME --cluster CLUSTER {}", self.path.options())
    }
}

/// From where on a bar warns: four fifths of the quota.
fn high(usage: &Usage) -> u64 {
    usage.limit.saturating_mul(4) / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_summed_where_they_are_known() {
        let jobs = [r#"{"extensions":{"costMicroUsd":250}}"#, r#"{"extensions":{}}"#, "{}"]
            .map(|properties| format!(r#"{{"name":"j","properties":{properties}}}"#))
            .map(|text| serde_json::from_str(&text).unwrap());
        let cost = ExperimentCost::of("e".into(), "/p".into(), &jobs);
        assert_eq!((cost.jobs, cost.micro_usd, cost.without), (3, 250, 2));
        let costs = |experiments| Costs { experiments, ..Costs::default() };
        assert!(!costs(vec![cost]).is_unknown());
        assert!(costs(vec![ExperimentCost::of("e".into(), "/p".into(), &jobs[1..])]).is_unknown());
    }

    #[test]
    fn a_location_cannot_leave_its_segment() {
        insta::assert_snapshot!(usages_path("s", "a/b"), @"/subscriptions/s/providers/Microsoft.BatchAI/locations/a%2Fb/usages");
    }
}
