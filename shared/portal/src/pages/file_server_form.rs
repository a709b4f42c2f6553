//! The form that creates a file server, and the deletion of one.

use crate::failure::Failure;
use crate::links::{WorkspacePath, quoted};
use crate::pages::file_server::FileServerPath;
use crate::pages::{file_servers, forms};
use crate::shell::Visit;
use axum::Form;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

/// What is typed. Numbers are texts, so that the form can be shown again with what is no number.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub(crate) struct FileServerForm {
    pub(crate) name: String,
    pub(crate) vm_size: String,
    pub(crate) disk_count: String,
    pub(crate) disk_size: String,
    pub(crate) storage: String,
    pub(crate) caching: String,
    pub(crate) user: String,
    pub(crate) key: String,
    password: String,
    /// Present if the files are kept when the file server is deleted.
    pub(crate) keep_data: Option<String>,
}

/// The types of disks and of their cache.
pub(crate) const STORAGES: [&str; 2] = ["Standard_LRS", "Premium_LRS"];
pub(crate) const CACHINGS: [&str; 3] = ["none", "readonly", "readwrite"];

/// As `batchai file-server create` has them.
impl Default for FileServerForm {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            name: String::new(),
            vm_size: text("STANDARD_DS1_V2"),
            disk_count: text("1"),
            disk_size: text("32"),
            storage: text(STORAGES[0]),
            caching: text(CACHINGS[0]),
            user: text(forms::ADMINISTRATOR),
            key: String::new(),
            password: String::new(),
            keep_data: None,
        }
    }
}

pub(crate) async fn create(
    visit: Visit,
    Path(path): Path<WorkspacePath>,
    Form(form): Form<FileServerForm>,
) -> Result<Response, Failure> {
    let name = form.name.trim();
    let target = path.api(&["fileServers", name]);
    let created = match form.body() {
        Ok(body) => forms::create(&visit, &target, ("file server", name), body).await,
        Err(problem) => Err(problem),
    };
    match created {
        Ok(()) => Ok(Redirect::to(&path.page(&["fileServers", name])).into_response()),
        Err(problem) if problem.status == StatusCode::UNAUTHORIZED => Err(problem),
        Err(problem) => file_servers::shown(&visit, path, Some((form, problem))).await,
    }
}

pub(crate) async fn remove(
    visit: Visit,
    Path(FileServerPath { workspace: path, server }): Path<FileServerPath>,
) -> Result<Redirect, Failure> {
    visit.api.send(Method::DELETE, &path.api(&["fileServers", &server]), None).await?;
    Ok(Redirect::to(&path.page(&["fileServers"])))
}

impl FileServerForm {
    fn body(&self) -> Result<Value, Failure> {
        let account = forms::account(&self.user, &self.key, &self.password);
        let mut properties = json!({
            "vmSize": self.vm_size.trim(),
            "sshConfiguration": { "userAccountSettings": account },
            "dataDisks": {
                "diskSizeInGB": forms::number(&self.disk_size, "The size of a disk")?,
                "cachingType": self.caching,
                "diskCount": forms::number(&self.disk_count, "The number of disks")?,
                "storageAccountType": self.storage,
            },
        });
        if self.keep_data.is_some() {
            properties["extensions"] = json!({ "dataRetention": "keep" });
        }
        Ok(json!({ "properties": properties }))
    }

    /// The command that does the same. It leaves out what it has as default.
    pub(crate) fn command(&self, path: &WorkspacePath) -> String {
        let usual = Self::default();
        let options = [
            (" --vm-size", &self.vm_size, &usual.vm_size),
            (" --disk-count", &self.disk_count, &usual.disk_count),
            (" --disk-size", &self.disk_size, &usual.disk_size),
            (" --storage-sku", &self.storage, &usual.storage),
            (" --caching-type", &self.caching, &usual.caching),
        ];
        let options = options.into_iter().filter(|(_, value, usual)| value != usual);
        let options: String =
            options.map(|(name, value, _)| format!("{name} {}", quoted(value))).collect();
        let keep = if self.keep_data.is_some() { " --keep-data" } else { "" };
        let (name, account) =
            (forms::name_or_placeholder(&self.name), forms::account_options(&self.user, &self.key));
        format!("batchai file-server create {name}{options}{account}{keep} {}", path.options())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_the_body_of_a_request_and_a_command() {
        let path =
            WorkspacePath { subscription: "s".into(), group: "g".into(), workspace: "w".into() };
        let form = FileServerForm {
            disk_count: "2".into(),
            key: "ssh-ed25519 A".into(),
            keep_data: Some("on".into()),
            ..FileServerForm::default()
        };
        insta::assert_snapshot!(form.body().unwrap(), @r#"{"properties":{"dataDisks":{"cachingType":"none","diskCount":2,"diskSizeInGB":32,"storageAccountType":"Standard_LRS"},"extensions":{"dataRetention":"keep"},"sshConfiguration":{"userAccountSettings":{"adminUserName":"batchai","adminUserSshPublicKey":"ssh-ed25519 A"}},"vmSize":"STANDARD_DS1_V2"}}"#);
        insta::assert_snapshot!(form.command(&path), @"batchai file-server create NAME --disk-count 2 --ssh-key 'ssh-ed25519 A' --keep-data -g g -w w");
        let form = FileServerForm { disk_size: "big".into(), ..form };
        assert_eq!(form.body().unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
