//! What AWS charges for the control plane: requests and units are counted here, durations are assumed, prices are list
//! prices. docs/aws.md has the table that this test computes.

use control::Function;
use control::jobs::ExperimentPath;
use control::nodes::AgentIdentity;
use model::{Name, Node, WorkspaceNames};
use protocol::{
    AttemptKey, AttemptReport, CurvePoint, Desired, End, GpuMetrics, JobMetric, MAX_CURVE_POINTS,
    Metrics, NodePhase, Progress, SyncRequest,
};
use serde_json::json;
use tests::environment::Environment;

/// US dollars for a million, in us-east-1 (price pages of the services, November 2026).
mod price {
    pub const API_REQUESTS: f64 = 1.00;
    pub const LAMBDA_REQUESTS: f64 = 0.20;
    /// arm64.
    pub const LAMBDA_GB_SECONDS: f64 = 13.3334;
    pub const READ_UNITS: f64 = 0.125;
    pub const WRITE_UNITS: f64 = 0.625;
    /// FIFO queues.
    pub const SQS_REQUESTS: f64 = 0.50;
    /// Of CloudWatch, for a million times this many bytes: what Lambda writes for an invocation.
    pub const LOG_BYTES: f64 = 370.0 * 0.50e-3;
}

/// Memory of the functions in the template.
const MEMORY_GB: f64 = 0.25;

/// Duration of an invocation, cold starts included. Assumed, not measured on AWS.
const SECONDS: f64 = 0.020;

/// A hint is sent, received and deleted. Batches make it less.
const REQUESTS_PER_HINT: f64 = 3.0;

/// The aims: for a million single-node jobs, and for an hour of a node, 1 % of the cheapest GPU spot instance
/// (g4dn.xlarge at 0.16 USD).
const MOST_FOR_JOBS: f64 = 20.0;
const MOST_FOR_A_NODE_HOUR: f64 = 0.0016;

/// The same with four full curves of numbers with all digits, new in every report: little more than an idle node.
const MOST_WITH_METRICS: f64 = 0.0019;

/// What is charged.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) api_requests: f64,
    pub(crate) invocations: f64,
    pub(crate) hints: f64,
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
}

impl Usage {
    /// US dollars for a million times this.
    pub(crate) fn price_of_a_million(self) -> f64 {
        self.api_requests * price::API_REQUESTS
            + self.invocations * (price::LAMBDA_REQUESTS + price::LOG_BYTES)
            + self.invocations * SECONDS * MEMORY_GB * price::LAMBDA_GB_SECONDS
            + self.hints * REQUESTS_PER_HINT * price::SQS_REQUESTS
            + self.read_units * price::READ_UNITS
            + self.write_units * price::WRITE_UNITS
    }

    pub(crate) fn row(self, what: &str, times: f64) -> String {
        let Self { api_requests, invocations, hints, read_units, write_units } = self;
        let price = self.price_of_a_million() * times / 1e6;
        format!(
            "| {what} | {api_requests} | {invocations} | {hints} | {read_units} | {write_units} | {price:.4} |\n"
        )
    }
}

#[tokio::test]
async fn the_control_plane_costs_what_the_documentation_says() {
    let mut meter = Meter::start().await;
    let job = meter.job_on_a_full_cluster().await;
    let running = meter.hour_of_a_running_node().await;
    let reporting = meter.hour_of_a_job_with_metrics().await;
    let idle = meter.hour_of_an_idle_node().await;
    let day = day_without_clusters().await;
    let mut table = String::new();
    table.push_str(
        &job.row("a million single-node jobs on a full cluster; columns: of one job", 1e6),
    );
    table.push_str(&running.row("an hour of a node that runs a job", 1.0));
    let what = "an hour of a node whose job has four new metrics in every report";
    table.push_str(&reporting.row(what, 1.0));
    table.push_str(&idle.row("an hour of an idle node", 1.0));
    table.push_str(&day.row("a day without active clusters", 1.0));
    let documented = include_str!("../../../docs/aws.md");
    assert!(documented.contains(&table), "docs/aws.md must have these rows:\n{table}");

    assert!(job.price_of_a_million() < MOST_FOR_JOBS, "{job:?}");
    for hour in [running, idle] {
        assert!(hour.price_of_a_million() / 1e6 < MOST_FOR_A_NODE_HOUR, "{hour:?}");
    }
    assert!(reporting.price_of_a_million() / 1e6 < MOST_WITH_METRICS, "{reporting:?}");
}

/// A cluster of two nodes, and what was charged since the last look.
pub(crate) struct Meter {
    pub(crate) environment: Environment,
    /// Requests of people, through the HTTP API.
    submissions: f64,
    /// Requests of agents, through the function URL.
    reports: f64,
    /// Whether the job has new metrics in every report.
    has_metrics: bool,
}

impl Meter {
    pub(crate) async fn start() -> Self {
        let environment = Environment::new(1);
        let control = &environment.control;
        let workspace = wire::parse_workspace_create(br#"{"location":"here"}"#).unwrap();
        control.workspaces.put(&names(), &workspace).await.unwrap();
        control.experiments.put(&names(), &Name::new("e")).await.unwrap();
        let body = json!({"properties": {
            "vmSize": "STANDARD_NC6",
            "scaleSettings": {"manual": {"targetNodeCount": 2}},
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
        }});
        let request = wire::parse_cluster_create(body.to_string().as_bytes()).unwrap();
        control.clusters.put(&names(), &Name::new("c"), &request).await.unwrap();
        environment.deliver_all().await;
        let mut meter = Self { environment, submissions: 0.0, reports: 0.0, has_metrics: false };
        for node in meter.nodes().await {
            meter.report(&node, NodePhase::Preparing, None).await;
            meter.report(&node, NodePhase::Ready, None).await;
        }
        meter.environment.deliver_all().await;
        meter
    }

    async fn nodes(&self) -> Vec<Node> {
        let clusters = &self.environment.control.clusters;
        let (cluster, _) = clusters.get(&names(), &Name::new("c")).await.unwrap();
        clusters.nodes(&cluster).await.unwrap()
    }

    pub(crate) async fn submit(&mut self, name: &str) {
        let cluster =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c";
        let body = json!({"properties": {
            "cluster": {"id": cluster},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
            "customToolkitSettings": {"commandLine": "python train.py"},
        }});
        let request = wire::parse_job_create(body.to_string().as_bytes()).unwrap();
        let path = ExperimentPath { workspace: names(), experiment: Name::new("e") };
        self.environment.control.jobs.put(&path, &Name::new(name), &request).await.unwrap();
        self.submissions += 1.0;
    }

    /// A report of the agent: the desired state, and the milliseconds until the next one.
    async fn report(
        &mut self,
        node: &Node,
        phase: NodePhase,
        attempt: Option<AttemptReport>,
    ) -> (Desired, u64) {
        let request = SyncRequest {
            instance: format!("i-{}", node.id),
            address: "10.0.0.4".to_owned(),
            phase,
            attempt,
            interruption_notice_seconds: None,
            login_port: Some(2222),
            metrics: Some(self.measured()),
            job_metrics: self.job_metrics(),
        };
        self.reports += 1.0;
        let nodes = &self.environment.control.nodes;
        let answer = nodes.sync(&node.cluster, &node.id, &AgentIdentity::Node, &request).await;
        let answer = answer.unwrap();
        (answer.desired, answer.ask_again_millis)
    }

    /// Of a large node; the load is never the same.
    fn measured(&self) -> Metrics {
        let gpu = GpuMetrics {
            utilization_percent: Some(100),
            memory_used_mib: Some(80_000),
            memory_total_mib: Some(81_559),
        };
        Metrics {
            load_percent: (self.environment.now().0 % 19_200) as u32,
            memory_used_mib: 1_000_000,
            memory_total_mib: 2_000_000,
            gpus: vec![gpu; 8],
        }
    }

    /// Full curves with values of many digits; the latest step is never the same.
    fn job_metrics(&self) -> Vec<JobMetric> {
        let latest = self.environment.now().0.cast_unsigned() / 1000;
        let point = |index: usize| {
            let (step, value) =
                (latest - (MAX_CURVE_POINTS - index) as u64, 1.0 / (index + 3) as f64);
            CurvePoint { step, value, minimum: value, maximum: 1.0 / 3.0 }
        };
        let names = ["loss", "accuracy", "validation/loss", "validation/accuracy"];
        let names = names.iter().filter(|_| self.has_metrics);
        let metric = |name: &&str| JobMetric {
            name: (*name).to_owned(),
            points: (0..MAX_CURVE_POINTS).map(point).collect(),
        };
        names.map(metric).collect()
    }

    /// What a step is charged for, with the hints that it causes.
    async fn usage(&mut self, step: impl AsyncFnOnce(&mut Self)) -> Usage {
        self.environment.deliver_all().await;
        let (submissions, reports) = (self.submissions, self.reports);
        let hints = self.environment.hints.sent();
        let before = self.environment.table().consumed();
        step(self).await;
        self.environment.deliver_all().await;
        let after = self.environment.table().consumed();
        let hints = f64::from(self.environment.hints.sent() - hints);
        let submissions = self.submissions - submissions;
        Usage {
            api_requests: submissions,
            invocations: submissions + self.reports - reports + hints,
            hints,
            read_units: after.read_units - before.read_units,
            write_units: after.write_units - before.write_units,
        }
    }

    /// A submission, and the report of an end whose answer has the next assignment.
    async fn job_on_a_full_cluster(&mut self) -> Usage {
        for number in 0..6 {
            self.submit(&format!("j{number}")).await;
        }
        let node = self.nodes().await.swap_remove(0);
        let key = self.assigned(&node).await;
        self.usage(async |meter| {
            meter.submit("counted").await;
            let progress = Progress::Ended { end: End::Exited { exit_code: 0 } };
            let report = AttemptReport::new(key, progress);
            let (desired, _) = meter.report(&node, NodePhase::Ready, Some(report)).await;
            assert!(matches!(desired, Desired::Run { start: true, .. }), "{desired:?}");
        })
        .await
    }

    async fn assigned(&mut self, node: &Node) -> AttemptKey {
        match self.report(node, NodePhase::Ready, None).await {
            (Desired::Run { key, .. }, _) => key,
            (other, _) => panic!("expected an assignment, got {other:?}"),
        }
    }

    async fn hour_of_a_running_node(&mut self) -> Usage {
        let node = self.nodes().await.swap_remove(0);
        let key = self.assigned(&node).await;
        let report = AttemptReport::new(key, Progress::Running);
        self.hour(&node, Some(&report)).await
    }

    async fn hour_of_a_job_with_metrics(&mut self) -> Usage {
        self.has_metrics = true;
        let usage = self.hour_of_a_running_node().await;
        self.has_metrics = false;
        usage
    }

    async fn hour_of_an_idle_node(&mut self) -> Usage {
        let mut fresh = Self::start().await;
        let node = fresh.nodes().await.swap_remove(0);
        fresh.hour(&node, None).await
    }

    /// An hour in which nothing happens at the node.
    async fn hour(&mut self, node: &Node, report: Option<&AttemptReport>) -> Usage {
        self.usage(async |meter| {
            let end = meter.environment.now().plus_seconds(3600);
            while meter.environment.now() < end {
                let (_, pause) = meter.report(node, NodePhase::Ready, report.cloned()).await;
                // Agents add up to a tenth at random.
                meter.environment.clock.advance_millis((pause + pause / 20).cast_signed());
            }
        })
        .await
    }
}

/// The schedule of each function, every minute.
async fn day_without_clusters() -> Usage {
    let environment = Environment::new(1);
    let before = environment.table().consumed();
    environment.run_schedule().await;
    let after = environment.table().consumed();
    let (visits, functions) = (24.0 * 60.0, Function::ALL.len() as f64);
    Usage {
        invocations: visits * functions,
        read_units: visits * (after.read_units - before.read_units),
        ..Usage::default()
    }
}

fn names() -> WorkspaceNames {
    WorkspaceNames {
        subscription: Name::new("s"),
        resource_group: Name::new("g"),
        workspace: Name::new("w"),
    }
}
