//! What each operation costs at the table, in DynamoDB's read and write units. A change of these
//! numbers is a change of the bill: it is to be seen, and meant.

use control::Function;
use control::jobs::ExperimentPath;
use model::{Cluster, ClusterRef, Name, Node, NodeState, Target, WorkspaceNames};
use protocol::{AttemptReport, Desired, End, NodePhase, Progress, SyncRequest};
use serde_json::json;
use std::fmt::Write as _;
use tests::environment::Environment;

/// Operation, read units, write units. A consistent read costs 1 per 4 KB, a write in a transaction
/// 2 per KB.
const EXPECTED: &str = "\
PUT workspace                            2     6
PUT experiment                           2     4
schedule, everything at rest             3     0
PUT cluster                              3     8
launch of 4 nodes                       20    33
schedule, 4 idle nodes                  13     0
agent, nothing new                       1     0
agent, sign of life                      1     1
PUT job of 1                             7     8
dispatch of a job of 1                   3     0
agent 0 gets its assignment              2     0
agent 0 is prepared                      2     0
agent 0 runs, nothing new                2     0
agent 0 reports the end                  4     6
what follows from the end                0     0
GET job                                  3     0
PUT job of 4                            10    22
dispatch of a job of 4                   2     0
agent 0 gets its assignment              2     0
agent 1 gets its assignment              2     0
agent 2 gets its assignment              2     0
agent 3 gets its assignment              2     0
agent 0 is prepared                      2     2
agent 1 is prepared                      2     2
agent 2 is prepared                      2     2
agent 3 is prepared                      2     2
agent 0 runs, nothing new                2     0
agent 0 reports the end                  4     8
agent 1 reports the end                  4     8
agent 2 reports the end                  4     8
agent 3 reports the end                  4     8
what follows from the end                0     0
GET job                                  3     0
PUT job of 1, nodes busy                 5     8
its node's report of an end              4     8
what follows from both                   2     0
dispatch of the first of 50 jobs         2     0
dispatch, all nodes busy                 2     0
";

#[tokio::test]
async fn every_operation_costs_what_it_is_known_to_cost() {
    let mut bill = Bill::open().await;
    bill.one_job(1).await;
    bill.one_job(4).await;
    bill.saturated().await;
    bill.a_long_queue().await;
    assert_eq!(bill.lines, EXPECTED, "the bill has changed:\n{}", bill.lines);
}

struct Bill {
    environment: Environment,
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
        let mut bill = Self { environment: Environment::new(1), lines: String::new() };
        let workspace = wire::parse_workspace_create(br#"{"location":"here"}"#).unwrap();
        bill.count("PUT workspace", async |it| {
            it.control.workspaces.put(&names(), &workspace).await.unwrap();
        })
        .await;
        bill.count("PUT experiment", async |it| {
            it.control.experiments.put(&names(), &Name::new("e")).await.unwrap();
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
            it.control.clusters.put(&names(), &Name::new("c"), &request).await.unwrap();
        })
        .await;
        bill.count("launch of 4 nodes", Environment::deliver_all).await;
        for node in bill.nodes().await {
            says(&bill.environment, &node, NodePhase::Preparing, None).await;
            says(&bill.environment, &node, NodePhase::Ready, None).await;
        }
        bill.environment.deliver_all().await;
        let nodes = bill.nodes().await;
        assert!(nodes.iter().all(|it| matches!(it.state, NodeState::Idle { .. })), "{nodes:?}");
        bill.count("schedule, 4 idle nodes", async |it| it.tick().await).await;
        let node = nodes[0].clone();
        bill.count("agent, nothing new", async |it| {
            says(it, &node, NodePhase::Ready, None).await;
        })
        .await;
        bill.environment.clock.advance_millis(10_000);
        bill.count("agent, sign of life", async |it| {
            says(it, &node, NodePhase::Ready, None).await;
        })
        .await;
        for node in &nodes {
            says(&bill.environment, node, NodePhase::Ready, None).await;
        }
        bill
    }

    async fn count(&mut self, what: &str, step: impl AsyncFnOnce(&Environment)) {
        let consumed = || self.environment.table().consumed();
        let before = consumed();
        step(&self.environment).await;
        let after = consumed();
        let read = after.read_units - before.read_units;
        let written = after.write_units - before.write_units;
        writeln!(self.lines, "{what:<36}{read:>6}{written:>6}").unwrap();
    }

    /// From its submission to its end, on so many nodes.
    async fn one_job(&mut self, width: u32) {
        let name = format!("j{width}");
        self.count(&format!("PUT job of {width}"), async |it| submit(it, &name, width).await).await;
        let cluster = self.cluster().await.reference();
        self.count(&format!("dispatch of a job of {width}"), async |it| {
            dispatch(it, &cluster).await;
        })
        .await;
        let gang: Vec<Node> =
            self.nodes().await.into_iter().filter(|node| node.attempt().is_some()).collect();
        assert_eq!(gang.len(), width as usize);
        let mut keys = Vec::new();
        for (index, node) in gang.iter().enumerate() {
            self.count(&format!("agent {index} gets its assignment"), async |it| {
                match says(it, node, NodePhase::Ready, None).await {
                    Desired::Run { key, assignment: Some(_), .. } => keys.push(key),
                    other => panic!("it is to run, not {other:?}"),
                }
            })
            .await;
        }
        let key = keys.remove(0);
        let report =
            |progress| Some(AttemptReport { key: key.clone(), progress, needs_assignment: false });
        for (index, node) in gang.iter().enumerate() {
            self.count(&format!("agent {index} is prepared"), async |it| {
                says(it, node, NodePhase::Ready, report(Progress::Prepared)).await;
            })
            .await;
        }
        self.count("agent 0 runs, nothing new", async |it| {
            says(it, &gang[0], NodePhase::Ready, report(Progress::Running)).await;
        })
        .await;
        let exited = End::Exited { exit_code: 0 };
        for (index, node) in gang.iter().enumerate() {
            let end = if index == 0 { exited.clone() } else { End::Stopped };
            self.count(&format!("agent {index} reports the end"), async |it| {
                says(it, node, NodePhase::Ready, report(Progress::Ended { end })).await;
            })
            .await;
        }
        self.count("what follows from the end", Environment::deliver_all).await;
        let job = self.environment.control.jobs.get(&path(), &Name::new(&name)).await.unwrap();
        assert!(job.state.is_final(), "{:?}", job.state);
        self.count("GET job", async |it| {
            it.control.jobs.get(&path(), &Name::new(&name)).await.unwrap();
        })
        .await;
    }

    /// All nodes are busy and jobs wait: each job is one submission, and one report that brings the
    /// next assignment along.
    async fn saturated(&mut self) {
        for number in 0..6 {
            submit(&self.environment, &format!("s{number}"), 1).await;
        }
        self.count("PUT job of 1, nodes busy", async |it| submit(it, "s6", 1).await).await;
        let node = self.nodes().await.swap_remove(0);
        let Desired::Run { key, .. } = says(&self.environment, &node, NodePhase::Ready, None).await
        else {
            panic!("{node:?} is idle although jobs wait");
        };
        let progress = Progress::Ended { end: End::Exited { exit_code: 0 } };
        let report = Some(AttemptReport { key, progress, needs_assignment: false });
        self.count("its node's report of an end", async |it| {
            match says(it, &node, NodePhase::Ready, report).await {
                Desired::Run { start: true, assignment: Some(_), .. } => {}
                other => panic!("it is to run the next job, not {other:?}"),
            }
        })
        .await;
        self.count("what follows from both", Environment::deliver_all).await;
    }

    /// A decision costs what it changes, not what waits: the same with fifty jobs in the queue.
    async fn a_long_queue(&mut self) {
        for number in 0..50 {
            submit(&self.environment, &format!("q{number}"), 4).await;
        }
        let cluster = self.cluster().await.reference();
        self.count("dispatch of the first of 50 jobs", async |it| dispatch(it, &cluster).await)
            .await;
        self.count("dispatch, all nodes busy", async |it| dispatch(it, &cluster).await).await;
    }

    async fn cluster(&self) -> Cluster {
        let table = self.environment.table();
        let it = names();
        let workspace = table.workspace(&it.subscription, &it.resource_group, &it.workspace).await;
        let workspace = workspace.unwrap().unwrap();
        table.cluster_named(&workspace.uid, "c").await.unwrap().unwrap()
    }

    async fn nodes(&self) -> Vec<Node> {
        self.environment.table().nodes(&self.cluster().await.reference()).await.unwrap()
    }
}

async fn submit(environment: &Environment, name: &str, width: u32) {
    let body = json!({"properties": {
        "cluster": {"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c"},
        "nodeCount": width,
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "customToolkitSettings": {"commandLine": "python train.py"},
    }});
    let request = wire::parse_job_create(body.to_string().as_bytes()).unwrap();
    environment.control.jobs.put(&path(), &Name::new(name), &request).await.unwrap();
}

/// One pass of the dispatcher alone.
async fn dispatch(environment: &Environment, cluster: &ClusterRef) {
    environment.hints.clear();
    let target = Target::Cluster { cluster: cluster.clone() };
    environment.control.reconcile(Function::Dispatcher, &target).await.unwrap();
}

/// What the agent on this node hears when it says this.
async fn says(
    environment: &Environment,
    node: &Node,
    phase: NodePhase,
    attempt: Option<AttemptReport>,
) -> Desired {
    let request = SyncRequest {
        instance: format!("i-{}", node.id),
        address: "10.0.0.4".to_owned(),
        phase,
        attempt,
        interruption_notice_seconds: None,
    };
    let answer = environment.control.nodes.sync(&node.cluster, &node.id, &request).await;
    answer.expect("the node is known").desired
}
