//! Creation and update of clusters by users. The autoscaler manages their nodes.

use crate::capacity;
use crate::change::Function;
use crate::creation::{NewIds, require_not_deleting};
use crate::draft::Draft;
use crate::refusal::Refusal;
use crate::size;
use crate::unsupported;
use model::{
    Allocation, Backoff, Cluster, ClusterExtensions, ClusterSpec, ClusterState, FileServer,
    LaunchRate, Name, Node, Quota, ScaleSettings, Uid, Workspace,
};

/// A requested cluster: secrets encrypted, file servers resolved.
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// Its name.
    pub name: Name,
    /// Its specification.
    pub spec: ClusterSpec,
    /// Its scale settings.
    pub scale: ScaleSettings,
}

/// The parts that an update replaces, each as a whole (docs/contract.md, "Clusters").
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Scale settings.
    pub scale: Option<ScaleSettings>,
    /// Settings that the API of 2018 does not have.
    pub extensions: Option<ClusterExtensions>,
}

/// Refuses scale settings that could never be reached.
///
/// # Errors
/// When the settings allow more nodes than the service runs.
pub fn require_reachable(scale: ScaleSettings, max_nodes: u32) -> Result<(), Refusal> {
    let wanted = scale.ceiling();
    match wanted <= max_nodes {
        true => Ok(()),
        false => Err(Refusal::ClusterBeyondNodes { wanted, most: max_nodes }),
    }
}

/// Checks the quota of clusters. `clusters` is their number in the region of the workspace. The
/// commit checks again.
///
/// # Errors
/// When the quota is used up.
pub fn require_one_more(
    clusters: u32,
    quota: &Quota,
    workspace: &Workspace,
) -> Result<(), Refusal> {
    match clusters < quota.clusters {
        true => Ok(()),
        false => {
            let location = workspace.location.clone();
            Err(Refusal::TooManyClusters { most: clusters, location })
        }
    }
}

/// Creates a cluster that mounts these file servers. The autoscaler launches its nodes.
///
/// # Errors
/// When the record has no room to grow.
pub fn create(
    draft: &mut Draft,
    workspace: &Workspace,
    servers: &[FileServer],
    new: NewCluster,
    ids: NewIds,
) -> Result<(), Refusal> {
    let NewCluster { name, mut spec, scale } = new;
    // A cluster is in the subnet of what it mounts (docs/contract.md, "Clusters").
    let of_server = servers.first().and_then(|server| server.spec.subnet_id.clone());
    spec.subnet_id = spec.subnet_id.or(of_server);
    let (now, errors) = (draft.now, unsupported::cluster_problem(&spec).into_iter().collect());
    let cluster = Cluster {
        workspace: workspace.uid.clone(),
        names: workspace.names.clone(),
        name,
        uid: ids.uid,
        location: Name::new(workspace.location.as_str()),
        version: draft.first_version(),
        spec,
        scale,
        created_at: now,
        etag: ids.etag,
        modified_at: now,
        state: ClusterState::Active,
        scheduled: true,
        planned_nodes: 0,
        allocation: Allocation { resizing: true, since: now },
        health: Backoff::CLEAR,
        avoided_pools: vec![],
        launch_rate: LaunchRate::NONE,
        errors,
    };
    size::check(&cluster)?;
    draft.hint_cluster(Function::Autoscaler, &cluster.reference());
    draft.create_cluster(cluster);
    draft.writes().require_workspace(workspace);
    for server in servers {
        // Written too, so that a concurrent deletion of the file server conflicts and reads again.
        draft.writes().replace(server, server);
    }
    Ok(())
}

/// Changes a cluster. New settings are tried at once, regardless of earlier failures. `nodes` are
/// the nodes of the cluster.
///
/// # Errors
/// When the cluster is being deleted, or was not read.
pub fn update(draft: &mut Draft, update: Update, nodes: &[Node], etag: Uid) -> Result<(), Refusal> {
    let now = draft.now;
    let cluster = draft.cluster_mut().ok_or(capacity::NOT_READ)?;
    require_not_deleting(cluster)?;
    cluster.scale = update.scale.unwrap_or(cluster.scale);
    if let Some(extensions) = update.extensions {
        cluster.spec.extensions = extensions;
    }
    (cluster.etag, cluster.modified_at) = (etag, now);
    cluster.scheduled = true;
    cluster.health = Backoff::CLEAR;
    let staying = nodes.iter().filter(|node| !node.is_leaving()).count();
    let (floor, ceiling) = (cluster.scale.floor() as usize, cluster.scale.ceiling() as usize);
    if !(floor..=ceiling).contains(&staying) && !cluster.allocation.resizing {
        cluster.allocation = Allocation { resizing: true, since: now };
    }
    let reference = cluster.reference();
    draft.hint_cluster(Function::Autoscaler, &reference);
    draft.hint_cluster(Function::Dispatcher, &reference);
    Ok(())
}

#[cfg(test)]
mod tests;
