//! Clusters (section 3.3).

use super::Call;
use axum::response::Response;
use control::Error;
use control::operations::Put;
use http::Method;
use model::{Name, Node, WorkspaceNames};
use wire::RemoteLogin;

/// Where the nodes' SSH server listens.
const SSH_PORT: u16 = 22;

impl Call<'_> {
    pub(crate) async fn clusters(&self, names: &WorkspaceNames) -> Result<Response, Error> {
        if self.method != Method::GET {
            return self.method_not_allowed();
        }
        let control = &self.web.control;
        let (after, size) = (self.page_start()?, self.page_size()?);
        let page = control.clusters(names, after, size).await?;
        let mut bodies = Vec::with_capacity(page.items.len());
        for cluster in &page.items {
            bodies.push(wire::cluster(cluster, &control.node_counts(cluster).await?));
        }
        self.page(bodies, page.next)
    }

    pub(crate) async fn cluster(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Response, Error> {
        let control = &self.web.control;
        let (cluster, counts) = match self.method {
            Method::GET => {
                let cluster = control.cluster(names, name).await?;
                let counts = control.node_counts(&cluster).await?;
                (cluster, counts)
            }
            Method::PUT => {
                let request = wire::parse_cluster_create(&self.body)?;
                match control.put_cluster(names, name, &request).await? {
                    Put::Accepted(started) => {
                        return Ok(self.accepted(&names.subscription, &started));
                    }
                    Put::Unchanged(cluster) => {
                        let counts = control.node_counts(&cluster).await?;
                        (*cluster, counts)
                    }
                }
            }
            Method::PATCH => {
                let update = wire::parse_cluster_update(&self.body)?;
                control.update_cluster(names, name, update).await?
            }
            Method::DELETE => {
                let started = control.delete_cluster(names, name).await?;
                return self.deleted(&names.subscription, started);
            }
            _ => return self.method_not_allowed(),
        };
        self.resource(&wire::cluster(&cluster, &counts), &cluster.etag, cluster.modified_at)
    }

    pub(crate) async fn cluster_logins(
        &self,
        names: &WorkspaceNames,
        name: &Name,
    ) -> Result<Response, Error> {
        if self.method != Method::POST {
            return self.method_not_allowed();
        }
        let cluster = self.web.control.cluster(names, name).await?;
        let nodes = self.web.control.cluster_nodes(&cluster).await?;
        self.ok(&wire::list(nodes.iter().filter_map(login).collect(), None))
    }
}

/// Listed as soon as the machine exists.
pub(crate) fn login(node: &Node) -> Option<RemoteLogin> {
    let machine = node.machine()?;
    let ip_address = machine.address.clone();
    Some(RemoteLogin { node_id: node.id.clone(), ip_address, port: SSH_PORT })
}
