//! TensorFlow: worker i on node i modulo the number of nodes, parameter server j likewise. The first worker is the
//! master: the job ends with it. Ports are counted up on each node, those of parameter servers first.

use super::{Gang, LaunchPlan, Process, ports, program, variable};
use protocol::TensorFlow;
use serde::Serialize;

/// `TF_CONFIG` (docs/contract.md, "Environment variables").
#[derive(Serialize)]
struct Config<'a> {
    cluster: &'a Cluster,
    task: Task,
    environment: &'static str,
}

/// The addresses of all processes by role.
#[derive(Serialize)]
struct Cluster {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ps: Vec<String>,
    worker: Vec<String>,
}

#[derive(Serialize)]
struct Task {
    #[serde(rename = "type")]
    kind: &'static str,
    index: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Worker,
    ParameterServer,
}

pub fn plan(gang: Gang<'_>, settings: &TensorFlow) -> LaunchPlan {
    let nodes = gang.nodes();
    let workers = settings.worker_count.map_or(nodes, |count| count as usize);
    let servers =
        settings.parameter_server_count.map_or(usize::from(workers > 1), |it| it as usize);
    let cluster = cluster(gang.hosts, workers, servers);
    let here = |index: &usize| index % nodes == gang.rank;
    let local: Vec<usize> = (0..workers).filter(here).collect();
    let distributed = workers + servers > 1;
    let process = |role, index| {
        let mut process = process(settings, role, index);
        if distributed {
            process.variables.push(variable("TF_CONFIG", config(&cluster, role, index)));
            process.variables.extend(devices(role, &local, index, gang.gpus));
        }
        process
    };
    // The master first: it decides.
    let mut processes: Vec<Process> = local.iter().map(|it| process(Role::Worker, *it)).collect();
    processes.extend((0..servers).filter(here).map(|it| process(Role::ParameterServer, it)));
    let variables = vec![
        variable("AZ_BATCHAI_PS_HOSTS", cluster.ps.join(",")),
        variable("AZ_BATCHAI_WORKER_HOSTS", cluster.worker.join(",")),
    ];
    LaunchPlan { processes, variables, slots: 1 }
}

fn cluster(hosts: &[String], workers: usize, servers: usize) -> Cluster {
    let mut next: Vec<u16> = hosts.iter().map(|host| ports::first(host)).collect();
    let mut addresses = |count: usize| {
        let address = |index: usize| {
            let node = index % hosts.len();
            let port = next[node];
            next[node] = port.saturating_add(1);
            format!("{}:{port}", hosts[node])
        };
        (0..count).map(address).collect()
    };
    let ps = addresses(servers);
    Cluster { ps, worker: addresses(workers) }
}

fn process(settings: &TensorFlow, role: Role, index: usize) -> Process {
    let (arguments, label) = match (role, index) {
        (Role::Worker, 0) => (&settings.master_arguments, "wk"),
        (Role::Worker, _) => (&settings.worker_arguments, "wk"),
        (Role::ParameterServer, _) => (&settings.parameter_server_arguments, "ps"),
    };
    Process {
        command_line: program::python(&settings.python, arguments),
        variables: vec![variable("AZ_BATCHAI_TASK_INDEX", index)],
        label: format!("-{label}-{index}"),
    }
}

/// The first worker is the `master` beside parameter servers, as documented. Without them it is a `worker`: TensorFlow
/// 2 takes a master only if the cluster names one.
fn config(cluster: &Cluster, role: Role, index: usize) -> String {
    let kind = match role {
        Role::ParameterServer => "ps",
        Role::Worker if index == 0 && !cluster.ps.is_empty() => "master",
        Role::Worker => "worker",
    };
    let config = Config { cluster, task: Task { kind, index }, environment: "cloud" };
    serde_json::to_string(&config).unwrap_or_default()
}

/// TensorFlow takes all of the memory of every GPU it sees: workers of one node share them out, and parameter servers
/// see none.
fn devices(role: Role, local: &[usize], index: usize, gpus: &[String]) -> Option<(String, String)> {
    if role == Role::ParameterServer {
        return Some(variable("CUDA_VISIBLE_DEVICES", ""));
    }
    let position = local.iter().position(|it| *it == index)?;
    if local.len() < 2 || gpus.len() < local.len() {
        return None;
    }
    let own = gpus.chunks(gpus.len() / local.len()).nth(position)?;
    Some(variable("CUDA_VISIBLE_DEVICES", own.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::testing::{python, table};
    use insta::assert_snapshot;

    fn settings(workers: Option<u32>, servers: Option<u32>) -> TensorFlow {
        TensorFlow {
            python: python("a.py"),
            master_arguments: "--m".into(),
            worker_arguments: "--w $AZ_BATCHAI_TASK_INDEX".into(),
            parameter_server_arguments: "--ps".into(),
            worker_count: workers,
            parameter_server_count: servers,
        }
    }

    #[test]
    fn one_node_has_a_master_alone() {
        assert_snapshot!(table(1, 4, |gang| plan(gang, &settings(None, None))), @r#"
        0 [-wk-0] AZ_BATCHAI_TASK_INDEX=0: python a.py --m
        0 AZ_BATCHAI_PS_HOSTS=
        0 AZ_BATCHAI_WORKER_HOSTS=10.0.0.5:2222
        "#);
    }

    #[test]
    fn two_nodes_have_one_parameter_server_and_two_workers() {
        assert_snapshot!(table(2, 1, |gang| plan(gang, &settings(None, None))), @r#"
        0 [-wk-0] AZ_BATCHAI_TASK_INDEX=0 TF_CONFIG={"cluster":{"ps":["10.0.0.5:2222"],"worker":["10.0.0.5:2223","10.0.0.4:2222"]},"task":{"type":"master","index":0},"environment":"cloud"}: python a.py --m
        0 [-ps-0] AZ_BATCHAI_TASK_INDEX=0 TF_CONFIG={"cluster":{"ps":["10.0.0.5:2222"],"worker":["10.0.0.5:2223","10.0.0.4:2222"]},"task":{"type":"ps","index":0},"environment":"cloud"} CUDA_VISIBLE_DEVICES=: python a.py --ps
        0 AZ_BATCHAI_PS_HOSTS=10.0.0.5:2222
        0 AZ_BATCHAI_WORKER_HOSTS=10.0.0.5:2223,10.0.0.4:2222
        1 [-wk-1] AZ_BATCHAI_TASK_INDEX=1 TF_CONFIG={"cluster":{"ps":["10.0.0.5:2222"],"worker":["10.0.0.5:2223","10.0.0.4:2222"]},"task":{"type":"worker","index":1},"environment":"cloud"}: python a.py --w $AZ_BATCHAI_TASK_INDEX
        1 AZ_BATCHAI_PS_HOSTS=10.0.0.5:2222
        1 AZ_BATCHAI_WORKER_HOSTS=10.0.0.5:2223,10.0.0.4:2222
        "#);
    }

    #[test]
    fn workers_of_one_node_share_its_gpus() {
        assert_snapshot!(table(1, 5, |gang| plan(gang, &settings(Some(2), Some(1)))), @r#"
        0 [-wk-0] AZ_BATCHAI_TASK_INDEX=0 TF_CONFIG={"cluster":{"ps":["10.0.0.5:2222"],"worker":["10.0.0.5:2223","10.0.0.5:2224"]},"task":{"type":"master","index":0},"environment":"cloud"} CUDA_VISIBLE_DEVICES=0,1: python a.py --m
        0 [-wk-1] AZ_BATCHAI_TASK_INDEX=1 TF_CONFIG={"cluster":{"ps":["10.0.0.5:2222"],"worker":["10.0.0.5:2223","10.0.0.5:2224"]},"task":{"type":"worker","index":1},"environment":"cloud"} CUDA_VISIBLE_DEVICES=2,3: python a.py --w $AZ_BATCHAI_TASK_INDEX
        0 [-ps-0] AZ_BATCHAI_TASK_INDEX=0 TF_CONFIG={"cluster":{"ps":["10.0.0.5:2222"],"worker":["10.0.0.5:2223","10.0.0.5:2224"]},"task":{"type":"ps","index":0},"environment":"cloud"} CUDA_VISIBLE_DEVICES=: python a.py --ps
        0 AZ_BATCHAI_PS_HOSTS=10.0.0.5:2222
        0 AZ_BATCHAI_WORKER_HOSTS=10.0.0.5:2223,10.0.0.5:2224
        "#);
    }

    #[test]
    fn without_parameter_servers_all_are_workers() {
        assert_snapshot!(table(2, 1, |gang| plan(gang, &settings(Some(2), Some(0)))), @r#"
        0 [-wk-0] AZ_BATCHAI_TASK_INDEX=0 TF_CONFIG={"cluster":{"worker":["10.0.0.5:2222","10.0.0.4:2222"]},"task":{"type":"worker","index":0},"environment":"cloud"}: python a.py --m
        0 AZ_BATCHAI_PS_HOSTS=
        0 AZ_BATCHAI_WORKER_HOSTS=10.0.0.5:2222,10.0.0.4:2222
        1 [-wk-1] AZ_BATCHAI_TASK_INDEX=1 TF_CONFIG={"cluster":{"worker":["10.0.0.5:2222","10.0.0.4:2222"]},"task":{"type":"worker","index":1},"environment":"cloud"}: python a.py --w $AZ_BATCHAI_TASK_INDEX
        1 AZ_BATCHAI_PS_HOSTS=
        1 AZ_BATCHAI_WORKER_HOSTS=10.0.0.5:2222,10.0.0.4:2222
        "#);
    }

    #[test]
    fn the_documented_ports_of_four_gpus_on_two_nodes() {
        let hosts = ["10.0.0.4", "10.0.0.5"].map(str::to_owned);
        let cluster = cluster(&hosts, 4, 2);
        assert_eq!(cluster.ps, ["10.0.0.4:2222", "10.0.0.5:2222"]);
        let workers = ["10.0.0.4:2223", "10.0.0.5:2223", "10.0.0.4:2224", "10.0.0.5:2224"];
        assert_eq!(cluster.worker, workers);
    }
}
