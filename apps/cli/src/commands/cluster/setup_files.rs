//! `batchai cluster file list`: the logs of the set-up task, which are on a file server.

use crate::client::Address;
use crate::context::Context;
use crate::exit::Exit;
use anyhow::{Context as _, Result, bail};
use resources::File;
use serde::Deserialize;

/// What a cluster says about its set-up task and its mounts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    name: String,
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    node_setup: NodeSetup,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSetup {
    setup_task: Option<SetupTask>,
    mount_volumes: MountVolumes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetupTask {
    std_out_err_path_prefix: String,
    #[serde(default)]
    std_out_err_path_suffix: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MountVolumes {
    file_servers: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mount {
    file_server: Reference,
    #[serde(default)]
    source_directory: String,
    relative_mount_path: String,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

/// Lists the directory `path` below the output of the set-up task, with links that are valid for `minutes`.
pub async fn list(context: &Context, cluster: &Address, path: &str, minutes: u32) -> Result<Exit> {
    let description: Description = context.client.get(cluster).await?.read()?;
    let (server, directory) = location(&description)?;
    let directory = join([directory.as_str(), path]);
    let address = Address::of_id(&server).join(&["listFiles"]);
    let minutes = minutes.to_string();
    let parameters = [("directory", directory.as_str()), ("linkexpiryinminutes", &minutes)];
    let files = context.client.list_by_post(&address, &parameters).await?;
    context.output.sorted_list::<File>(files, "No files.")?;
    Ok(Exit::SUCCESS)
}

/// The id of the file server with the logs, and their directory there.
fn location(cluster: &Description) -> Result<(String, String)> {
    let NodeSetup { setup_task, mount_volumes } = &cluster.properties.node_setup;
    let name = &cluster.name;
    let task = setup_task.as_ref().with_context(|| format!("{name} has no set-up task"))?;
    let prefix = task.std_out_err_path_prefix.as_str();
    let roots = ["$AZ_BATCHAI_MOUNT_ROOT/", "${AZ_BATCHAI_MOUNT_ROOT}/"];
    let below = roots.iter().find_map(|root| prefix.strip_prefix(root));
    let mut mounts = mount_volumes.file_servers.iter();
    let found =
        below.and_then(|below| mounts.find_map(|mount| Some((mount, below_mount(below, mount)?))));
    let Some((mount, rest)) = found else {
        bail!("the output of the set-up task of {name} is not on a file server: {prefix}");
    };
    let directory = join([&mount.source_directory, rest, &task.std_out_err_path_suffix]);
    Ok((mount.file_server.id.clone(), directory))
}

/// The rest of a path that is on the mount.
fn below_mount<'a>(path: &'a str, mount: &Mount) -> Option<&'a str> {
    let rest = path.strip_prefix(mount.relative_mount_path.trim_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn join<const N: usize>(parts: [&str; N]) -> String {
    let names = parts.iter().flat_map(|part| part.split('/'));
    let names: Vec<_> = names.filter(|name| !["", "."].contains(name)).collect();
    if names.is_empty() { ".".to_owned() } else { names.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(prefix: &str) -> Result<String, String> {
        let cluster = json!({ "name": "c", "properties": { "nodeSetup": {
            "setupTask": { "commandLine": "true", "stdOutErrPathPrefix": prefix,
                "stdOutErrPathSuffix": "s/g/workspaces/w/clusters/c/u" },
            "mountVolumes": { "fileServers": [
                { "fileServer": { "id": "/fs/other" }, "relativeMountPath": "nf" },
                { "fileServer": { "id": "/fs/nfs" }, "relativeMountPath": "nfs",
                  "sourceDirectory": "/data/" },
            ]},
        }}});
        let description: Description = serde_json::from_value(cluster).unwrap();
        match location(&description) {
            Ok((server, directory)) => Ok(format!("{server} {directory}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_logs_are_found_on_their_file_server() {
        let expected = "/fs/nfs data/logs/s/g/workspaces/w/clusters/c/u";
        assert_eq!(place("$AZ_BATCHAI_MOUNT_ROOT/nfs/logs").unwrap(), expected);
        assert_eq!(place("${AZ_BATCHAI_MOUNT_ROOT}/nfs/logs/").unwrap(), expected);
        assert!(place("$AZ_BATCHAI_MOUNT_ROOT/nf").unwrap().starts_with("/fs/other s/g/"));
    }

    #[test]
    fn other_places_are_refused() {
        insta::assert_snapshot!(place("/tmp").unwrap_err(), @"the output of the set-up task of c is not on a file server: /tmp");
        assert!(place("$AZ_BATCHAI_MOUNT_ROOT/nfsx").is_err());
        let bare: Description =
            serde_json::from_value(json!({ "name": "c", "properties": {} })).unwrap();
        assert_eq!(location(&bare).unwrap_err().to_string(), "c has no set-up task");
    }
}
