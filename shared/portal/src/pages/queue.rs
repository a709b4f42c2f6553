//! The queues of all clusters of a workspace, in the order in which jobs start.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::{WorkspacePath, name_of, quoted};
use crate::pages::expected_start::{ESTIMATED, Forecast, Start};
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use resources::{Cluster, Job};

#[derive(Template)]
#[template(path = "queue.html")]
struct Queue {
    path: WorkspacePath,
    clusters: Vec<(String, Items<Waiting>)>,
}

/// A queued job.
pub(crate) struct Waiting {
    /// From 1.
    pub(crate) position: usize,
    pub(crate) cluster: String,
    pub(crate) experiment: String,
    pub(crate) page: String,
    pub(crate) job: Job,
    /// Where the page shows it.
    pub(crate) start: Option<Start>,
}

/// So many of each cluster are shown.
const LISTED: usize = 100;
/// So many clusters are.
const CLUSTERS: usize = 50;

pub(crate) async fn page(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
) -> Result<Response, Failure> {
    let found = visit.api.list::<Cluster>(&path.api(&["clusters"]), CLUSTERS).await?.items;
    let mut clusters = Vec::new();
    let mut forecast = Forecast::new(&visit);
    for cluster in found {
        let mut queue = of_cluster(&visit, &path, &cluster.name, LISTED).await?;
        let first = &queue.items[..queue.items.len().min(ESTIMATED)];
        let starts = forecast.starts(&path, &cluster, first).await;
        for (row, start) in queue.items.iter_mut().zip(starts) {
            row.start = start;
        }
        clusters.push((cluster.name, queue));
    }
    let shell = Shell::of("Queue", &path, Tab::Queue)
        .command(format!("batchai job list --all-experiments --state queued {}", path.options()))
        .live(2);
    Ok(shell.respond(&visit, &Queue { path, clusters }))
}

impl Queue {
    /// The command that explains why the first job of a queue waits.
    fn explain_command(&self, queue: &Items<Waiting>) -> String {
        let Some(first) = queue.items.first() else { return String::new() };
        let (job, experiment) = (quoted(&first.job.name), quoted(&first.experiment));
        format!("batchai job explain {job} -e {experiment} {}", self.path.options())
    }
}

/// The first jobs that wait for a cluster.
pub(crate) async fn of_cluster(
    visit: &Visit,
    path: &WorkspacePath,
    cluster: &str,
    most: usize,
) -> Result<Items<Waiting>, Failure> {
    let queued = path.api(&["clusters", cluster, "queuedJobs"]);
    let Items { items, more } = visit.api.list::<Job>(&queued, most).await?;
    let waiting = |(at, job): (usize, Job)| {
        let page = job_page(&job.id)?;
        let experiment = experiment_of(&job.id)?.to_owned();
        let (position, cluster) = (at + 1, cluster.to_owned());
        Some(Waiting { position, cluster, experiment, page, job, start: None })
    };
    Ok(Items { items: items.into_iter().enumerate().filter_map(waiting).collect(), more })
}

/// The experiment of a job, by its id.
pub(crate) fn experiment_of(id: &str) -> Option<&str> {
    let (rest, _) = id.rsplit_once("/jobs/")?;
    Some(name_of(rest))
}

/// The page of a job, by its id.
pub(crate) fn job_page(id: &str) -> Option<String> {
    let path = WorkspacePath::of_id(id)?;
    Some(path.page(&["experiments", experiment_of(id)?, "jobs", name_of(id)]))
}

impl Waiting {
    pub(crate) fn why(&self) -> &str {
        self.job.waiting_reason().unwrap_or_default()
    }
}
