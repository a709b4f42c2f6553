//! Clusters (docs/contract.md, "Clusters").

use super::Call;
use axum::response::Response;
use control::Error;
use control::operations::PutOutcome;
use model::{Cluster, Name};
use wire::{ClusterNode, EndedNodesBody, NodeCounts, RemoteLogin};

impl Call<'_> {
    pub(crate) async fn clusters(&self) -> Result<Response, Error> {
        let control = &self.web.control;
        let names = self.route.workspace()?;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = control.clusters.list(&names, after, size).await?;
        let mut bodies = Vec::with_capacity(page.items.len());
        for cluster in page.items {
            let (cluster, counts) = control.clusters.with_counts(cluster).await?;
            bodies.push(wire::cluster(&cluster, &counts));
        }
        self.page(bodies, page.next)
    }

    fn cluster_name(&self) -> Result<Name, Error> {
        self.route.name("clusterName")
    }

    pub(crate) async fn cluster(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let (cluster, counts) = self.web.control.clusters.get(&names, &name).await?;
        self.cluster_body(&cluster, &counts)
    }

    pub(crate) async fn create_cluster(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let request = wire::parse_cluster_create(&self.body)?;
        self.authorize_references(request.file_servers().map(|server| &server.names)).await?;
        match self.web.control.clusters.put(&names, &name, &request).await? {
            PutOutcome::Accepted(started) => self.accepted(&started),
            PutOutcome::Unchanged(cluster) => {
                let (cluster, counts) = self.web.control.clusters.with_counts(*cluster).await?;
                self.cluster_body(&cluster, &counts)
            }
        }
    }

    pub(crate) async fn update_cluster(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let update = wire::parse_cluster_update(&self.body)?;
        let (cluster, counts) = self.web.control.clusters.update(&names, &name, update).await?;
        self.cluster_body(&cluster, &counts)
    }

    pub(crate) async fn delete_cluster(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        self.deleted(self.web.control.clusters.delete(&names, &name).await?)
    }

    pub(crate) async fn cluster_logins(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let (cluster, _) = self.web.control.clusters.get(&names, &name).await?;
        let nodes = self.web.control.clusters.nodes(&cluster).await?;
        self.ok(&wire::list(nodes.iter().filter_map(RemoteLogin::of).collect(), None))
    }

    /// Without addresses and ports, which a reader must not see.
    pub(crate) async fn cluster_nodes(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let clusters = &self.web.control.clusters;
        let nodes = clusters.nodes_with_jobs(&names, &name, &self.principal).await?;
        let body = |(node, job): &(_, Option<_>)| ClusterNode::of(node, job.as_ref());
        self.ok(&wire::list(nodes.iter().map(body).collect(), None))
    }

    pub(crate) async fn ended_nodes(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let (after, limit) = (self.page_start()?, self.page_size()?);
        let clusters = &self.web.control.clusters;
        let page = clusters.ended_nodes(&names, &name, after, limit).await?;
        self.page(page.items.iter().map(EndedNodesBody::of).collect(), page.next)
    }

    /// Lists the queue, in its order. Has no metrics: each job would cost a read.
    pub(crate) async fn queued_jobs(&self) -> Result<Response, Error> {
        let (names, name) = (self.route.workspace()?, self.cluster_name()?);
        let page = (self.page_start()?, self.page_size()?);
        let control = &self.web.control;
        let page = control.clusters.queued_jobs(&names, &name, page, &self.principal).await?;
        let waiting = control.jobs.waiting_reasons(&page.items).await?;
        let now = control.context.now();
        let body = |(job, waiting): (_, &Option<_>)| wire::job(job, waiting.as_ref(), now);
        self.page(page.items.iter().zip(&waiting).map(body).collect(), page.next)
    }

    fn cluster_body(&self, cluster: &Cluster, counts: &NodeCounts) -> Result<Response, Error> {
        self.resource(&wire::cluster(cluster, counts), &cluster.etag, cluster.modified_at)
    }
}
