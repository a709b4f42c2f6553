//! Clusters: what users ask of them; their nodes are the autoscaler's.

use crate::file_servers::exists;
use crate::operations::{Put, Started, done};
use crate::ports::Function;
use crate::workspaces::being_deleted;
use crate::{Control, Error, provided, replan};
use dynamo::{Page, Transaction};
use model::{
    Allocation, Cluster, ClusterState, FileServer, FileServerUser, LaunchHealth, Meter, Name, Node,
    Operation, ScaleSettings, Uid, Wake, Workspace, WorkspaceNames,
};
use std::collections::BTreeSet;
use wire::{ClusterRequest, ClusterUpdate, FileServerId, NodeCounts, ResourceKind, Usage};

impl Control {
    pub async fn cluster(&self, names: &WorkspaceNames, name: &Name) -> Result<Cluster, Error> {
        self.cluster_in(&self.workspace(names).await?, name).await
    }

    pub(crate) async fn cluster_in(
        &self,
        workspace: &Workspace,
        name: &Name,
    ) -> Result<Cluster, Error> {
        let found = self.table.cluster_named(&workspace.uid, name.as_str()).await?;
        found.ok_or_else(|| Error::not_found(ResourceKind::Cluster, name.as_str()))
    }

    pub async fn cluster_nodes(&self, cluster: &Cluster) -> Result<Vec<Node>, Error> {
        Ok(self.table.nodes(&cluster.reference()).await?)
    }

    pub async fn node_counts(&self, cluster: &Cluster) -> Result<NodeCounts, Error> {
        Ok(NodeCounts::of(&self.cluster_nodes(cluster).await?))
    }

    pub async fn put_cluster(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        request: &ClusterRequest,
    ) -> Result<Put<Cluster>, Error> {
        let (uid, operation) = (self.new_uid(), self.new_uid());
        replan(|| async {
            let workspace = self.open_workspace(names).await?;
            let started = Started {
                operation: operation.clone(),
                location: workspace.location.clone(),
                is_done: true,
            };
            match self.table.cluster_named(&workspace.uid, name.as_str()).await? {
                Some(found) if found.uid == uid => return Ok(Put::Accepted(started)),
                Some(found) if found.is_deleting() => return Err(being_deleted("cluster", name)),
                Some(found) if request.is_same_as(&found) => {
                    return Ok(Put::Unchanged(Box::new(found)));
                }
                Some(_) => return Err(exists("ClusterExists", "cluster", name)),
                None => {}
            }
            self.refuse_beyond_quota(request.scale)?;
            self.refuse_one_cluster_more(&workspace).await?;
            let servers = self.mountable_all(request.file_servers()).await?;
            let cluster = self.new_cluster(&workspace, name, &uid, request, &servers)?;
            let resource = wire::ids::child_key(&cluster.names, name);
            let wake = Wake::Cluster { cluster: cluster.reference() };
            let mut transaction = Transaction::new()
                .require_workspace(&workspace)
                .create_cluster(&cluster)
                .use_more(&cluster.account(), Meter::Clusters, 1, self.settings.quota.clusters)
                .put_operation(&done(operation.clone(), resource, self.now()))
                .wake(&wake);
            for server in &servers {
                let user = FileServerUser {
                    file_server: server.uid.clone(),
                    cluster: uid.clone(),
                    cluster_id: wire::ids::id_of_cluster(&cluster),
                };
                transaction = transaction.mount_file_server(server, &user);
            }
            self.table.commit(transaction).await?;
            self.hint(Function::Autoscaler, &wake).await;
            Ok(Put::Accepted(started))
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
        let now = self.now();
        let suffix = wire::ids::setup_output_path_suffix(&workspace.names, name, uid);
        let (mut spec, scale) = request.clone().into_spec(
            |secret| self.keys.seal(secret, &self.new_uid()),
            |id| uid_of(servers, id),
            suffix,
        )?;
        // A cluster stands in the subnet of what it mounts (section 3.3).
        let of_server = servers.first().and_then(|server| server.spec.subnet_id.clone());
        spec.subnet_id = spec.subnet_id.or(of_server);
        let errors = provided::cluster_problem(&spec).into_iter().collect();
        Ok(Cluster {
            workspace: workspace.uid.clone(),
            names: workspace.names.clone(),
            name: name.clone(),
            uid: uid.clone(),
            location: Name::new(workspace.location.as_str()),
            version: 1,
            spec,
            scale,
            created_at: now,
            etag: self.new_uid(),
            modified_at: now,
            state: ClusterState::Active,
            awake: true,
            planned_nodes: 0,
            allocation: Allocation { resizing: true, since: now },
            health: LaunchHealth::HEALTHY,
            errors,
        })
    }

    /// What could never be reached is refused, not waited for.
    fn refuse_beyond_quota(&self, scale: ScaleSettings) -> Result<(), Error> {
        let (ceiling, limit) = (scale.ceiling(), self.settings.max_nodes);
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
        let usages = self.usages(&workspace.names.subscription, &location).await?;
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

    pub(crate) async fn mountable_all(
        &self,
        ids: impl Iterator<Item = &FileServerId>,
    ) -> Result<Vec<FileServer>, Error> {
        let mut servers = Vec::new();
        for id in ids {
            let server = self.mountable(id).await?;
            if !servers.iter().any(|known: &FileServer| known.uid == server.uid) {
                servers.push(server);
            }
        }
        Ok(servers)
    }

    /// Replaces the scale settings as a whole (section 3.3), and so the extensions.
    pub async fn update_cluster(
        &self,
        names: &WorkspaceNames,
        name: &Name,
        update: ClusterUpdate,
    ) -> Result<(Cluster, NodeCounts), Error> {
        if let Some(scale) = update.scale {
            self.refuse_beyond_quota(scale)?;
        }
        let cluster = replan(|| async {
            let mut cluster = self.cluster(names, name).await?;
            if cluster.is_deleting() {
                return Err(being_deleted("cluster", name));
            }
            cluster.scale = update.scale.unwrap_or(cluster.scale);
            if let Some(extensions) = &update.extensions {
                cluster.spec.extensions = extensions.clone();
            }
            cluster.etag = self.new_uid();
            cluster.modified_at = self.now();
            cluster.awake = true;
            // A user who changes the settings wants to see them tried.
            cluster.health = LaunchHealth::HEALTHY;
            let wake = Wake::Cluster { cluster: cluster.reference() };
            let transaction = Transaction::new().replace_cluster(&cluster).wake(&wake);
            self.table.commit(transaction).await?;
            Ok(cluster)
        })
        .await?;
        // The counts are those before anything follows from the new settings.
        let counts = self.node_counts(&cluster).await?;
        let reference = cluster.reference();
        self.hint_cluster(Function::Autoscaler, &reference).await;
        self.hint_cluster(Function::Dispatcher, &reference).await;
        Ok((cluster, counts))
    }

    pub async fn clusters(
        &self,
        names: &WorkspaceNames,
        after: Option<String>,
        limit: usize,
    ) -> Result<Page<Cluster>, Error> {
        let workspace = self.workspace(names).await?;
        Ok(self.table.clusters(&workspace.uid, after, limit).await?)
    }

    /// `None` when there is nothing to delete.
    pub async fn delete_cluster(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Option<Started>, Error> {
        replan(|| async {
            let workspace = self.workspace(names).await?;
            let found = self.table.cluster_named(&workspace.uid, name.as_str()).await?;
            let Some(cluster) = found else { return Ok(None) };
            let operation = self.start_cluster_deletion(cluster).await?;
            Ok(Some(Started { operation, location: workspace.location, is_done: false }))
        })
        .await
    }

    pub(crate) async fn start_cluster_deletion(&self, mut cluster: Cluster) -> Result<Uid, Error> {
        if let ClusterState::Deleting { operation, .. } = cluster.state {
            return Ok(operation);
        }
        let (now, operation) = (self.now(), self.new_uid());
        cluster.state = ClusterState::Deleting { operation: operation.clone(), since: now };
        cluster.awake = true;
        let resource = wire::ids::child_key(&cluster.names, &cluster.name);
        let wake = Wake::Cluster { cluster: cluster.reference() };
        let transaction = Transaction::new()
            .replace_cluster(&cluster)
            .put_operation(&Operation::started(operation.clone(), resource, now))
            .wake(&wake);
        self.table.commit(transaction).await?;
        self.hint(Function::Dispatcher, &wake).await;
        self.hint(Function::Autoscaler, &wake).await;
        Ok(operation)
    }

    pub(crate) async fn finish_cluster_deletion(&self, cluster: &Cluster) -> Result<(), Error> {
        let ClusterState::Deleting { operation, .. } = &cluster.state else { return Ok(()) };
        let transaction = Transaction::new()
            .remove_cluster(cluster)
            .use_less(&cluster.account(), Meter::Clusters, 1)
            .rest(&cluster.uid);
        let mounted = cluster.spec.mounts.iter().flat_map(|mounts| &mounts.file_servers);
        let mounted: BTreeSet<&Uid> = mounted.map(|mount| &mount.uid).collect();
        let transaction = mounted
            .iter()
            .fold(transaction, |it, server| it.unmount_file_server(server, &cluster.uid));
        let transaction = self.complete_operations(transaction, vec![operation.clone()]).await?;
        self.table.commit(transaction).await?;
        tracing::info!(cluster = %cluster.name, "deleted");
        Ok(())
    }
}

pub(crate) fn uid_of(servers: &[FileServer], id: &FileServerId) -> Option<Uid> {
    let named = |server: &&FileServer| server.names == id.names && server.name == id.name;
    servers.iter().find(named).map(|server| server.uid.clone())
}
