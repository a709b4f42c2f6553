//! One cluster: its nodes, its errors and its scale.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted};
use crate::pages::cluster_timeline::Timeline;
use crate::pages::queue::{self, Waiting};
use crate::shell::{Shell, Tab, Visit};
use crate::text as filters;
use askama::Template;
use axum::Form;
use axum::extract::Path;
use axum::response::{Redirect, Response};
use http::Method;
use resources::{Cluster, ClusterNode, EndedNodes, time};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
pub(crate) struct ClusterPath {
    #[serde(flatten)]
    pub(crate) workspace: WorkspacePath,
    pub(crate) cluster: String,
}

#[derive(Template)]
#[template(path = "cluster.html")]
struct ClusterContent {
    path: WorkspacePath,
    cluster: Cluster,
    nodes: Vec<ClusterNode>,
    timeline: Timeline,
    waiting: Vec<Waiting>,
    micro_usd_per_hour: u64,
    may_write: bool,
}

/// As many as a cluster can have.
const NODES: usize = 1000;

/// So many entries of removed nodes are read, the newest: more than a cluster replaces on a bad day, and some 80 KB.
const ENDED: usize = 200;

pub(crate) async fn page(visit: Visit, Path(path): Path<ClusterPath>) -> Result<Response, Failure> {
    let ClusterPath { workspace: path, cluster: name } = path;
    let cluster: Cluster = visit.api.get(&path.api(&["clusters", &name])).await?;
    let nodes =
        visit.api.list::<ClusterNode>(&path.api(&["clusters", &name, "nodes"]), NODES).await?.items;
    let ended = path.api(&["clusters", &name, "endedNodes"]);
    let ended = visit.api.list::<EndedNodes>(&ended, ENDED).await?;
    let created = cluster.properties.creation_time.as_deref().and_then(time::parse);
    let timeline = Timeline::of(created, &nodes, &ended.items, ended.more, time::now());
    let waiting = queue::of_cluster(&visit, &path, &name, 20).await?.items;
    let micro_usd_per_hour = nodes.iter().filter_map(|node| node.price_micro_usd_per_hour).sum();
    let may_write = visit.may_write(&path).await;
    let shell = Shell::of(cluster.name.clone(), &path, Tab::Overview)
        .below("Clusters", path.page(&[]))
        .command(format!("batchai cluster show {} {}", quoted(&name), path.options()))
        .json(path.json(&["clusters", &name]))
        .live(2);
    let content =
        ClusterContent { path, cluster, nodes, timeline, waiting, micro_usd_per_hour, may_write };
    Ok(shell.respond(&visit, &content))
}

/// The form of the scale settings.
#[derive(Deserialize)]
pub(crate) struct Scale {
    kind: String,
    minimum: Option<u32>,
    maximum: Option<u32>,
    target: Option<u32>,
}

pub(crate) async fn scale(
    visit: Visit,
    Path(path): Path<ClusterPath>,
    Form(form): Form<Scale>,
) -> Result<Redirect, Failure> {
    let settings = match (form.kind.as_str(), form.minimum, form.maximum, form.target) {
        ("auto", Some(minimum), Some(maximum), _) => {
            json!({ "autoScale": { "minimumNodeCount": minimum, "maximumNodeCount": maximum } })
        }
        ("manual", _, _, Some(target)) => json!({ "manual": { "targetNodeCount": target } }),
        _ => return Err(Failure::invalid("Give the number of nodes")),
    };
    let body = json!({ "properties": { "scaleSettings": settings } });
    let ClusterPath { workspace, cluster } = path;
    let target = workspace.api(&["clusters", &cluster]);
    visit.api.send(Method::PATCH, &target, Some(body)).await?;
    Ok(Redirect::to(&workspace.page(&["clusters", &cluster])))
}

impl ClusterContent {
    fn scale_page(&self) -> String {
        self.path.page(&["clusters", &self.cluster.name, "scale"])
    }

    fn delete_page(&self) -> String {
        self.path.page(&["clusters", &self.cluster.name, "delete"])
    }

    fn delete_command(&self) -> String {
        let name = quoted(&self.cluster.name);
        format!("batchai cluster delete {name} {}", self.path.options())
    }

    fn target(&self) -> u32 {
        let scale = &self.cluster.properties.scale_settings;
        scale
            .manual
            .as_ref()
            .map_or(self.cluster.properties.current_node_count, |it| it.target_node_count)
    }

    fn limits(&self) -> (u32, u32) {
        let scale = &self.cluster.properties.scale_settings;
        scale
            .auto_scale
            .as_ref()
            .map_or((0, self.target()), |it| (it.minimum_node_count, it.maximum_node_count))
    }

    fn ended_command(&self) -> String {
        let name = quoted(&self.cluster.name);
        format!("batchai cluster nodes {name} --ended {}", self.path.options())
    }

    fn resize_command(&self) -> String {
        format!(
            "batchai cluster resize {} --target {} {}",
            quoted(&self.cluster.name),
            self.target(),
            self.path.options()
        )
    }

    fn auto_scale_command(&self) -> String {
        let (minimum, maximum) = self.limits();
        let name = quoted(&self.cluster.name);
        format!(
            "batchai cluster auto-scale {name} --min {minimum} --max {maximum} {}",
            self.path.options()
        )
    }
}
