//! Clusters: what users ask of them; their nodes are the autoscaler's.

use crate::context::replan;
use crate::file_servers::{self, exists};
use crate::operations::{Put, Started, done, stored};
use crate::usages::Usages;
use crate::workspaces::{self, being_deleted};
use crate::{Context, Error, Function, provided};
use lifecycle::{capacity, resources, size};
use model::{
    Allocation, Backoff, Cluster, ClusterState, FileServer, Meter, Name, Node, NodeState,
    ScaleSettings, Uid, Workspace, WorkspaceNames,
};
use table::Page;
use wire::{ClusterRequest, ClusterUpdate, FileServerId, NodeCounts, ResourceKind, Usage};

#[derive(Clone)]
pub struct Clusters {
    context: Context,
}

/// # Errors
/// 404 when there is no such cluster.
pub(crate) async fn existing_in(
    context: &Context,
    workspace: &Workspace,
    name: &Name,
) -> Result<Cluster, Error> {
    let found = context.table.cluster_named(&workspace.uid, name.as_str()).await?;
    found.ok_or_else(|| Error::not_found(ResourceKind::Cluster, name.as_str()))
}

/// # Errors
/// 404 when there is no such workspace or cluster.
pub(crate) async fn existing(
    context: &Context,
    names: &WorkspaceNames,
    name: &Name,
) -> Result<Cluster, Error> {
    let workspace = workspaces::existing(context, names).await?;
    existing_in(context, &workspace, name).await
}

impl Clusters {
    pub(crate) fn new(context: &Context) -> Self {
        Self { context: context.clone() }
    }

    /// The cluster and how many nodes it has in each state.
    ///
    /// # Errors
    /// 404 when there is no such workspace or cluster.
    pub async fn get(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<(Cluster, NodeCounts), Error> {
        self.with_counts(existing(&self.context, names, name).await?).await
    }

    /// `allocationState` is derived from what is there: nodes that come or leave mean resizing,
    /// whatever the last plan recorded.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn with_counts(&self, mut cluster: Cluster) -> Result<(Cluster, NodeCounts), Error> {
        let nodes = self.nodes(&cluster).await?;
        cluster.allocation.resizing |= nodes.iter().any(is_moving);
        Ok((cluster, NodeCounts::of(&nodes)))
    }

    /// # Errors
    /// What the table reports.
    pub async fn nodes(&self, cluster: &Cluster) -> Result<Vec<Node>, Error> {
        Ok(self.context.table.nodes(&cluster.reference()).await?)
    }

    /// Creates a cluster; its nodes follow.
    ///
    /// # Errors
    /// 409 when the name is taken by another one, or the quota is used up.
    pub async fn put(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        request: &ClusterRequest,
    ) -> Result<Put<Cluster>, Error> {
        let (uid, operation) = (self.context.new_uid(), self.context.new_uid());
        replan(|| async {
            let workspace = workspaces::open(&self.context, names).await?;
            let accepted = || {
                let key = workspace.names.child_operation_key(name);
                let started = done(&self.context, operation.clone(), &workspace.location, &key);
                Ok(Put::Accepted(started))
            };
            match self.context.table.cluster_named(&workspace.uid, name.as_str()).await? {
                Some(found) if found.uid == uid => return accepted(),
                Some(found) if found.is_deleting() => return Err(being_deleted("cluster", name)),
                Some(found) if request.is_same_as(&found) => {
                    return Ok(Put::Unchanged(Box::new(found)));
                }
                Some(_) => return Err(exists("ClusterExists", "cluster", name)),
                None => {}
            }
            self.refuse_beyond_quota(request.scale)?;
            self.refuse_one_cluster_more(&workspace).await?;
            let servers = file_servers::mountable(&self.context, request.file_servers()).await?;
            let cluster = self.new_cluster(&workspace, name, &uid, request, &servers)?;
            size::check(&cluster)?;
            let mut draft = self.context.draft();
            draft.hint_cluster(Function::Autoscaler, &cluster.reference());
            draft.create_cluster(cluster);
            draft.writes().require_workspace(&workspace);
            for server in &servers {
                // Written too, so that whoever deletes it meanwhile reads again.
                draft.writes().replace(server, server);
            }
            self.context.commit(draft).await?;
            accepted()
        })
        .await
    }

    fn new_cluster(
        &self,
        workspace: &Workspace,
        name: &Name,
        uid: &Uid,
        request: &ClusterRequest,
        servers: &[FileServer],
    ) -> Result<Cluster, Error> {
        let now = self.context.now();
        let suffix = wire::ids::setup_output_path_suffix(&workspace.names, name, uid);
        let (mut spec, scale) = request.clone().into_spec(
            |secret| self.context.keys.seal(secret, &self.context.new_uid()),
            |id| uid_of(servers, id),
            suffix,
        )?;
        // A cluster is in the subnet of what it mounts (docs/contract.md, "Clusters").
        let of_server = servers.first().and_then(|server| server.spec.subnet_id.clone());
        spec.subnet_id = spec.subnet_id.or(of_server);
        let errors = provided::cluster_problem(&spec).into_iter().collect();
        Ok(Cluster {
            workspace: workspace.uid.clone(),
            names: workspace.names.clone(),
            name: name.clone(),
            uid: uid.clone(),
            location: Name::new(workspace.location.as_str()),
            version: self.context.first_version(),
            spec,
            scale,
            created_at: now,
            etag: self.context.new_uid(),
            modified_at: now,
            state: ClusterState::Active,
            scheduled: true,
            planned_nodes: 0,
            allocation: Allocation { resizing: true, since: now },
            health: Backoff::CLEAR,
            errors,
        })
    }

    /// What could never be reached is refused, not waited for.
    fn refuse_beyond_quota(&self, scale: ScaleSettings) -> Result<(), Error> {
        let (ceiling, limit) = (scale.ceiling(), self.context.settings.max_nodes);
        if ceiling <= limit {
            return Ok(());
        }
        Err(Error::bad_request(
            "QuotaExceeded",
            format!(
                "The cluster may have up to {ceiling} nodes, but this service runs at most {limit}; ask for fewer, or raise the limit of the service (--max-nodes)"
            ),
        ))
    }

    async fn refuse_one_cluster_more(&self, workspace: &Workspace) -> Result<(), Error> {
        let location = Name::new(workspace.location.as_str());
        let usages =
            Usages::new(&self.context).list(&workspace.names.subscription, &location).await?;
        let full = |usage: &&Usage| usage.meter == Meter::Clusters && usage.current >= usage.limit;
        match usages.iter().find(full) {
            None => Ok(()),
            Some(usage) => Err(Error::conflict(
                "QuotaExceeded",
                format!(
                    "There are {} clusters in {location}, which is the most there can be; delete one first, or raise the limit of the service (--max-clusters)",
                    usage.current
                ),
            )),
        }
    }

    /// Replaces the scale settings as a whole, and so the extensions (docs/contract.md,
    /// "Clusters"). The counts are those before anything follows from the new settings.
    ///
    /// # Errors
    /// 404 when there is no such cluster, 409 while it is being deleted.
    pub async fn update(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        update: ClusterUpdate,
    ) -> Result<(Cluster, NodeCounts), Error> {
        if let Some(scale) = update.scale {
            self.refuse_beyond_quota(scale)?;
        }
        let etag = self.context.new_uid();
        replan(|| async {
            let cluster = existing(&self.context, names, name).await?;
            if cluster.is_deleting() {
                return Err(being_deleted("cluster", name));
            }
            let nodes = self.nodes(&cluster).await?;
            let staying = nodes.iter().filter(|node| !node.is_leaving()).count();
            let staying = u32::try_from(staying).unwrap_or(u32::MAX);
            let mut draft = self.context.draft();
            draft.read_cluster(cluster.clone());
            let change = |cluster: &mut Cluster| {
                cluster.scale = update.scale.unwrap_or(cluster.scale);
                if let Some(extensions) = &update.extensions {
                    cluster.spec.extensions = extensions.clone();
                }
                cluster.etag = etag.clone();
            };
            capacity::resized(&mut draft, change, staying)?;
            let mut resized = draft.cluster().cloned().unwrap_or(cluster);
            self.context.commit(draft).await?;
            resized.allocation.resizing |= nodes.iter().any(is_moving);
            Ok((resized, NodeCounts::of(&nodes)))
        })
        .await
    }

    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn list(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Cluster>, Error> {
        let workspace = workspaces::existing(&self.context, names).await?;
        Ok(self.context.table.clusters(&workspace.uid, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn delete(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            let found = self.context.table.cluster_named(&workspace.uid, name.as_str()).await?;
            let Some(cluster) = found else { return Ok(None) };
            let mut draft = self.context.draft();
            let operation = self.context.new_uid();
            let operation = resources::begin_deletion(&mut draft, &cluster, operation);
            self.context.commit(draft).await?;
            Ok(Some(stored(operation, &workspace.location)))
        })
        .await
    }
}

/// Coming or leaving: the number of nodes is not settled.
fn is_moving(node: &Node) -> bool {
    match node.state {
        NodeState::Launching { .. } | NodeState::Leaving { .. } => true,
        NodeState::Preparing { .. }
        | NodeState::Idle { .. }
        | NodeState::Running { .. }
        | NodeState::Unusable { .. } => false,
    }
}

pub(crate) fn uid_of(servers: &[FileServer], id: &FileServerId) -> Option<Uid> {
    let named = |server: &&FileServer| server.names == id.names && server.name == id.name;
    servers.iter().find(named).map(|server| server.uid.clone())
}
