//! Sign-in of instances: an agent that was started without the id of a node asks which node it is.

use crate::context::replan;
use crate::nodes::Nodes;
use crate::{Error, Function};
use lifecycle::launches::{self, SignIn};
use model::{ClusterRef, Instance, InvalidTransition, LaunchId, NodeId, Target};

impl Nodes {
    /// The node that an instance of a launch is. The first sign-in binds the instance to a node that
    /// waits, unless the answer to the launch or recovery did; a repetition gets the same answer.
    /// `None` when the instance is not needed: its agent must leave, and recovery terminates it.
    ///
    /// # Errors
    /// What the table reports.
    pub async fn sign_in(
        &self,
        cluster: &ClusterRef,
        launch: &LaunchId,
        instance: &Instance,
    ) -> Result<Option<NodeId>, Error> {
        let node = replan(|| self.try_sign_in(cluster, launch, instance)).await?;
        if node.is_none() {
            tracing::warn!(cluster = cluster.name, %launch, instance = instance.id, "a surplus instance");
            let target = Target::Cluster { cluster: cluster.clone() };
            self.context.hint(Function::Recovery, &target).await;
        }
        Ok(node)
    }

    async fn try_sign_in(
        &self,
        cluster: &ClusterRef,
        id: &LaunchId,
        instance: &Instance,
    ) -> Result<Option<NodeId>, Error> {
        let table = &self.context.table;
        if let Some(owner) = table.instance_owner(&instance.id).await? {
            let node = table.node(&owner.cluster, &owner.node).await?;
            let is_same = |node: &model::Node| node.cluster == *cluster && node.launch == *id;
            return Ok(node.filter(is_same).map(|node| node.id));
        }
        let Some(launch) = table.launch(cluster, id).await? else { return Ok(None) };
        let mut draft = self.context.draft();
        if let Some(first) = launch.waiting().next()
            && let Some(node) = table.node(cluster, first).await?
        {
            draft.read_node(node);
        }
        draft.read_launch(launch);
        match launches::signed_in(&mut draft, id, instance.clone()) {
            SignIn::Bound(node) => {
                self.context.commit(draft).await?;
                Ok(Some(node))
            }
            SignIn::Surplus => Ok(None),
            SignIn::Stale => {
                Err(InvalidTransition { what: "launch", state: "changed", transition: "bind" }
                    .into())
            }
        }
    }
}
