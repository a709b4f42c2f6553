//! Requests for clusters. The autoscaler manages their nodes.

use crate::context::replan;
use crate::operations::{PutOutcome, StartedOperation, done, stored};
use crate::usages::count;
use crate::{Context, Error, file_servers, secrets, workspaces};
use lifecycle::clusters::{self, NewCluster, Update};
use lifecycle::creation::{Existing, check_name, require_not_deleting};
use lifecycle::mounted;
use lifecycle::resources;
use model::{
    Cluster, ClusterSpec, EndedNodes, FileServer, Meter, Name, Node, ScaleSettings, Uid, Workspace,
    WorkspaceNames,
};
use table::Page;
use wire::{ClusterRequest, ClusterUpdate, FileServerId, NodeCounts, ResourceKind};

/// The clusters of the service.
#[derive(Clone)]
pub struct Clusters {
    pub(crate) context: Context,
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

    /// One page of the nodes that were removed, after a position, the newest first.
    ///
    /// # Errors
    /// 404 when there is no such workspace or cluster.
    pub async fn ended_nodes(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<EndedNodes>, Error> {
        let cluster = existing(&self.context, names, name).await?.reference();
        let mut page = self.context.table.ended_nodes(&cluster, after, limit).await?;
        let (read, now) = (page.items.len(), self.context.now());
        page.items.retain(|ended| ended.is_kept(now));
        if page.items.len() < read {
            // All that follow are older.
            page.next = None;
        }
        Ok(page)
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

    /// As [`Self::get`], for a record that was read. `allocationState` is `resizing` while any node is
    /// being launched or is leaving, whatever the last plan recorded.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn with_counts(&self, mut cluster: Cluster) -> Result<(Cluster, NodeCounts), Error> {
        let nodes = self.nodes(&cluster).await?;
        cluster.allocation.resizing |= nodes.iter().any(Node::is_moving);
        Ok((cluster, NodeCounts::of(&nodes)))
    }

    /// All nodes of the cluster.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn nodes(&self, cluster: &Cluster) -> Result<Vec<Node>, Error> {
        Ok(self.context.table.nodes(&cluster.reference()).await?)
    }

    /// Creates a cluster. The autoscaler launches its nodes afterwards.
    ///
    /// # Errors
    /// 409 when a different cluster has the name, or the quota is used up.
    pub async fn put(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        request: &ClusterRequest,
    ) -> Result<PutOutcome<Cluster>, Error> {
        let (fresh, operation) = (self.context.new_ids(), self.context.new_uid());
        replan(|| async {
            let workspace = workspaces::existing(&self.context, names).await?;
            require_not_deleting(&workspace)?;
            let accepted = || {
                let key = workspace.names.child_operation_key(name);
                let started = done(&self.context, operation.clone(), &workspace.location, &key);
                Ok(PutOutcome::Accepted(started))
            };
            let found = self.context.table.cluster_named(&workspace.uid, name.as_str()).await?;
            match check_name(found, &fresh.uid, |found| request.is_same_as(found))? {
                Existing::FromRetry(_) => return accepted(),
                Existing::Identical(found) => return Ok(PutOutcome::Unchanged(Box::new(found))),
                Existing::None => {}
            }
            self.require_room(&workspace, request.scale).await?;
            let servers = file_servers::mountable(&self.context, request.file_servers()).await?;
            let suffix = wire::ids::setup_output_path_suffix(&workspace.names, name, &fresh.uid);
            let password_hash = match &request.administrator_password {
                Some(password) => {
                    Some(secrets::hash_of_password(password, &self.context.new_uid()).await?)
                }
                None => None,
            };
            let (mut spec, scale) = request.clone().into_spec(
                |secret| self.context.keys.seal(secret, &self.context.new_uid()),
                password_hash,
                |id| uid_of(&servers, id),
                suffix,
            )?;
            mounted::require_setup_output(&spec)?;
            self.context.settings.provider.check(&spec)?;
            file_servers::add_shares(spec.mounts.as_mut(), &servers);
            let new = NewCluster { name: name.clone(), spec, scale };
            let mut draft = self.context.draft();
            clusters::create(&mut draft, &workspace, &servers, new, fresh.clone())?;
            self.context.commit(draft).await?;
            accepted()
        })
        .await
    }

    /// Checks the limits of the service and the quota for clusters.
    async fn require_room(&self, workspace: &Workspace, scale: ScaleSettings) -> Result<(), Error> {
        let settings = &self.context.settings;
        clusters::require_reachable(scale, settings.max_nodes)?;
        let (subscription, location) = (&workspace.names.subscription, &workspace.location);
        let count = count(&self.context, subscription, location, Meter::Clusters).await?;
        Ok(clusters::require_one_more(count, &settings.quota, workspace)?)
    }

    /// Replaces the scale settings, and likewise the extensions, each as a whole (docs/contract.md,
    /// "Clusters"). Returns the counts of nodes from before the new settings take effect.
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
            clusters::require_reachable(scale, self.context.settings.max_nodes)?;
        }
        let etag = self.context.new_uid();
        replan(|| async {
            let cluster = existing(&self.context, names, name).await?;
            if let Some(extensions) = update.extensions.clone() {
                let spec = ClusterSpec { extensions, ..cluster.spec.clone() };
                self.context.settings.provider.check(&spec)?;
            }
            let nodes = self.nodes(&cluster).await?;
            let mut draft = self.context.draft();
            draft.read_cluster(cluster.clone());
            let update = Update { scale: update.scale, extensions: update.extensions.clone() };
            clusters::update(&mut draft, update, &nodes, etag.clone())?;
            let mut updated = draft.cluster().cloned().unwrap_or(cluster);
            self.context.commit(draft).await?;
            updated.allocation.resizing |= nodes.iter().any(Node::is_moving);
            Ok((updated, NodeCounts::of(&nodes)))
        })
        .await
    }

    /// One page of the clusters of a workspace, after a position.
    ///
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

    /// Begins the deletion of a cluster. `None` when there is nothing to delete.
    ///
    /// # Errors
    /// 404 when there is no such workspace.
    pub async fn delete(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<StartedOperation>, Error> {
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

pub(crate) fn uid_of(servers: &[FileServer], id: &FileServerId) -> Option<Uid> {
    let named = |server: &&FileServer| server.names == id.names && server.name == id.name;
    servers.iter().find(named).map(|server| server.uid.clone())
}
