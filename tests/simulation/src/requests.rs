//! Requests of users, carried out on the services behind the API.

use crate::scenario::Place;
use crate::script::{JobOrder, What};
use control::clusters::Clusters;
use control::jobs::ExperimentPath;
use control::operations::{PutOutcome, StartedOperation};
use control::{Control, Error};
use model::{
    ClusterExtensions, FileServerSpec, Name, Role, ScaleSettings, Scope, Toolkit, Uid, UserAccount,
    WorkspaceNames,
};
use std::sync::LazyLock;
use wire::{
    ClusterId, ClusterRequest, ClusterUpdate, FileServerId, FileServerMountRequest, ImageReference,
    JobRequest, MountsRequest, RoleAssignmentRequest, SetupTaskRequest, WorkspaceCreate,
};

/// What a user was answered.
#[derive(Clone, Debug)]
pub enum Answer {
    Done,
    /// There was nothing to do.
    Nothing,
    /// This operation completes later.
    Operation(Uid),
}

impl From<Option<StartedOperation>> for Answer {
    fn from(started: Option<StartedOperation>) -> Self {
        match started {
            None => Self::Nothing,
            Some(StartedOperation { completed: Some(_), .. }) => Self::Done,
            Some(StartedOperation { operation, .. }) => Self::Operation(operation),
        }
    }
}

impl<T> From<PutOutcome<T>> for Answer {
    fn from(put: PutOutcome<T>) -> Self {
        match put {
            PutOutcome::Accepted(started) => Some(started).into(),
            PutOutcome::Unchanged(_) => Self::Done,
        }
    }
}

/// Carries out one request.
///
/// # Errors
/// Those of the service.
pub async fn carry_out(control: &Control, place: &Place, what: &What) -> Result<Answer, Error> {
    let names = |it: usize| &place.workspaces[it];
    match what {
        What::PutWorkspace(it) => {
            let request = WorkspaceCreate { location: "here".to_owned(), tags: None };
            control.workspaces.put(names(*it), &request).await.map(|_| Answer::Done)
        }
        What::PutExperiment(it) => {
            let child = &place.experiments[*it];
            let put = control.experiments.put(names(child.workspace), &child.name);
            put.await.map(|_| Answer::Done)
        }
        What::PutFileServer(it) => {
            let child = &place.file_servers[*it];
            let spec = file_server_spec();
            control
                .file_servers
                .put(names(child.workspace), &child.name, &spec)
                .await
                .map(Into::into)
        }
        What::PutCluster(it, scale) => {
            let slot = &place.clusters[*it];
            let request = cluster_request(place, *it, *scale);
            control.clusters.put(names(slot.workspace), &slot.name, &request).await.map(Into::into)
        }
        What::Resize { cluster, scale } => {
            let slot = &place.clusters[*cluster];
            let update = ClusterUpdate { scale: Some(*scale), extensions: None };
            let resized = control.clusters.update(names(slot.workspace), &slot.name, update);
            resized.await.map(|_| Answer::Done)
        }
        What::ReadCluster(it) => read_cluster(&control.clusters, place, *it).await,
        What::DeleteCluster(it) => {
            let slot = &place.clusters[*it];
            control.clusters.delete(names(slot.workspace), &slot.name).await.map(Into::into)
        }
        What::DeleteFileServer(it) => {
            let child = &place.file_servers[*it];
            control.file_servers.delete(names(child.workspace), &child.name).await.map(Into::into)
        }
        What::DeleteExperiment(it) => {
            let child = &place.experiments[*it];
            control.experiments.delete(names(child.workspace), &child.name).await.map(Into::into)
        }
        What::DeleteWorkspace(it) => control.workspaces.delete(names(*it)).await.map(Into::into),
        What::DeleteGroup(it) => {
            let WorkspaceNames { subscription, resource_group, .. } = names(*it);
            control.resource_groups.delete(subscription, resource_group).await.map(Into::into)
        }
        What::Tag(it) => control.workspaces.tag(names(*it), None).await.map(|_| Answer::Done),
        What::Submit(_) | What::Terminate { .. } | What::DeleteJob { .. } => {
            carry_out_job(control, place, what).await
        }
        _ => carry_out_access(control, place, what).await,
    }
}

async fn carry_out_job(control: &Control, place: &Place, what: &What) -> Result<Answer, Error> {
    match what {
        What::Submit(order) => {
            let path = experiment_path(place, order.experiment);
            let name = Name::new(format!("j{}", order.number));
            let request = job_request(place, order);
            control.jobs.put(&path, &name, &request).await.map(Into::into)
        }
        What::Terminate { job, .. } => {
            let name = Name::new(format!("j{job}"));
            let mut answer = Ok(Answer::Nothing);
            for experiment in 0..place.experiments.len() {
                let path = experiment_path(place, experiment);
                match control.jobs.terminate(&path, &name).await {
                    Err(Error::Api(_)) => {}
                    other => answer = other.map(Into::into),
                }
            }
            answer
        }
        What::DeleteJob { job, then_terminate } => {
            let name = Name::new(format!("j{job}"));
            let mut answer = Ok(Answer::Nothing);
            for experiment in 0..place.experiments.len() {
                let path = experiment_path(place, experiment);
                match control.jobs.delete(&path, &name).await {
                    Err(Error::Api(_)) | Ok(None) => {}
                    other => answer = other.map(Into::into),
                }
                if *then_terminate {
                    let _ = control.jobs.terminate(&path, &name).await;
                }
            }
            answer
        }
        _ => Ok(Answer::Nothing),
    }
}

async fn carry_out_access(control: &Control, place: &Place, what: &What) -> Result<Answer, Error> {
    match what {
        What::Grant { workspace, level, principal } => {
            let (scope, id) = grant(place, *workspace, *level, *principal);
            let role = [Role::Reader, Role::Contributor][*principal as usize % 2];
            let request = RoleAssignmentRequest { role, principal: principal_uid(*principal) };
            control.roles.put(&scope, &id, &request).await.map(|_| Answer::Done)
        }
        What::Revoke { workspace, level, principal } => {
            let (scope, id) = grant(place, *workspace, *level, *principal);
            control.roles.delete(&scope, &id).await.map(|_| Answer::Done)
        }
        What::CreateToken(number) => {
            control.tokens.create(&format!("t{number}"), None).await.map(|_| Answer::Done)
        }
        What::RevokeToken(number) => {
            control.tokens.revoke(&format!("t{number}")).await.map(|()| Answer::Done)
        }
        _ => Ok(Answer::Nothing),
    }
}

async fn read_cluster(clusters: &Clusters, place: &Place, it: usize) -> Result<Answer, Error> {
    let slot = &place.clusters[it];
    clusters.get(&place.workspaces[slot.workspace], &slot.name).await.map(|_| Answer::Done)
}

fn principal_uid(number: u32) -> Uid {
    Uid::from_bytes([number as u8 + 1; 16])
}

fn grant(place: &Place, workspace: usize, level: u8, principal: u32) -> (Scope, Uid) {
    let names = &place.workspaces[workspace];
    let scope = match level {
        0 => Scope::subscription(names.subscription.clone()),
        1 => Scope::resource_group(names.subscription.clone(), names.resource_group.clone()),
        _ => Scope::from(names),
    };
    (scope, Uid::from_bytes([17 * (level + 1) + principal as u8; 16]))
}

fn experiment_path(place: &Place, experiment: usize) -> ExperimentPath {
    let child = &place.experiments[experiment];
    let workspace = place.workspaces[child.workspace].clone();
    ExperimentPath { workspace, experiment: child.name.clone() }
}

fn account() -> UserAccount {
    UserAccount { admin_user_name: "u".to_owned(), admin_user_ssh_public_key: None }
}

fn file_server_spec() -> FileServerSpec {
    FileServerSpec {
        vm_size: "STANDARD_D1".to_owned(),
        public_ips_to_allow: None,
        user_account: account(),
        disk_size_in_gb: 1,
        disk_count: 1,
        caching_type: "none".to_owned(),
        storage_account_type: "Standard_LRS".to_owned(),
        subnet_id: None,
    }
}

fn mounts(place: &Place, servers: &[usize]) -> Option<MountsRequest> {
    let mount = |it: &usize| {
        let child = &place.file_servers[*it];
        let names = place.workspaces[child.workspace].clone();
        let server = FileServerId { names, name: child.name.clone() };
        FileServerMountRequest {
            id: server.to_string(),
            server,
            source_directory: None,
            relative_mount_path: format!("f{it}"),
            mount_options: None,
        }
    };
    (!servers.is_empty()).then(|| {
        let mut mounts = NO_MOUNTS.clone();
        mounts.file_servers = servers.iter().map(mount).collect();
        mounts
    })
}

/// Parsed once: a request cannot be put together without a body that it came from.
static NO_MOUNTS: LazyLock<MountsRequest> = LazyLock::new(|| {
    let body = r#"{"properties": {
        "cluster": {"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c"},
        "nodeCount": 1,
        "stdOutErrPathPrefix": "/out",
        "customToolkitSettings": {"commandLine": "true"},
        "mountVolumes": {}
    }}"#;
    let request = wire::parse_job_create(body.as_bytes()).expect("a valid body");
    request.mounts.expect("it has mounts")
});

fn cluster_request(place: &Place, cluster: usize, scale: ScaleSettings) -> ClusterRequest {
    let slot = &place.clusters[cluster];
    let setup_task = slot.setup_fails.then(|| SetupTaskRequest {
        command_line: "false".to_owned(),
        environment: Vec::new(),
        secrets: Vec::new(),
        std_out_err_path_prefix: "/out".to_owned(),
    });
    ClusterRequest {
        vm_size: "STANDARD_D1".to_owned(),
        vm_priority: slot.priority,
        scale,
        image: ImageReference::default(),
        user_account: account(),
        setup_task,
        mounts: mounts(place, &slot.mounts),
        performance_counters: None,
        subnet_id: None,
        extensions: ClusterExtensions::default(),
    }
}

fn job_request(place: &Place, order: &JobOrder) -> JobRequest {
    let slot = &place.clusters[order.cluster];
    let names = place.workspaces[slot.workspace].clone();
    let JobOrder { exit_code, millis, stop_millis, .. } = order;
    JobRequest {
        cluster: ClusterId { names, name: slot.name.clone() },
        priority: order.priority,
        node_count: order.nodes,
        container: None,
        toolkit: Toolkit::custom(format!("simulate {exit_code} {millis} {stop_millis}")),
        preparation: order.preparation.map(|code| format!("prepare {code}")),
        std_out_err_path_prefix: "/out".to_owned(),
        mounts: mounts(place, order.mounts.as_slice()),
        input_directories: None,
        output_directories: None,
        environment: None,
        secrets: None,
        max_wall_clock_seconds: order.wall_clock_seconds,
        max_retries: (order.max_retries > 0).then_some(order.max_retries),
    }
}
