//! A workspace at a glance: its clusters, what runs, what waits, what failed lately, and the quota.

use crate::failure::Failure;
use crate::links::{WorkspacePath, name_of};
use crate::pages::cluster_form::{ClusterForm, NewCluster, SIZES};
use crate::pages::forms;
use crate::pages::queue::{self, Waiting};
use crate::pages::usage;
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use resources::{Cluster, ClusterNode, ExecutionState, Experiment, Job, Usage};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    path: WorkspacePath,
    clusters: Vec<ClusterCard>,
    waiting: Vec<Waiting>,
    /// Quotas of which something is used.
    used: Vec<Usage>,
    failed: Vec<Failed>,
    /// Jobs that were looked at for `failed`, if there are others.
    looked_at: Option<usize>,
    /// None if the viewer may not create clusters.
    new: Option<NewCluster>,
}

pub(crate) struct ClusterCard {
    cluster: Cluster,
    nodes: Vec<ClusterNode>,
    counts: Vec<(&'static str, usize)>,
    micro_usd_per_hour: u64,
}

struct Failed {
    experiment: String,
    ended: Option<String>,
    job: Job,
}

/// So many clusters are shown with their nodes.
const CLUSTERS: usize = 50;
/// So many experiments and jobs are looked at for the failed ones: the service has no list of them.
const EXPERIMENTS: usize = 20;
const JOBS: usize = 300;
/// So many failed jobs are shown.
const FAILED: usize = 8;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    shown(&visit, path, None).await
}

/// The page, with a form that was refused.
pub(crate) async fn shown(
    visit: &Visit,
    path: WorkspacePath,
    refused: Option<(ClusterForm, Failure)>,
) -> Result<Response, Failure> {
    let status = refused.as_ref().map(|(_, problem)| problem.status);
    let new = NewCluster::of(visit, &path, refused).await?;
    let clusters = visit.api.list::<Cluster>(&path.api(&["clusters"]), CLUSTERS).await?.items;
    let mut cards = Vec::new();
    let mut waiting = Vec::new();
    for cluster in clusters {
        waiting.extend(queue::of_cluster(visit, &path, &cluster.name, 10).await?.items);
        cards.push(ClusterCard::of(visit, &path, cluster).await?);
    }
    let (_, usages) = usage::usages(visit, &path).await?;
    let mut used = usages.unwrap_or_default();
    used.retain(|usage| usage.current_value > 0);
    let (failed, looked_at) = failed(visit, &path).await?;
    let shell = Shell::of(path.workspace.clone(), &path, Tab::Overview)
        .command(format!("batchai status {}", path.options()))
        .json(path.json(&["clusters"]))
        .live(2);
    let content = Overview { path, clusters: cards, waiting, used, failed, looked_at, new };
    Ok(forms::shown(&shell, visit, &content, status))
}

impl Overview {
    fn create_command(&self) -> String {
        ClusterForm::named("spot").command(&self.path)
    }
}

impl ClusterCard {
    pub(crate) async fn of(
        visit: &Visit,
        path: &WorkspacePath,
        cluster: Cluster,
    ) -> Result<Self, Failure> {
        let nodes = path.api(&["clusters", &cluster.name, "nodes"]);
        let nodes = visit.api.list::<ClusterNode>(&nodes, 1000).await?.items;
        let states = ["running", "idle", "preparing", "launching", "leaving", "unusable"];
        let count =
            |state| (state, nodes.iter().filter(|node| node.state.to_string() == state).count());
        let counts = states.map(count).into_iter().filter(|(_, count)| *count > 0).collect();
        let micro_usd_per_hour =
            nodes.iter().filter_map(|node| node.price_micro_usd_per_hour).sum();
        Ok(Self { cluster, nodes, counts, micro_usd_per_hour })
    }

    fn scale(&self) -> String {
        let scale = &self.cluster.properties.scale_settings;
        match (&scale.auto_scale, &scale.manual) {
            (Some(auto), _) => {
                format!("automatic, {} to {}", auto.minimum_node_count, auto.maximum_node_count)
            }
            (None, Some(manual)) => format!("manual, {}", manual.target_node_count),
            (None, None) => String::new(),
        }
    }

    fn jobs(&self) -> Vec<(String, String)> {
        let mut jobs: Vec<&str> =
            self.nodes.iter().filter_map(|node| Some(node.job.as_ref()?.id.as_str())).collect();
        jobs.sort_unstable();
        jobs.dedup();
        let link = |id: &str| Some((name_of(id).to_owned(), queue::job_page(id)?));
        jobs.into_iter().filter_map(link).collect()
    }
}

/// The jobs that failed last, and how many were looked at if that are not all.
async fn failed(
    visit: &Visit,
    path: &WorkspacePath,
) -> Result<(Vec<Failed>, Option<usize>), Failure> {
    let experiments =
        visit.api.list::<Experiment>(&path.api(&["experiments"]), EXPERIMENTS).await?;
    let (mut found, mut looked_at, mut more) = (Vec::new(), 0, experiments.more);
    for experiment in experiments.items {
        let jobs = path.api(&["experiments", &experiment.name, "jobs"]);
        let jobs = visit.api.list::<Job>(&jobs, JOBS - looked_at).await?;
        looked_at += jobs.items.len();
        more |= jobs.more;
        let failed = |job: &Job| job.properties.execution_state == ExecutionState::Failed;
        let entry = |job: Job| {
            let ended = job.end_time().map(str::to_owned);
            Failed { experiment: experiment.name.clone(), ended, job }
        };
        found.extend(jobs.items.into_iter().filter(failed).map(entry));
        if looked_at >= JOBS {
            break;
        }
    }
    found.sort_by(|a, b| b.ended.cmp(&a.ended));
    found.truncate(FAILED);
    Ok((found, more.then_some(looked_at)))
}

impl Failed {
    fn why(&self) -> String {
        self.job.first_error().map_or_else(String::new, ToString::to_string)
    }
}
