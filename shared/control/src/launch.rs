//! Launching: the intent first (nodes in state launching), then the machines, then their record.

use crate::execute::{forget_node, gone};
use crate::ports::LaunchRequest;
use crate::{Control, Error};
use dynamo::{InstanceOwner, Transaction};
use model::{Cluster, LaunchId, Machine, Node, NodeId, NodeState, ResourceError, VmPriority};

impl Control {
    /// Records the intent under the version of the cluster that the plan was made on, so that two
    /// plans cannot both grow it.
    pub(crate) async fn launch(
        &self,
        cluster: &Cluster,
        count: u32,
        planned_nodes: u32,
    ) -> Result<(), Error> {
        let now = self.now();
        let launch = self.new_uid();
        let low_priority = cluster.spec.vm_priority == VmPriority::LowPriority;
        let mut changed = cluster.clone();
        changed.planned_nodes = planned_nodes;
        if !changed.allocation.resizing {
            changed.allocation = model::Allocation { resizing: true, since: now };
        }
        let charge = cluster.charge();
        let transaction = Transaction::new().replace_cluster(&changed);
        let mut transaction = self.charge_nodes(transaction, &charge, count);
        let mut nodes = Vec::new();
        for _ in 0..count {
            let id = NodeId::new(&self.new_uid(), low_priority);
            let node =
                Node::launching(id, cluster.reference(), launch.clone(), charge.clone(), now);
            transaction = transaction.create_node(&node);
            nodes.push(node.id);
        }
        self.table.commit(transaction).await?;
        tracing::info!(cluster = %cluster.name, count, %launch, "launching");
        self.bring_up(cluster, launch, nodes).await
    }

    /// Asks for the machines of a recorded launch and records what came. What was refused is no
    /// longer intended; what is unknown stays intended and is asked for again.
    pub(crate) async fn bring_up(
        &self,
        cluster: &Cluster,
        launch: LaunchId,
        nodes: Vec<NodeId>,
    ) -> Result<(), Error> {
        let request = LaunchRequest {
            cluster: cluster.reference(),
            launch,
            nodes,
            vm_size: cluster.spec.vm_size.clone(),
            alternate_vm_sizes: cluster
                .spec
                .extensions
                .alternate_vm_sizes
                .clone()
                .unwrap_or_default(),
            priority: cluster.spec.vm_priority,
        };
        let outcome = self.machines.launch(&request).await?;
        for (id, machine) in &outcome.launched {
            self.record_machine(cluster, id, machine).await?;
        }
        match outcome.refused {
            Some(error) => {
                let came: Vec<&NodeId> = outcome.launched.iter().map(|(id, _)| id).collect();
                let missing = request.nodes.iter().filter(|id| !came.contains(id));
                self.withdraw(cluster, missing, error).await
            }
            None => Ok(()),
        }
    }

    /// The node may have spoken for itself already, or be unwanted by now; both is fine.
    async fn record_machine(
        &self,
        cluster: &Cluster,
        id: &NodeId,
        machine: &Machine,
    ) -> Result<(), Error> {
        let Some(node) = self.table.node(&cluster.reference(), id).await? else { return Ok(()) };
        match self.register(node, machine.clone()).await {
            Err(error) if error.is_conflict() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// A launching node gets its machine.
    pub(crate) async fn register(&self, node: Node, machine: Machine) -> Result<Node, Error> {
        let owner = InstanceOwner {
            instance: machine.instance.clone(),
            cluster: node.cluster.clone(),
            node: node.id.clone(),
        };
        let mut node = node.launched(machine, self.now())?;
        let transaction = Transaction::new().replace_node(&node).own_instance(&owner);
        self.table.commit(transaction).await?;
        node.version += 1;
        Ok(node)
    }

    async fn withdraw<'a>(
        &self,
        cluster: &Cluster,
        missing: impl Iterator<Item = &'a NodeId>,
        error: ResourceError,
    ) -> Result<(), Error> {
        let ids: Vec<NodeId> = missing.cloned().collect();
        let nodes = self.table.nodes_named(&cluster.reference(), &ids).await?;
        for node in nodes {
            if let NodeState::Launching { .. } = node.state {
                self.table.commit(forget_node(Transaction::new(), &node)).await?;
            }
        }
        let latest = self.table.cluster(&cluster.reference()).await?;
        self.record_failure(&latest.ok_or(gone("cluster", "launch"))?, error).await
    }
}
