//! The cost of each operation at the table, in DynamoDB's read and write units. A change of these
//! numbers changes the bill of the service, so it must be intended.

use control::Function;
use control::jobs::ExperimentPath;
use control::nodes::AgentIdentity;
use model::{Cluster, ClusterRef, Name, Node, NodeState, Principal, Target, WorkspaceNames};
use protocol::{
    AttemptReport, Desired, End, EndDetails, NodePhase, OutputTail, Progress, SyncRequest,
};
use serde_json::json;
use std::fmt::Write as _;
use tests::environment::Environment;

/// Operation, read units, write units. A consistent read costs 1 per 4 KB, a write in a transaction
/// 2 per KB.
const EXPECTED: &str = "\
PUT workspace                            2     6
PUT experiment                           2     4
schedule, all dormant                    4     0
PUT cluster                              3     8
launch of 4 nodes                       21    37
schedule, 4 idle nodes                  14     0
GET nodes, 4 idle                        3     0
agent, no change                         1     0
agent, heartbeat                         1     1
PUT job of 1                             7     8
dispatch of a job of 1                   3     0
agent 0 gets its assignment              2     0
agent 0 is prepared                      2     0
agent 0 runs, no change                  2     0
agent 0 reports the end                  4     6
hints after the end                      0     0
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
agent 0 runs, no change                  2     0
agent 0 reports the end                  4     8
agent 1 reports the end                  4     8
agent 2 reports the end                  4     8
agent 3 reports the end                  4     8
hints after the end                      0     0
GET job                                  3     0
PUT job of 1, nodes busy                 5     8
report of an end, jobs queued            4     8
hints after both                         2     0
dispatch of the first of 50 jobs         2     0
dispatch, all nodes busy                 2     0
GET nodes, 4 busy                        7     0
GET the first 10 of 50 queued jobs      19     0
";

#[tokio::test]
async fn every_operation_has_its_known_cost() {
    let mut costs = Costs::start().await;
    costs.one_job(1).await;
    costs.one_job(4).await;
    costs.saturated().await;
    costs.a_long_queue().await;
    assert_eq!(costs.lines, EXPECTED, "the costs have changed:\n{}", costs.lines);
}

/// What the output of a node costs more: write units of the report, read units of its list, write units of the deletion of
/// the job. Both files are as large as may be; the record has 33 KB, and without output its absence costs 2.
#[tokio::test]
async fn the_output_of_a_node_has_its_known_cost() {
    let costs = Costs::start().await;
    let plain = costs.failed_job("plain", false).await;
    let with_output = costs.failed_job("output", true).await;
    let more = [0, 1, 2].map(|step: usize| with_output[step] - plain[step]);
    assert_eq!(more, [66.0, 8.0, 64.0]);
}

/// From the setting to the last node: each node leaves, and is removed with its marker, its owner, three meters and the
/// record of its end, which has 2 of these units.
#[tokio::test]
async fn the_removal_of_a_node_has_its_known_cost() {
    let costs = Costs::start().await;
    let environment = &costs.environment;
    let body = r#"{"properties":{"scaleSettings":{"manual":{"targetNodeCount":0}}}}"#;
    let update = wire::parse_cluster_update(body.as_bytes()).unwrap();
    environment.control.clusters.update(&names(), &Name::new("c"), update).await.unwrap();
    let units = || environment.table().consumed().write_units;
    let before = units();
    for _ in 0..5 {
        environment.deliver_all().await;
        environment.run_schedule().await;
    }
    let removed = units() - before;
    let cluster = costs.cluster().await.reference();
    let page = environment.table().ended_nodes(&cluster, None, 10).await.unwrap();
    assert_eq!((costs.nodes().await.len(), page.items.len()), (0, 4));
    assert_eq!(removed, 74.0);
    let again = units();
    let mut writes = table::Writes::default();
    page.items.iter().take(2).for_each(|ended| writes.record_ended_nodes(ended));
    environment.table().commit(writes).await.unwrap();
    assert_eq!(units() - again, 2.0 * 2.0);
}

struct Costs {
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

impl Costs {
    async fn start() -> Self {
        let mut costs = Self { environment: Environment::new(1), lines: String::new() };
        let workspace = wire::parse_workspace_create(br#"{"location":"here"}"#).unwrap();
        costs
            .count("PUT workspace", async |it| {
                it.control.workspaces.put(&names(), &workspace).await.unwrap();
            })
            .await;
        costs
            .count("PUT experiment", async |it| {
                it.control.experiments.put(&names(), &Name::new("e")).await.unwrap();
            })
            .await;
        costs.count("schedule, all dormant", async |it| it.run_schedule().await).await;
        let body = json!({"properties": {
            "vmSize": "STANDARD_NC6",
            "scaleSettings": {"manual": {"targetNodeCount": 4}},
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
        }});
        let request = wire::parse_cluster_create(body.to_string().as_bytes()).unwrap();
        costs
            .count("PUT cluster", async |it| {
                it.control.clusters.put(&names(), &Name::new("c"), &request).await.unwrap();
            })
            .await;
        costs.count("launch of 4 nodes", Environment::deliver_all).await;
        for node in costs.nodes().await {
            sync(&costs.environment, &node, NodePhase::Preparing, None).await;
            sync(&costs.environment, &node, NodePhase::Ready, None).await;
        }
        costs.environment.deliver_all().await;
        let nodes = costs.nodes().await;
        assert!(nodes.iter().all(|it| matches!(it.state, NodeState::Idle { .. })), "{nodes:?}");
        costs.count("schedule, 4 idle nodes", async |it| it.run_schedule().await).await;
        costs.count("GET nodes, 4 idle", list_nodes).await;
        let node = nodes[0].clone();
        costs
            .count("agent, no change", async |it| {
                sync(it, &node, NodePhase::Ready, None).await;
            })
            .await;
        costs.environment.clock.advance_millis(10_000);
        costs
            .count("agent, heartbeat", async |it| {
                sync(it, &node, NodePhase::Ready, None).await;
            })
            .await;
        for node in &nodes {
            sync(&costs.environment, node, NodePhase::Ready, None).await;
        }
        costs
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

    /// Units of the report of the end, of the list of its output, and of the deletion.
    async fn failed_job(&self, name: &str, has_output: bool) -> [f64; 3] {
        let environment = &self.environment;
        let consumed = || environment.table().consumed();
        submit(environment, name, 1).await;
        environment.deliver_all().await;
        let nodes = self.nodes().await;
        let node = nodes.iter().find(|node| node.attempt().is_some()).unwrap();
        let Desired::Run { key, assignment: Some(assignment), .. } =
            sync(environment, node, NodePhase::Ready, None).await
        else {
            panic!("{node:?} runs no job");
        };
        let bytes = assignment.output_tail_bytes.unwrap();
        let tail = |file: &str| OutputTail {
            name: file.to_owned(),
            text: "x".repeat(bytes as usize),
            length: bytes.into(),
        };
        let output = if has_output { vec![tail("stdout.txt"), tail("stderr.txt")] } else { vec![] };
        let details = EndDetails { shortage: None, output };
        let report = AttemptReport {
            end_details: Some(Box::new(details)),
            ..AttemptReport::new(key, Progress::Ended { end: End::Exited { exit_code: 1 } })
        };
        let before = consumed();
        sync(environment, node, NodePhase::Ready, Some(report)).await;
        let reported = consumed();
        environment.deliver_all().await;
        let (name, unlisted) = (Name::new(name), consumed());
        let tails = environment.control.jobs.log_tails(&path(), &name).await.unwrap();
        assert_eq!(tails.len(), usize::from(has_output));
        let listed = consumed();
        environment.control.jobs.delete(&path(), &name).await.unwrap();
        [
            reported.write_units - before.write_units,
            listed.read_units - unlisted.read_units,
            consumed().write_units - listed.write_units,
        ]
    }

    /// A job on `width` nodes, from its submission to its end.
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
                match sync(it, node, NodePhase::Ready, None).await {
                    Desired::Run { key, assignment: Some(_), .. } => keys.push(key),
                    other => panic!("expected the job to run, got {other:?}"),
                }
            })
            .await;
        }
        let key = keys.remove(0);
        let report = |progress| Some(AttemptReport::new(key.clone(), progress));
        for (index, node) in gang.iter().enumerate() {
            self.count(&format!("agent {index} is prepared"), async |it| {
                sync(it, node, NodePhase::Ready, report(Progress::Prepared)).await;
            })
            .await;
        }
        self.count("agent 0 runs, no change", async |it| {
            sync(it, &gang[0], NodePhase::Ready, report(Progress::Running)).await;
        })
        .await;
        let exited = End::Exited { exit_code: 0 };
        for (index, node) in gang.iter().enumerate() {
            let end = if index == 0 { exited.clone() } else { End::Stopped };
            self.count(&format!("agent {index} reports the end"), async |it| {
                sync(it, node, NodePhase::Ready, report(Progress::Ended { end })).await;
            })
            .await;
        }
        self.count("hints after the end", Environment::deliver_all).await;
        let job = self.environment.control.jobs.get(&path(), &Name::new(&name)).await.unwrap();
        assert!(job.state.is_final(), "{:?}", job.state);
        self.count("GET job", async |it| {
            it.control.jobs.get(&path(), &Name::new(&name)).await.unwrap();
        })
        .await;
    }

    /// All nodes are busy and jobs are queued: each job costs one submission, and one report whose
    /// answer has the next assignment.
    async fn saturated(&mut self) {
        for number in 0..6 {
            submit(&self.environment, &format!("s{number}"), 1).await;
        }
        self.count("PUT job of 1, nodes busy", async |it| submit(it, "s6", 1).await).await;
        let node = self.nodes().await.swap_remove(0);
        let Desired::Run { key, .. } = sync(&self.environment, &node, NodePhase::Ready, None).await
        else {
            panic!("{node:?} is idle although jobs wait");
        };
        let progress = Progress::Ended { end: End::Exited { exit_code: 0 } };
        let report = Some(AttemptReport::new(key, progress));
        self.count("report of an end, jobs queued", async |it| {
            match sync(it, &node, NodePhase::Ready, report).await {
                Desired::Run { start: true, assignment: Some(_), .. } => {}
                other => panic!("expected the next job, got {other:?}"),
            }
        })
        .await;
        self.count("hints after both", Environment::deliver_all).await;
    }

    /// The cost of a decision depends on its changes, not on the length of the queue.
    async fn a_long_queue(&mut self) {
        for number in 0..50 {
            submit(&self.environment, &format!("q{number}"), 4).await;
        }
        let cluster = self.cluster().await.reference();
        self.count("dispatch of the first of 50 jobs", async |it| dispatch(it, &cluster).await)
            .await;
        self.count("dispatch, all nodes busy", async |it| dispatch(it, &cluster).await).await;
        self.count("GET nodes, 4 busy", list_nodes).await;
        self.count("GET the first 10 of 50 queued jobs", async |it| {
            let clusters = &it.control.clusters;
            let (first, service) = ((None, 10), Principal::Service);
            let page = clusters.queued_jobs(&names(), &Name::new("c"), first, &service).await;
            let jobs = page.unwrap().items;
            assert_eq!(jobs.len(), 10);
            it.control.jobs.waiting_reasons(&jobs).await.unwrap();
        })
        .await;
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
        "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
        "customToolkitSettings": {"commandLine": "python train.py"},
    }});
    let request = wire::parse_job_create(body.to_string().as_bytes()).unwrap();
    environment.control.jobs.put(&path(), &Name::new(name), &request).await.unwrap();
}

async fn list_nodes(environment: &Environment) {
    let clusters = &environment.control.clusters;
    let nodes = clusters.nodes_with_jobs(&names(), &Name::new("c"), &Principal::Service).await;
    assert_eq!(nodes.unwrap().len(), 4);
}

/// One pass of the dispatcher alone.
async fn dispatch(environment: &Environment, cluster: &ClusterRef) {
    environment.hints.clear();
    let target = Target::Cluster { cluster: cluster.clone() };
    environment.control.reconcile(Function::Dispatcher, &target).await.unwrap();
}

/// Sends a report of the agent of a node; returns the desired state.
async fn sync(
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
        login_port: Some(2222),
        metrics: None,
        job_metrics: Vec::new(),
    };
    let answer = environment
        .control
        .nodes
        .sync(&node.cluster, &node.id, &AgentIdentity::Node, &request)
        .await;
    answer.expect("the node is known").desired
}
