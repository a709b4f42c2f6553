//! A job of every toolkit on two nodes, with recorders in place of the frameworks: which processes start where, with
//! which arguments, and where their output goes.

use super::service::Service;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// In place of `python`, `cntk` and `caffe`. Prints the node, its name and arguments, and its place in the job.
const FRAMEWORK: &str = r#"#!/bin/bash
role=$(grep -o '"type":"[a-z]*"' <<<"$TF_CONFIG")
echo "$AZ_BATCHAI_NODE_ID: $(basename "$0") $* |$AZ_BATCHAI_TASK_INDEX $RANK/$WORLD_SIZE $role"
[ "$role" != '"type":"ps"' ] || sleep 1000
"#;

/// In place of `mpirun`: prints its arguments and the host file, and runs one rank.
const MPI: &str = r#"#!/bin/bash
echo "mpirun $1 $2 $3 $(cut -d' ' -f2- "$4" | paste -sd,)"
"${@:5}"
"#;

/// Standard output of a job of two nodes by file, with N0 for its master and N1 for the other node.
async fn outputs(service: &Service, name: &str, toolkit: Value) -> BTreeMap<String, String> {
    let programs = service.root().join("programs");
    let mut more = json!({
        "nodeCount": 2,
        "inputDirectories": [{"id": "S", "path": "$AZ_BATCHAI_MOUNT_ROOT/nfs/a b"}],
        "environmentVariables": [
            {"name": "PATH", "value": format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display())},
        ],
        "customToolkitSettings": null,
    });
    more.as_object_mut().unwrap().extend(toolkit.as_object().unwrap().clone());
    service.submit(name, "", more).await;
    service.job_in(name, "succeeded").await;
    let nodes = service.nodes_of(name).await;
    let mut outputs = BTreeMap::new();
    for file in service.files(name, "stdouterr", ".").await {
        let file = file["name"].as_str().unwrap();
        if let Some(label) = file.strip_prefix("stdout").and_then(|it| it.strip_suffix(".txt")) {
            let text = service.output(name, ".", file).await;
            let text = text.replace(&nodes[0], "N0").replace(&nodes[1], "N1");
            outputs.insert(label.to_owned(), text.trim_end().to_owned());
        }
    }
    outputs
}

fn install(programs: &Path) {
    fs::create_dir(programs).unwrap();
    for (name, text) in
        [("python", FRAMEWORK), ("cntk", FRAMEWORK), ("caffe", FRAMEWORK), ("mpirun", MPI)]
    {
        let path = programs.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn script() -> Value {
    json!({"pythonScriptFilePath": "\"$AZ_BATCHAI_INPUT_S/t.py\"", "commandLineArgs": "--index '$X' $AZ_BATCHAI_TASK_INDEX"})
}

fn with(mut settings: Value, more: Value) -> Value {
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

/// Name of the job, settings, and its outputs by label.
type Case = (&'static str, Value, Vec<(&'static str, &'static str)>);

fn started_on_the_master() -> Vec<Case> {
    vec![
        (
            "custom",
            json!({"customToolkitSettings": {"commandLine": "python a b"}}),
            vec![("", "N0: python a b | / ")],
        ),
        (
            "custommpi",
            json!({"customMpiSettings": {"commandLine": "python 'a  b'", "processCount": 3}}),
            vec![(
                "",
                "mpirun -n 3 --hostfile slots=2 max-slots=2,slots=2 max-slots=2\nN0: python a  b | / ",
            )],
        ),
        (
            "horovod",
            json!({"horovodSettings": script()}),
            vec![(
                "",
                "mpirun -n 2 --hostfile slots=1 max-slots=1,slots=1 max-slots=1\nN0: python MOUNT/a b/t.py --index $X | / ",
            )],
        ),
        (
            "chainer",
            json!({"chainerSettings": with(script(), json!({"processCount": 2}))}),
            vec![(
                "",
                "mpirun -n 2 --hostfile slots=1 max-slots=1,slots=1 max-slots=1\nN0: python MOUNT/a b/t.py --index $X | / ",
            )],
        ),
        (
            "cntk",
            json!({"cntkSettings": {"configFilePath": "net.cntk", "commandLineArgs": "rootDir=."}}),
            vec![(
                "",
                "mpirun -n 2 --hostfile slots=1 max-slots=1,slots=1 max-slots=1\nN0: cntk configFile=net.cntk rootDir=. | / ",
            )],
        ),
        (
            "caffe",
            json!({"caffeSettings": {"configFilePath": "s.prototxt", "processCount": 1}}),
            vec![("", "N0: caffe train --solver=s.prototxt | / ")],
        ),
    ]
}

fn started_on_every_node() -> Vec<Case> {
    vec![
        (
            "caffe2",
            json!({"caffe2Settings": script()}),
            vec![
                ("-0", "N0: python MOUNT/a b/t.py --index $X 0 |0 / "),
                ("-1", "N1: python MOUNT/a b/t.py --index $X 1 |1 / "),
            ],
        ),
        (
            "pytorch",
            json!({"pyTorchSettings": with(script(), json!({"processCount": 3, "communicationBackend": "Gloo"}))}),
            vec![
                ("-0", "N0: python MOUNT/a b/t.py --index $X 0 |0 0/3 "),
                ("-1", "N0: python MOUNT/a b/t.py --index $X 1 |1 1/3 "),
                ("-2", "N1: python MOUNT/a b/t.py --index $X 2 |2 2/3 "),
            ],
        ),
        (
            "tensorflow",
            json!({"tensorFlowSettings": {
                "pythonScriptFilePath": "t.py",
                "masterCommandLineArgs": "--job_name=worker --task_index=$AZ_BATCHAI_TASK_INDEX; sleep 1",
                "workerCommandLineArgs": "--job_name=worker --task_index=$AZ_BATCHAI_TASK_INDEX",
                "parameterServerCommandLineArgs": "--job_name=ps",
                "workerCount": 2,
                "parameterServerCount": 1,
            }}),
            vec![
                ("-ps-0", "N0: python t.py --job_name=ps |0 / \"type\":\"ps\""),
                (
                    "-wk-0",
                    "N0: python t.py --job_name=worker --task_index=0 |0 / \"type\":\"master\"",
                ),
                (
                    "-wk-1",
                    "N1: python t.py --job_name=worker --task_index=1 |1 / \"type\":\"worker\"",
                ),
            ],
        ),
    ]
}

#[tokio::test]
async fn every_toolkit_starts_its_processes() {
    let service = Service::start_with(&["--max-nodes", "2"]);
    install(&service.root().join("programs"));
    service.prepare(2).await;
    let mount = service.get("/clusters/c").await;
    assert!(mount["properties"].is_object(), "{mount:#}");
    for (name, toolkit, expected) in started_on_the_master().iter().chain(&started_on_every_node())
    {
        let outputs = outputs(&service, name, toolkit.clone()).await;
        let found: Vec<(&str, String)> =
            outputs.iter().map(|(label, text)| (label.as_str(), without_root(text))).collect();
        let expected: Vec<(&str, String)> =
            expected.iter().map(|(label, text)| (*label, text.trim_end().to_owned())).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// With MOUNT for the path at which the node has the file server.
fn without_root(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once("/mounts/nfs/") {
        Some((_, rest)) => format!("MOUNT/{rest}"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_process_that_fails_on_any_node_ends_the_job_with_its_exit_code() {
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(2).await;
    let script = service.file_server().join("fail");
    fs::write(script, "test $AZ_BATCHAI_TASK_INDEX = 0 && exec sleep 1000\nexit 7\n").unwrap();
    let settings = json!({
        "pythonInterpreterPath": "bash",
        "pythonScriptFilePath": "$AZ_BATCHAI_MOUNT_ROOT/nfs/fail",
    });
    for (name, toolkit) in [("p", "pyTorchSettings"), ("t", "tensorFlowSettings")] {
        let mut more = json!({"nodeCount": 2, "customToolkitSettings": null});
        more[toolkit] = settings.clone();
        service.submit(name, "", more).await;
        let job = service.job_in(name, "failed").await;
        assert_eq!(super::api::exit_code(&job), Some(7), "{job:#}");
    }
}

fn is_installed(program: &str) -> bool {
    let found = Path::new("/usr/bin").join(program).exists();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

const MPI4PY: &str = "
mpi4py==4.1.1
";

const ALLREDUCE: &str = r#"
import os
from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.rank + 1)
nodes = world.allgather(os.environ["AZ_BATCHAI_NODE_ID"])
if world.rank == 0:
    print(world.size, total, [nodes.count(node) for node in sorted(set(nodes))])
"#;

#[tokio::test]
async fn ranks_of_open_mpi_on_two_nodes_reduce_a_sum() {
    if !is_installed("mpirun") || !is_installed("ssh") {
        return;
    }
    let python = tokio::task::spawn_blocking(|| tests::python::environment(MPI4PY)).await.unwrap();
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(2).await;
    fs::write(service.file_server().join("allreduce.py"), ALLREDUCE).unwrap();
    let settings = json!({
        "pythonInterpreterPath": python,
        "pythonScriptFilePath": "$AZ_BATCHAI_MOUNT_ROOT/nfs/allreduce.py",
        "processCount": 4,
    });
    let more = json!({
        "nodeCount": 2, "customToolkitSettings": null, "horovodSettings": settings,
    });
    service.submit("j", "", more).await;
    service.job_in("j", "succeeded").await;
    assert_eq!(service.output("j", ".", "stdout.txt").await, "4 10 [2, 2]\n");
}

const TRAINING: &str = r#"
import os
import sys
import time

import checkpoint

path = os.path.join(os.environ["AZ_BATCHAI_OUTPUT_MODEL"], "state-" + os.environ["RANK"])
step = checkpoint.load(path, default=0)
print("from step", step, flush=True)
assert checkpoint.seconds_left() is None
while step < 60:
    time.sleep(0.05)
    step += 1
    if checkpoint.is_requested():
        assert 0 < checkpoint.seconds_left() <= 10, checkpoint.seconds_left()
        checkpoint.save(path, step)
        print("saved step", step, flush=True)
        sys.exit(checkpoint.INTERRUPTED)
print("complete", flush=True)
"#;

/// With `examples/checkpoint.py`.
#[tokio::test]
async fn an_interrupted_job_of_two_nodes_resumes_every_rank() {
    let service = Service::start_with(&["--max-nodes", "3"]);
    service.prepare(3).await;
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/checkpoint.py");
    fs::copy(example, service.file_server().join("checkpoint.py")).unwrap();
    fs::write(service.file_server().join("train.py"), TRAINING).unwrap();
    let settings = json!({
        "pythonInterpreterPath": "python3",
        "pythonScriptFilePath": "$AZ_BATCHAI_MOUNT_ROOT/nfs/train.py",
    });
    let more = json!({
        "nodeCount": 2, "customToolkitSettings": null, "pyTorchSettings": settings,
        "outputDirectories": [{"id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs"}],
    });
    service.submit("j", "", more).await;
    super::service::until("both ranks train", async || {
        let files = service.files("j", "stdouterr", ".").await;
        let size = |name: &str| {
            let file = files.iter().find(|file| file["name"] == name)?;
            file["properties"]["contentLength"].as_u64()
        };
        (size("stdout-0.txt")? > 0 && size("stdout-1.txt")? > 0).then_some(())
    })
    .await;
    let nodes = service.nodes_of("j").await;
    let output = service.batchai(&["node", "interrupt", &nodes[1], "--notice-seconds", "10"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let job = service.job_in("j", "succeeded").await;
    assert_eq!(super::api::attempts(&job), 2, "{job:#}");
    for rank in 0..2 {
        let file = format!("stdout-{rank}.txt");
        let first = service.output("j", "attempt-1", &file).await;
        let step = first.split_once("saved step ").expect("a checkpoint").1.trim();
        let second = service.output("j", ".", &file).await;
        assert_eq!(second, format!("from step {step}\ncomplete\n"), "after {first}");
    }
}
