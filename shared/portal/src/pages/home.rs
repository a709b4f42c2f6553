//! All workspaces that the viewer may see.

use crate::api::Items;
use crate::failure::Failure;
use crate::links::{WorkspacePath, segment};
use crate::shell::{Shell, Visit};
use crate::text as filters;
use askama::Template;
use axum::extract::Query;
use axum::response::{Redirect, Response};
use resources::Workspace;
use serde::Deserialize;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    workspaces: Vec<Row>,
    subscription: String,
}

struct Row {
    path: WorkspacePath,
    location: String,
    state: String,
    created: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    subscription_id: String,
}

/// So many of each subscription are listed.
const LISTED: usize = 200;

pub(crate) async fn page(visit: Visit) -> Result<Response, Failure> {
    let subscriptions = visit.api.list::<Subscription>("/subscriptions", LISTED).await?.items;
    let mut workspaces = Vec::new();
    for subscription in &subscriptions {
        let id = segment(&subscription.subscription_id);
        let path = format!("/subscriptions/{id}/providers/Microsoft.BatchAI/workspaces");
        // Who has a role in a workspace only may not list all of them.
        let listed: Items<Workspace> = match visit.api.list(&path, LISTED).await {
            Err(failure) if failure.is_denied() => continue,
            listed => listed?,
        };
        workspaces.extend(listed.items.into_iter().filter_map(Row::of));
    }
    let subscription = subscriptions.first().map(|first| first.subscription_id.clone());
    let shell = Shell::new("Workspaces")
        .command("batchai workspace list".to_owned())
        .json("/portal/api/subscriptions".to_owned())
        .live(10);
    let content = Home { workspaces, subscription: subscription.unwrap_or_default() };
    Ok(shell.respond(&visit, &content))
}

impl Row {
    fn of(workspace: Workspace) -> Option<Self> {
        Some(Self {
            path: WorkspacePath::of_id(&workspace.id)?,
            location: workspace.location.unwrap_or_default(),
            state: workspace.properties.provisioning_state,
            created: workspace.properties.creation_time,
        })
    }
}

/// To a workspace by its names.
pub(crate) async fn open(Query(workspace): Query<WorkspacePath>) -> Redirect {
    Redirect::to(&workspace.page(&[]))
}
