//! The columns of each kind of resource.

mod cluster;
mod ended_nodes;
mod job;
mod metric;
mod node;

pub use cluster::nodes;
pub use job::{on_nodes, state_style};

use super::{Column, Style, View};
use jiff::Timestamp;
use resources::{
    BasicProperties, File, FileServer, Resource, ResourceGroup, RoleAssignment, Token, Usage, role,
    time,
};

/// Workspaces and experiments.
impl View for Resource<BasicProperties> {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let tags: Vec<_> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            Column::new("name", &self.name).key(),
            Column::new("location", self.location.clone().unwrap_or_default()),
            provisioning(&self.properties.provisioning_state),
            when("created", self.properties.creation_time.as_deref(), now),
            Column::new("tags", tags.join(" ")).note(),
        ]
    }

    fn details(&self, _now: Timestamp) -> Vec<Column> {
        vec![Column::new("id", &self.id)]
    }
}

impl View for FileServer {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let mount = self.properties.mount_settings.as_ref();
        let export = mount.map(|mount| format!("{}:{}", mount.internal_ip, mount.mount_point));
        let path = self.properties.extensions.local_path.clone().or(export);
        vec![
            Column::new("name", &self.name).key(),
            provisioning(&self.properties.provisioning_state),
            when("created", self.properties.creation_time.as_deref(), now).minor(),
            Column::new("path", path.unwrap_or_default()).key(),
        ]
    }

    fn details(&self, _now: Timestamp) -> Vec<Column> {
        vec![Column::new("id", &self.id)]
    }
}

impl View for ResourceGroup {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        vec![
            Column::new("name", &self.name).key(),
            Column::new("location", &self.location),
            provisioning(&self.properties.provisioning_state.to_ascii_lowercase()),
        ]
    }
}

impl View for RoleAssignment {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        vec![
            Column::new("role", role::name(&self.properties.role_definition_id)).key(),
            Column::new("scope", &self.properties.scope),
            Column::new("id", &self.name).key(),
        ]
    }
}

impl View for Token {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        vec![
            Column::new("name", &self.name).key(),
            Column::new("principal", &self.principal_id).minor(),
            when("created", self.created_on.as_deref(), now),
            Column::new("expires", self.expires_on.clone().unwrap_or_default()),
        ]
    }
}

impl View for Usage {
    fn name(&self) -> &str {
        &self.name.localized_value
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        vec![
            Column::new("quota", &self.name.localized_value).key(),
            Column::new("used", self.current_value.to_string()),
            Column::new("limit", self.limit.to_string()),
        ]
    }
}

impl View for File {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let slash = if self.is_directory() { "/" } else { "" };
        let size = self.properties.content_length.map(|bytes| bytes.to_string());
        vec![
            Column::new("name", format!("{}{slash}", self.name)).key(),
            Column::new("bytes", size.unwrap_or_default()),
            when("modified", self.properties.last_modified.as_deref(), now),
        ]
    }
}

fn provisioning(state: &str) -> Column {
    let style = match state {
        "succeeded" => Style::Good,
        "failed" => Style::Bad,
        _ => Style::Waiting,
    };
    Column::new("state", state).styled(style)
}

/// A time: relative to now, and exactly in the wide table.
fn when(title: &'static str, time: Option<&str>, now: Timestamp) -> Column {
    Column::new(title, time::ago(time, now)).exact(time.unwrap_or_default())
}

fn last_segment(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table;
    use serde_json::{Value, json};

    pub fn now() -> Timestamp {
        time::parse("2026-01-01T00:10:00Z").unwrap()
    }

    pub fn rows_of<V: View>(resources: Vec<Value>) -> String {
        let rows: Vec<_> = resources
            .into_iter()
            .map(|json| serde_json::from_value::<V>(json).unwrap().columns(now()))
            .collect();
        table::rows(&rows, &table::Layout::PLAIN)
    }

    #[test]
    fn file_servers_show_where_their_files_are() {
        let here = json!({ "name": "here", "properties": { "provisioningState": "succeeded",
            "mountSettings": { "mountPoint": "/data", "fileServerPublicIP": "1.2.3.4",
                "fileServerInternalIP": "10.0.0.4" },
            "extensions": { "localPath": "/home/a/.local/share/batchai/files/here" } }});
        let mut there = here.clone();
        there["name"] = json!("there");
        there["properties"]["extensions"] = json!({});
        insta::assert_snapshot!(rows_of::<FileServer>(vec![here, there]), @"
        NAME   STATE      PATH
        here   succeeded  /home/a/.local/share/batchai/files/here
        there  succeeded  10.0.0.4:/data
        ");
    }

    #[test]
    fn directories_end_with_a_slash() {
        insta::assert_snapshot!(rows_of::<File>(vec![
            json!({ "name": "attempt-1", "fileType": "directory" }),
            json!({ "name": "stdout.txt", "fileType": "file", "downloadUrl": "http://x",
                "properties": { "lastModified": "2026-01-01T00:09:00Z", "contentLength": 12345 } }),
        ]), @"
        NAME        BYTES  MODIFIED
        attempt-1/
        stdout.txt  12345  1m ago
        ");
    }
}
