//! What every page has around its content: title, navigation, the command that shows the same, the live update.

use crate::Portal;
use crate::api::Api;
use crate::assets;
use crate::links::WorkspacePath;
use askama::Template;
use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use resources::Permission;
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;

/// A part of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Queue,
    Experiments,
    FileServers,
    Access,
    Usage,
}

impl Tab {
    const ALL: [(Self, &str, &str); 6] = [
        (Self::Overview, "Overview", ""),
        (Self::Queue, "Queue", "queue"),
        (Self::Experiments, "Experiments", "experiments"),
        (Self::FileServers, "File servers", "fileServers"),
        (Self::Access, "Access", "access"),
        (Self::Usage, "Usage", "usage"),
    ];
}

/// A link.
pub(crate) struct Link {
    pub(crate) text: String,
    pub(crate) path: String,
    pub(crate) is_current: bool,
}

/// The frame of a page.
pub(crate) struct Shell {
    title: String,
    workspace: Option<(WorkspacePath, Tab)>,
    /// What the page is below.
    trail: Vec<Link>,
    /// The API's own answer.
    json: Option<String>,
    /// The command that shows the same.
    command: Option<String>,
    /// Seconds between two updates.
    live: Option<u32>,
}

impl Shell {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        let title = title.into();
        Self { title, workspace: None, trail: Vec::new(), json: None, command: None, live: None }
    }

    pub(crate) fn of(title: impl Into<String>, workspace: &WorkspacePath, tab: Tab) -> Self {
        Self { workspace: Some((workspace.clone(), tab)), ..Self::new(title) }
    }

    /// Adds a page that this one is below.
    pub(crate) fn below(mut self, text: impl Into<String>, path: String) -> Self {
        self.trail.push(Link { text: text.into(), path, is_current: false });
        self
    }

    pub(crate) fn json(mut self, path: String) -> Self {
        self.json = Some(path);
        self
    }

    pub(crate) fn command(mut self, command: String) -> Self {
        self.command = Some(command);
        self
    }

    /// The page is read again after so many seconds, as long as it is visible.
    pub(crate) fn live(mut self, seconds: u32) -> Self {
        self.live = Some(seconds);
        self
    }

    /// The whole page, or its content alone if that is what the page itself asked for, or nothing if that has not changed.
    pub(crate) fn respond(&self, visit: &Visit, content: &impl Template) -> Response {
        if !visit.is_update {
            return self.rendered(content, visit.path.clone());
        }
        let Ok(content) = content.render() else { return unrendered() };
        let tag = tag_of(&content);
        if visit.tag.as_deref() == Some(&tag) {
            return (StatusCode::NOT_MODIFIED, [(TAG, tag_header(&tag))]).into_response();
        }
        ([(TAG, tag_header(&tag))], Html(content)).into_response()
    }

    /// The whole page, which is not live.
    pub(crate) fn whole(&self, content: &impl Template) -> Response {
        self.rendered(content, String::new())
    }

    fn rendered(&self, content: &impl Template, path: String) -> Response {
        let Ok(content) = content.render() else { return unrendered() };
        let tabs = self.workspace.as_ref().map(|(workspace, current)| {
            let link = |(tab, text, segment): (Tab, &str, &str)| Link {
                text: text.to_owned(),
                path: workspace.page(if segment.is_empty() {
                    &[]
                } else {
                    std::slice::from_ref(&segment)
                }),
                is_current: tab == *current,
            };
            Tab::ALL.map(link).into()
        });
        let layout = Layout {
            shell: self,
            tabs: tabs.unwrap_or_default(),
            tag: tag_of(&content),
            content,
            path,
        };
        match layout.render() {
            Ok(page) => Html(page).into_response(),
            Err(_) => unrendered(),
        }
    }
}

fn unrendered() -> Response {
    tracing::error!("a template could not be rendered");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

#[derive(Template)]
#[template(path = "layout.html")]
struct Layout<'a> {
    shell: &'a Shell,
    tabs: Vec<Link>,
    tag: String,
    content: String,
    path: String,
}

impl Layout<'_> {
    fn asset(&self, name: &str) -> String {
        assets::path(name)
    }
}

/// The tag of a content: an update is sent only if it differs from that of the page.
const TAG: HeaderName = HeaderName::from_static("hx-ptag");

fn tag_of(content: &str) -> String {
    hex::encode(&Sha256::digest(content)[..8])
}

fn tag_header(tag: &str) -> HeaderValue {
    HeaderValue::from_str(tag).unwrap_or(HeaderValue::from_static(""))
}

/// A request for a page.
pub(crate) struct Visit {
    pub(crate) api: Api,
    /// Path and query.
    path: String,
    /// Whether the page asks for its own update.
    is_update: bool,
    tag: Option<String>,
}

impl Visit {
    /// Whether changes in this workspace are allowed. Pages show no button that the API would refuse.
    pub(crate) async fn may_write(&self, workspace: &WorkspacePath) -> bool {
        self.may(workspace, |permission| permission.actions.iter().any(|it| it == "*")).await
    }

    /// Whether roles may be granted.
    pub(crate) async fn may_grant(&self, workspace: &WorkspacePath) -> bool {
        let all =
            |it: &Permission| it.actions.iter().any(|it| it == "*") && it.not_actions.is_empty();
        self.may(workspace, all).await
    }

    async fn may(&self, workspace: &WorkspacePath, fits: impl Fn(&Permission) -> bool) -> bool {
        let path = workspace.api(&["providers", "Microsoft.Authorization", "permissions"]);
        let permissions = self.api.list::<Permission>(&path, 10).await;
        permissions.is_ok_and(|found| found.items.iter().any(fits))
    }
}

impl FromRequestParts<Portal> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Infallible> {
        let api = Api::from_request_parts(parts, portal).await?;
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let path = parts
            .extensions
            .get::<axum::extract::OriginalUri>()
            .map_or(&parts.uri, |original| &original.0)
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        let tag = header("hx-ptag").map(str::to_owned);
        Ok(Self { api, path, is_update: header("hx-request").is_some(), tag })
    }
}
