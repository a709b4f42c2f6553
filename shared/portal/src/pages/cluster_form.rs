//! The form that creates a cluster, on the overview, and the deletion of a cluster.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted};
use crate::pages::{cluster::ClusterPath, forms, overview};
use crate::shell::Visit;
use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use resources::FileServer;
use serde::Deserialize;
use serde_json::{Value, json};

/// What is typed. Numbers are texts, so that the form can be shown again with what is no number.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct ClusterForm {
    pub(crate) name: String,
    pub(crate) vm_size: String,
    pub(crate) priority: String,
    pub(crate) minimum: String,
    pub(crate) maximum: String,
    /// The name of a file server of this workspace; empty for none.
    pub(crate) file_server: String,
    pub(crate) mount_path: String,
    pub(crate) user: String,
    pub(crate) key: String,
    password: String,
}

/// As `batchai cluster create` has them, but for nodes that cost less.
impl Default for ClusterForm {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            name: String::new(),
            vm_size: text("STANDARD_NC6"),
            priority: text("lowpriority"),
            minimum: text("0"),
            maximum: text("4"),
            file_server: String::new(),
            mount_path: text("nfs"),
            user: text(forms::ADMINISTRATOR),
            key: String::new(),
            password: String::new(),
        }
    }
}

/// A form, what it offers, and why it was refused.
pub(crate) struct NewCluster {
    pub(crate) form: ClusterForm,
    pub(crate) problem: Option<Failure>,
    /// The names of file servers.
    pub(crate) file_servers: Vec<String>,
}

/// So many file servers can be chosen. A workspace has a few.
const FILE_SERVERS: usize = 100;

/// The sizes of the documentation's examples. The API has no list of sizes.
pub(crate) const SIZES: [&str; 5] =
    ["STANDARD_NC6", "STANDARD_NC24", "STANDARD_D2_V2", "g5.xlarge", "g4dn.12xlarge"];

impl NewCluster {
    /// None if the viewer may not create one.
    pub(crate) async fn of(
        visit: &Visit,
        path: &WorkspacePath,
        refused: Option<(ClusterForm, Failure)>,
    ) -> Result<Option<Self>, Failure> {
        if !visit.may_write(path).await {
            return refused.map_or(Ok(None), |(_, problem)| Err(problem));
        }
        let found = visit.api.list::<FileServer>(&path.api(&["fileServers"]), FILE_SERVERS).await?;
        let file_servers: Vec<String> = found.items.into_iter().map(|it| it.name).collect();
        let (form, problem) = match refused {
            Some((form, problem)) => (form, Some(problem)),
            None => {
                let file_server = file_servers.first().cloned().unwrap_or_default();
                (ClusterForm { file_server, ..ClusterForm::default() }, None)
            }
        };
        Ok(Some(Self { form, problem, file_servers }))
    }
}

pub(crate) async fn create(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
    Form(form): Form<ClusterForm>,
) -> Result<Response, Failure> {
    let name = form.name.trim();
    let target = path.api(&["clusters", name]);
    let created = match form.body(&path) {
        Ok(body) => forms::create(&visit, &target, ("cluster", name), body).await,
        Err(problem) => Err(problem),
    };
    match created {
        Ok(()) => Ok(Redirect::to(&path.page(&["clusters", name])).into_response()),
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => Err(problem),
        Err(problem) => overview::shown(&visit, path, Some((form, problem))).await,
    }
}

pub(crate) async fn delete(
    visit: Visit,
    Path(ClusterPath { workspace: path, cluster }): Path<ClusterPath>,
) -> Result<Redirect, Failure> {
    visit.api.send(Method::DELETE, &path.api(&["clusters", &cluster]), None).await?;
    Ok(Redirect::to(&path.page(&[])))
}

impl ClusterForm {
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn body(&self, path: &WorkspacePath) -> Result<Value, Failure> {
        let scale = json!({
            "minimumNodeCount": forms::number(&self.minimum, "The minimum number of nodes")?,
            "maximumNodeCount": forms::number(&self.maximum, "The maximum number of nodes")?,
        });
        let mut properties = json!({
            "vmSize": self.vm_size.trim(),
            "vmPriority": self.priority,
            "scaleSettings": { "autoScale": scale },
            "userAccountSettings": forms::account(&self.user, &self.key, &self.password),
        });
        if !self.file_server.is_empty() {
            let id = path.api(&["fileServers", &self.file_server]);
            let mount = json!({
                "fileServer": { "id": id },
                "relativeMountPath": self.mount_path.trim(),
                "mountOptions": "rw",
            });
            properties["nodeSetup"] = json!({ "mountVolumes": { "fileServers": [mount] } });
        }
        Ok(json!({ "properties": properties }))
    }

    /// The command that does the same.
    pub(crate) fn command(&self, path: &WorkspacePath) -> String {
        let name = forms::name_or_placeholder(&self.name);
        let size = quoted(&self.vm_size);
        let (priority, minimum, maximum) =
            (quoted(&self.priority), quoted(&self.minimum), quoted(&self.maximum));
        let mount = match (self.file_server.as_str(), self.mount_path.as_str()) {
            ("", _) => String::new(),
            (server, "nfs") => format!(" --nfs {}", quoted(server)),
            (server, mount) => {
                format!(" --nfs {} --nfs-mount-path {}", quoted(server), quoted(mount))
            }
        };
        let account = forms::account_options(&self.user, &self.key);
        format!(
            "batchai cluster create {name} --vm-size {size} --vm-priority {priority} \
             --min {minimum} --max {maximum}{mount}{account} {}",
            path.options()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> WorkspacePath {
        WorkspacePath { subscription: "s".into(), group: "g".into(), workspace: "w".into() }
    }

    #[test]
    fn a_form_is_the_body_of_a_request() {
        let form = ClusterForm {
            name: "spot".into(),
            file_server: "nfs".into(),
            key: "ssh-ed25519 A".into(),
            ..ClusterForm::default()
        };
        insta::assert_snapshot!(form.body(&path()).unwrap(), @r#"{"properties":{"nodeSetup":{"mountVolumes":{"fileServers":[{"fileServer":{"id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/fileServers/nfs"},"mountOptions":"rw","relativeMountPath":"nfs"}]}},"scaleSettings":{"autoScale":{"maximumNodeCount":4,"minimumNodeCount":0}},"userAccountSettings":{"adminUserName":"batchai","adminUserSshPublicKey":"ssh-ed25519 A"},"vmPriority":"lowpriority","vmSize":"STANDARD_NC6"}}"#);
        insta::assert_snapshot!(form.command(&path()), @"batchai cluster create spot --vm-size STANDARD_NC6 --vm-priority lowpriority --min 0 --max 4 --nfs nfs --ssh-key 'ssh-ed25519 A' -g g -w w");
    }

    #[test]
    fn a_cluster_without_a_file_server_has_no_mount() {
        let form = ClusterForm::default();
        assert!(form.body(&path()).unwrap()["properties"]["nodeSetup"].is_null());
        assert!(form.command(&path()).starts_with("batchai cluster create NAME "));
        let form = ClusterForm { maximum: "many".into(), ..form };
        assert!(form.body(&path()).unwrap_err().message.contains("maximum"));
    }
}
