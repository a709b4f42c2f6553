//! What each operation costs at the table, in DynamoDB's read and write units. A change of these
//! numbers is a change of the bill: it is to be seen, and meant.

use control::jobs::ExperimentPath;
use control::ports::Function;
use model::{Cluster, Name, Node, NodeState, WorkspaceNames};
use protocol::{AttemptReport, Desired, End, NodePhase, Progress, SyncRequest};
use serde_json::json;
use std::fmt::Write as _;
use tests::world::World;

#[tokio::test]
async fn every_operation_costs_what_it_is_known_to_cost() {
    let mut bill = Bill::open().await;
    bill.one_job(1).await;
    bill.one_job(4).await;
    bill.a_long_queue().await;
    assert_eq!(bill.lines, "", "\n{}", bill.lines);
}

struct Bill {
    world: World,
    /// Operation, read units, write units.
    lines: String,
}

fn names() -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new("s"),
        resource_group: Name::new("g"),
        workspace: Name::new("w"),
    }
}

fn path() -> ExperimentPath {
    ExperimentPath { workspace: names(), experiment: Name::new("e") }
}

impl Bill {
    async fn open() -> Self {
        let mut bill = Self { world: World::new(1).await.unwrap(), lines: String::new() };
        let workspace = wire::parse_workspace_create(br#"{"location":"here"}"#).unwrap();
        bill.count("PUT workspace", async |it| {
            it.control.put_workspace(&names(), &workspace).await.unwrap();
        })
        .await;
        bill.count("PUT experiment", async |it| {
            it.control.put_experiment(&names(), &Name::new("e")).await.unwrap();
        })
        .await;
        bill.count("schedule, everything at rest", async |it| it.tick().await).await;
        let body = json!({"properties": {
            "vmSize": "STANDARD_NC6",
            "scaleSettings": {"manual": {"targetNodeCount": 4}},
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
        }});
        let request = wire::parse_cluster_create(body.to_string().as_bytes()).unwrap();
        bill.count("PUT cluster", async |it| {
            it.control.put_cluster(&names(), &Name::new("c"), &request).await.unwrap();
        })
        .await;
        bill.count("launch of 4 nodes", World::deliver_all).await;
        for node in bill.nodes().await {
            bill.says(&node, NodePhase::Preparing, None).await;
            bill.says(&node, NodePhase::Ready, None).await;
        }
        bill.world.deliver_all().await;
        let nodes = bill.nodes().await;
        assert!(nodes.iter().all(|it| matches!(it.state, NodeState::Idle { .. })), "{nodes:?}");
        bill.count("schedule, 4 idle nodes", async |it| it.tick().await).await;
        bill.count("agent asks, nothing new", async |_| ()).await;
        bill
    }

    async fn count(&mut self, what: &str, step: impl AsyncFnOnce(&World)) {
        let consumed = || self.world.control.table.units().consumed();
        let before = consumed();
        step(&self.world).await;
        let after = consumed();
        let read = after.read_units - before.read_units;
        let written = after.write_units - before.write_units;
        writeln!(self.lines, "{what:<36}{read:>6}{written:>6}").unwrap();
    }

    async fn cluster(&self) -> Cluster {
        let table = &self.world.table;
        let it = names();
        let workspace = table.workspace(&it.subscription, &it.resource_group, &it.workspace).await;
        let workspace = workspace.unwrap().unwrap();
        table.cluster_named(&workspace.uid, "c").await.unwrap().unwrap()
    }

    async fn nodes(&self) -> Vec<Node> {
        self.world.table.nodes(&self.cluster().await.reference()).await.unwrap()
    }
}
