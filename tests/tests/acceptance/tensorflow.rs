//! TensorFlow itself on two nodes: workers that sum a value together, found by `TF_CONFIG`, and the classic cluster of
//! a parameter server and workers, found by the variables of Batch AI.

use super::service::Service;
use serde_json::{Value, json};
use std::fs;

const TENSORFLOW: &str = "
tensorflow-cpu==2.21.0
";

const WORKERS: &str = r#"
import json, os
import tensorflow as tf

strategy = tf.distribute.MultiWorkerMirroredStrategy()
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
value = lambda context: tf.constant(index + 1.0)
own = strategy.experimental_distribute_values_from_function(value)
total = strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None)
print("worker", index, "of", strategy.num_replicas_in_sync, "sums", float(total), flush=True)
"#;

/// Each worker adds to a variable of the parameter server; the master waits for the other one.
const PARAMETER_SERVER: &str = r#"
import os, sys, time
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
role, index = sys.argv[1], int(os.environ["AZ_BATCHAI_TASK_INDEX"])
hosts = {
    "ps": os.environ["AZ_BATCHAI_PS_HOSTS"].split(","),
    "worker": os.environ["AZ_BATCHAI_WORKER_HOSTS"].split(","),
}
server = tf.train.Server(tf.train.ClusterSpec(hosts), job_name=role, task_index=index)
if role == "ps":
    server.join()
with tf.device("/job:ps/task:0"):
    total = tf.get_variable("total", initializer=0.0)
    add = total.assign_add(index + 1.0)
# The master initializes, the others wait for that.
with tf.train.MonitoredTrainingSession(server.target, is_chief=index == 0) as session:
    session.run(add)
    while index == 0 and session.run(total) < 3:
        time.sleep(0.1)
    print("worker", index, "of", len(hosts["worker"]), flush=True)
"#;

async fn run(service: &Service, name: &str, script: &str, more: Value) -> Vec<String> {
    let python =
        tokio::task::spawn_blocking(|| tests::python::environment(TENSORFLOW)).await.unwrap();
    fs::write(service.file_server().join(format!("{name}.py")), script).unwrap();
    let mut settings = json!({
        "pythonInterpreterPath": python,
        "pythonScriptFilePath": format!("$AZ_BATCHAI_MOUNT_ROOT/nfs/{name}.py"),
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let more = json!({
        "nodeCount": 2, "customToolkitSettings": null, "tensorFlowSettings": settings,
    });
    service.submit(name, "", more).await;
    service.job_in(name, "succeeded").await;
    let mut outputs = Vec::new();
    for index in 0..2 {
        outputs.push(service.output(name, ".", &format!("stdout-wk-{index}.txt")).await);
    }
    outputs
}

#[tokio::test]
async fn workers_find_each_other() {
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(2).await;
    let outputs = run(&service, "workers", WORKERS, json!({"parameterServerCount": 0})).await;
    assert_eq!(outputs, ["worker 0 of 2 sums 3.0\n", "worker 1 of 2 sums 3.0\n"]);
    let arguments = json!({
        "masterCommandLineArgs": "worker",
        "workerCommandLineArgs": "worker",
        "parameterServerCommandLineArgs": "ps",
    });
    let outputs = run(&service, "classic", PARAMETER_SERVER, arguments).await;
    assert_eq!(outputs[0], "worker 0 of 2\n");
}
