//! ARM ids and types, and other texts that are built from names and uids: directories on shared
//! storage, entity tags (docs/contract.md, "Names and ids").
//!
//! Literal segments of ids match in any case and are written in one spelling.

use crate::names;
use model::{Cluster, Job, JobNames, Name, Role, Scope, Uid, WorkspaceNames};
use std::fmt;

/// The type of workspaces.
pub const WORKSPACE_TYPE: &str = "Microsoft.BatchAI/workspaces";
/// The type of resource groups.
pub const RESOURCE_GROUP_TYPE: &str = "Microsoft.Resources/resourceGroups";
/// The type of clusters.
pub const CLUSTER_TYPE: &str = "Microsoft.BatchAI/workspaces/clusters";
/// The type of file servers. In lower case, unlike in request paths, as the Batch AI service wrote it.
pub const FILE_SERVER_TYPE: &str = "Microsoft.BatchAI/workspaces/fileservers";
/// The type of experiments.
pub const EXPERIMENT_TYPE: &str = "Microsoft.BatchAI/workspaces/experiments";
/// The type of jobs.
pub const JOB_TYPE: &str = "Microsoft.BatchAI/workspaces/experiments/jobs";

/// The parsed id of a cluster. Ids that differ only in case are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId {
    /// The workspace of the resource.
    pub names: WorkspaceNames,
    /// The name of the resource in its workspace.
    pub name: Name,
}

/// The parsed id of a file server. Ids that differ only in case are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileServerId {
    /// The workspace of the resource.
    pub names: WorkspaceNames,
    /// The name of the resource in its workspace.
    pub name: Name,
}

impl ClusterId {
    /// `None` if the text is not such an id.
    pub fn parse(text: &str) -> Option<Self> {
        let (names, name) = parse_child(text, "clusters")?;
        Some(Self { names, name })
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&cluster_id(&self.names, &self.name))
    }
}

impl FileServerId {
    /// `None` if the text is not such an id.
    pub fn parse(text: &str) -> Option<Self> {
        let (names, name) = parse_child(text, "fileservers")?;
        Some(Self { names, name })
    }
}

impl fmt::Display for FileServerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&file_server_id(&self.names, &self.name))
    }
}

/// `/subscriptions/{}/resourceGroups/{}/providers/Microsoft.BatchAI/workspaces/{}/{kind}/{}`.
/// The singular `workspace` is accepted too: examples of the swagger have it, which users copy
/// (docs/contract.md, "Names and ids").
fn parse_child(text: &str, kind: &str) -> Option<(WorkspaceNames, Name)> {
    let segments: Vec<&str> = text.trim_matches('/').split('/').collect();
    let [
        subscriptions,
        subscription,
        groups,
        group,
        providers,
        provider,
        parents,
        parent,
        kinds,
        name,
    ] = segments.as_slice()
    else {
        return None;
    };
    let literals = subscriptions.eq_ignore_ascii_case("subscriptions")
        && groups.eq_ignore_ascii_case("resourceGroups")
        && providers.eq_ignore_ascii_case("providers")
        && provider.eq_ignore_ascii_case("Microsoft.BatchAI")
        && (parents.eq_ignore_ascii_case("workspaces")
            || parents.eq_ignore_ascii_case("workspace"))
        && kinds.eq_ignore_ascii_case(kind);
    let named = names::is_resource_name(parent) && names::is_resource_name(name);
    if !literals || !named {
        return None;
    }
    let workspace = WorkspaceNames {
        subscription: names::subscription_id(subscription).ok()?,
        resource_group: names::resource_group_name(group).ok()?,
        workspace: Name::new(*parent),
    };
    Some((workspace, Name::new(*name)))
}

/// The id of a resource group.
pub fn resource_group_id(subscription: &Name, name: &Name) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{name}")
}

/// The id of a scope of role assignments.
pub fn scope_id(scope: &Scope) -> String {
    let Scope { subscription, resource_group, workspace } = scope;
    match (resource_group, workspace) {
        (None, _) => format!("/subscriptions/{subscription}"),
        (Some(group), None) => resource_group_id(subscription, group),
        (Some(group), Some(workspace)) => workspace_id(&WorkspaceNames {
            subscription: subscription.clone(),
            resource_group: group.clone(),
            workspace: workspace.clone(),
        }),
    }
}

/// The id of a role in a subscription.
pub fn role_definition_id(subscription: &Name, role: Role) -> String {
    format!(
        "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{}",
        role.definition()
    )
}

/// The id of a workspace.
pub fn workspace_id(names: &WorkspaceNames) -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.BatchAI/workspaces/{}",
        names.subscription, names.resource_group, names.workspace
    )
}

/// The id of a cluster.
pub fn cluster_id(names: &WorkspaceNames, name: &Name) -> String {
    format!("{}/clusters/{name}", workspace_id(names))
}

/// The id of a file server.
pub fn file_server_id(names: &WorkspaceNames, name: &Name) -> String {
    format!("{}/fileservers/{name}", workspace_id(names))
}

/// The id of an experiment.
pub fn experiment_id(names: &WorkspaceNames, name: &Name) -> String {
    format!("{}/experiments/{name}", workspace_id(names))
}

/// The id of a job.
pub fn job_id(names: &JobNames) -> String {
    format!("{}/jobs/{}", experiment_id(&names.workspace, &names.experiment), names.job)
}

/// `jobOutputDirectoryPathSegment`: the directory of this job's output below a path prefix,
/// `{sub}/{rg}/workspaces/{ws}/experiments/{exp}/jobs/{job}/{uid}`.
pub fn job_output_path_segment(job: &Job) -> String {
    let JobNames { workspace: names, experiment, job: name } = &job.names;
    format!("{}/experiments/{experiment}/jobs/{name}/{}", directory(names), job.uid)
}

/// `nodeSetup.setupTask.stdOutErrPathSuffix`: `{sub}/{rg}/workspaces/{ws}/clusters/{name}/{uid}`.
pub fn setup_output_path_suffix(names: &WorkspaceNames, cluster: &Name, uid: &Uid) -> String {
    format!("{}/clusters/{cluster}/{uid}", directory(names))
}

fn directory(names: &WorkspaceNames) -> String {
    format!("{}/{}/workspaces/{}", names.subscription, names.resource_group, names.workspace)
}

/// The subnet of a file server that was created without one. The Batch AI service created a network for
/// each (docs/contract.md, "File servers").
pub fn own_subnet_id(subscription: &Name, file_server: &Uid) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/fileserverrg-{file_server}/providers/Microsoft.Network/virtualNetworks/{file_server}vnet/subnets/Subnet-1"
    )
}

/// `ETag` in the form of the Batch AI service, `"0x8D5CBF6DC57FB16"`, with its quotes
/// (docs/contract.md, "REST conventions").
pub fn etag(uid: &Uid) -> String {
    let digits: String = uid.as_str().chars().filter(|c| *c != '-').take(16).collect();
    format!("\"0x{}\"", digits.to_ascii_uppercase())
}

/// The id of an existing cluster in the service's own spelling.
pub fn id_of_cluster(cluster: &Cluster) -> String {
    cluster_id(&cluster.names, &cluster.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{cluster, job, names, uid};

    const PREFIX: &str = "/subscriptions/0/resourceGroups/g/providers/Microsoft.BatchAI";

    #[test]
    fn ids_as_clients_write_them() {
        let cluster = |rest: &str| ClusterId::parse(&format!("{PREFIX}/{rest}"));
        let expected = cluster("workspaces/demo/clusters/c");
        assert!(expected.is_some());
        for other in ["workspace/demo/clusters/c", "WORKSPACES/Demo/Clusters/C/"] {
            assert_eq!(cluster(other), expected, "{other}");
        }
        for wrong in [
            "clusters/c",
            "workspaces/demo/fileservers/c",
            "workspaces/demo/clusters/c/d",
            "workspaces/demo/clusters/",
            "workspaces/../clusters/c",
        ] {
            assert_eq!(cluster(wrong), None, "{wrong}");
        }
        let server = FileServerId::parse(&format!("{PREFIX}/workspaces/demo/fileServers/nfs"));
        assert_eq!(
            server.map(|id| id.to_string()),
            Some(format!("{PREFIX}/workspaces/demo/fileservers/nfs"))
        );
        assert_eq!(ClusterId::parse("gpus"), None);
        assert_eq!(ClusterId::parse(""), None);
    }

    #[test]
    fn names_that_are_built_from_names() {
        let written = [
            id_of_cluster(&cluster()),
            job_id(&job().names),
            names().operation_key(),
            names().child_operation_key(&cluster().name),
            job().names.operation_key(),
            job_output_path_segment(&job()),
            setup_output_path_suffix(&names(), &cluster().name, &uid(2)),
            etag(&uid(0xab)),
        ];
        insta::assert_snapshot!(written.join("\n"), @r#"
        /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/clusters/gpus
        /subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo_group/providers/Microsoft.BatchAI/workspaces/demo/experiments/first/jobs/train
        00000000-0000-0000-0000-000000000000$demo_group$demo
        00000000-0000-0000-0000-000000000000$demo_group$demo$gpus
        00000000-0000-0000-0000-000000000000$demo_group$demo$first$train
        00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/experiments/first/jobs/train/05050505-0505-4505-8505-050505050505
        00000000-0000-0000-0000-000000000000/demo_group/workspaces/demo/clusters/gpus/02020202-0202-4202-8202-020202020202
        "0xABABABABABAB4BAB"
        "#);
    }
}
