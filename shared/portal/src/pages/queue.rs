//! The queues of all clusters of a workspace, in the order in which jobs start.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::{WorkspacePath, name_of};
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
    for cluster in found {
        let queue = of_cluster(&visit, &path, &cluster.name, LISTED).await?;
        clusters.push((cluster.name, queue));
    }
    let shell = Shell::of("Queue", &path, Tab::Queue)
        .command(format!("batchai job list --all-experiments --state queued {}", path.options()))
        .live(2);
    Ok(shell.respond(&visit, &Queue { path, clusters }))
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
        Some(Waiting { position: at + 1, cluster: cluster.to_owned(), experiment, page, job })
    };
    Ok(Items { items: items.into_iter().enumerate().filter_map(waiting).collect(), more })
}

fn experiment_of(id: &str) -> Option<&str> {
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
