//! Carries out the requests of users on the services behind the API.

use crate::scenario::Layout;
use crate::script::{GrantKey, JobSpec, UserRequest};
use crate::toolkits;
use control::clusters::Clusters;
use control::jobs::ExperimentPath;
use control::operations::{PutOutcome, StartedOperation};
use control::{Control, Error};
use model::{
    ClusterExtensions, EarlyStopping, FileServerSpec, Goal, Name, Objective, Principal, Role,
    ScaleSettings, Scope, SweepRun, Uid, UserAccount, WorkspaceNames,
};
use std::sync::LazyLock;
use wire::{
    ClusterId, ClusterRequest, ClusterUpdate, FileServerId, FileServerMountRequest, ImageReference,
    JobRequest, MountsRequest, RoleAssignmentRequest, SetupTaskRequest, WorkspaceCreate,
};

/// The answer to a user.
#[derive(Clone, Debug)]
pub enum Answer {
    Completed,
    /// The request changed nothing.
    Nothing,
    /// This operation completes later.
    Operation(Uid),
}

impl From<Option<StartedOperation>> for Answer {
    fn from(started: Option<StartedOperation>) -> Self {
        match started {
            None => Self::Nothing,
            Some(StartedOperation { completed: Some(_), .. }) => Self::Completed,
            Some(StartedOperation { operation, .. }) => Self::Operation(operation),
        }
    }
}

impl<T> From<PutOutcome<T>> for Answer {
    fn from(put: PutOutcome<T>) -> Self {
        match put {
            PutOutcome::Accepted(started) => Some(started).into(),
            PutOutcome::Unchanged(_) => Self::Completed,
        }
    }
}

/// Carries out one request.
///
/// # Errors
/// The errors of the service.
pub async fn carry_out(
    control: &Control,
    layout: &Layout,
    request: &UserRequest,
) -> Result<Answer, Error> {
    let names = |it: usize| &layout.workspaces[it];
    match request {
        UserRequest::PutWorkspace(it) => {
            let request = WorkspaceCreate { location: "here".to_owned(), tags: None };
            control.workspaces.put(names(*it), &request).await.map(|_| Answer::Completed)
        }
        UserRequest::PutExperiment(it) => {
            let child = &layout.experiments[*it];
            let put = control.experiments.put(names(child.workspace), &child.name);
            put.await.map(|_| Answer::Completed)
        }
        UserRequest::PutFileServer(it) => {
            let child = &layout.file_servers[*it];
            let (servers, spec) = (&control.file_servers, file_server_spec());
            servers.put(names(child.workspace), &child.name, &spec).await.map(Into::into)
        }
        UserRequest::PutCluster(it, scale) => {
            let slot = &layout.clusters[*it];
            let request = cluster_request(layout, *it, *scale);
            control.clusters.put(names(slot.workspace), &slot.name, &request).await.map(Into::into)
        }
        UserRequest::Resize { cluster, scale } => {
            let slot = &layout.clusters[*cluster];
            let update = ClusterUpdate { scale: Some(*scale), extensions: None };
            let resized = control.clusters.update(names(slot.workspace), &slot.name, update);
            resized.await.map(|_| Answer::Completed)
        }
        UserRequest::ReadCluster(it) => read_cluster(&control.clusters, layout, *it).await,
        UserRequest::DeleteCluster(it) => {
            let slot = &layout.clusters[*it];
            control.clusters.delete(names(slot.workspace), &slot.name).await.map(Into::into)
        }
        UserRequest::DeleteFileServer(it) => {
            let child = &layout.file_servers[*it];
            let names = names(child.workspace);
            let deleted = control.file_servers.delete(names, &child.name, &Principal::Service);
            deleted.await.map(Into::into)
        }
        UserRequest::DeleteExperiment(it) => {
            let child = &layout.experiments[*it];
            control.experiments.delete(names(child.workspace), &child.name).await.map(Into::into)
        }
        UserRequest::DeleteWorkspace(it) => {
            control.workspaces.delete(names(*it)).await.map(Into::into)
        }
        UserRequest::DeleteGroup(it) => {
            let WorkspaceNames { subscription, resource_group, .. } = names(*it);
            control.resource_groups.delete(subscription, resource_group).await.map(Into::into)
        }
        UserRequest::Tag(it) => {
            control.workspaces.tag(names(*it), None).await.map(|_| Answer::Completed)
        }
        UserRequest::Submit(spec) => submit(control, layout, spec).await,
        UserRequest::Terminate { job, .. } => terminate(control, layout, *job).await,
        UserRequest::DeleteJob { job, then_terminate } => {
            delete_job(control, layout, *job, *then_terminate).await
        }
        UserRequest::Grant(key) => grant(control, layout, *key).await,
        UserRequest::Revoke(key) => {
            let (scope, id) = assignment(layout, *key);
            control.roles.delete(&scope, &id).await.map(|_| Answer::Completed)
        }
        UserRequest::CreateToken(number) => {
            control.tokens.create(&format!("t{number}"), None).await.map(|_| Answer::Completed)
        }
        UserRequest::RevokeToken(number) => {
            control.tokens.revoke(&format!("t{number}")).await.map(|()| Answer::Completed)
        }
    }
}

async fn submit(control: &Control, layout: &Layout, spec: &JobSpec) -> Result<Answer, Error> {
    let path = experiment_path(layout, spec.experiment);
    let name = Name::new(format!("j{}", spec.number));
    control.jobs.put(&path, &name, &job_request(layout, spec)).await.map(Into::into)
}

/// Tries every experiment: the request has only the number of the job.
async fn terminate(control: &Control, layout: &Layout, job: u32) -> Result<Answer, Error> {
    let name = Name::new(format!("j{job}"));
    let mut answer = Ok(Answer::Nothing);
    for experiment in 0..layout.experiments.len() {
        let path = experiment_path(layout, experiment);
        match control.jobs.terminate(&path, &name).await {
            Err(Error::Api(_)) => {}
            other => answer = other.map(Into::into),
        }
    }
    answer
}

/// Tries every experiment: the request has only the number of the job.
async fn delete_job(
    control: &Control,
    layout: &Layout,
    job: u32,
    then_terminate: bool,
) -> Result<Answer, Error> {
    let name = Name::new(format!("j{job}"));
    let mut answer = Ok(Answer::Nothing);
    for experiment in 0..layout.experiments.len() {
        let path = experiment_path(layout, experiment);
        match control.jobs.delete(&path, &name).await {
            Err(Error::Api(_)) | Ok(None) => {}
            other => answer = other.map(Into::into),
        }
        if then_terminate {
            let _ = control.jobs.terminate(&path, &name).await;
        }
    }
    answer
}

async fn grant(control: &Control, layout: &Layout, key: GrantKey) -> Result<Answer, Error> {
    let (scope, id) = assignment(layout, key);
    let role = [Role::Reader, Role::Contributor][key.principal as usize % 2];
    let request = RoleAssignmentRequest { role, principal: principal_uid(key.principal) };
    control.roles.put(&scope, &id, &request).await.map(|_| Answer::Completed)
}

async fn read_cluster(clusters: &Clusters, layout: &Layout, it: usize) -> Result<Answer, Error> {
    let slot = &layout.clusters[it];
    clusters.get(&layout.workspaces[slot.workspace], &slot.name).await.map(|_| Answer::Completed)
}

fn principal_uid(number: u32) -> Uid {
    Uid::from_bytes([number as u8 + 1; 16])
}

/// The scope and the id of a role assignment.
fn assignment(layout: &Layout, key: GrantKey) -> (Scope, Uid) {
    let GrantKey { workspace, level, principal } = key;
    let names = &layout.workspaces[workspace];
    let scope = match level {
        0 => Scope::subscription(names.subscription.clone()),
        1 => Scope::resource_group(names.subscription.clone(), names.resource_group.clone()),
        _ => Scope::from(names),
    };
    (scope, Uid::from_bytes([17 * (level + 1) + principal as u8; 16]))
}

fn experiment_path(layout: &Layout, experiment: usize) -> ExperimentPath {
    let child = &layout.experiments[experiment];
    let workspace = layout.workspaces[child.workspace].clone();
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
        data_retention: model::DataRetention::Delete,
    }
}

fn mounts(layout: &Layout, servers: &[usize]) -> Option<MountsRequest> {
    let mount = |it: &usize| {
        let child = &layout.file_servers[*it];
        let names = layout.workspaces[child.workspace].clone();
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

/// Parsed once: `MountsRequest` has no constructor without a body.
static NO_MOUNTS: LazyLock<MountsRequest> = LazyLock::new(|| {
    let body = r#"{"properties": {
        "cluster": {"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c"},
        "nodeCount": 1,
        "stdOutErrPathPrefix": "/out",
        "customToolkitSettings": {"commandLine": "true"},
        "mountVolumes": {}
    }}"#;
    let request = wire::parse_job_create(body.as_bytes()).expect("a valid body");
    request.mounts.expect("the body has mounts")
});

fn cluster_request(layout: &Layout, cluster: usize, scale: ScaleSettings) -> ClusterRequest {
    let slot = &layout.clusters[cluster];
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
        administrator_password: None,
        setup_task,
        mounts: mounts(layout, &slot.mounts),
        performance_counters: None,
        subnet_id: None,
        extensions: ClusterExtensions {
            replace_on_rebalance: slot.replaces.then_some(true),
            ..ClusterExtensions::default()
        },
    }
}

fn job_request(layout: &Layout, spec: &JobSpec) -> JobRequest {
    let slot = &layout.clusters[spec.cluster];
    let names = layout.workspaces[slot.workspace].clone();
    let JobSpec { exit_code, millis, stop_millis, .. } = spec;
    JobRequest {
        cluster: ClusterId { names, name: slot.name.clone() },
        priority: spec.priority,
        node_count: spec.nodes,
        container: None,
        toolkit: toolkits::of_job(
            spec.number,
            format!("simulate {exit_code} {millis} {stop_millis}"),
        ),
        preparation: spec.preparation.map(|code| format!("prepare {code}")),
        std_out_err_path_prefix: "/out".to_owned(),
        mounts: mounts(layout, spec.mounts.as_slice()),
        input_directories: None,
        output_directories: None,
        environment: None,
        secrets: None,
        max_wall_clock_seconds: spec.wall_clock_seconds,
        max_retries: (spec.max_retries > 0).then_some(spec.max_retries),
        sweep: sweep(spec.number),
    }
}

/// Every third job is a run of a sweep with a limit. It does not depend on random numbers, so that the history of a
/// seed is otherwise the same.
fn sweep(number: u32) -> Option<SweepRun> {
    number.is_multiple_of(3).then(|| SweepRun {
        name: Name::new("sweep"),
        parameters: Vec::new(),
        max_parallel: Some(1 + number % 2),
        objective: Some(Objective { metric: "loss".to_owned(), goal: Goal::Minimize }),
        early_stopping: Some(EarlyStopping { after_step: 4, minimum_runs: 1 }),
    })
}
