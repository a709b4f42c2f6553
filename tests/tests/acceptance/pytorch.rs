//! PyTorch itself: data-parallel training over two nodes. Not part of the usual tests, as its package takes 5 GB:
//! `cargo test --test acceptance -- --ignored pytorch`, with `BATCHAI_TEST_TORCH` set to a Python that has torch, unless it
//! is to be installed.

use super::service::Service;
use serde_json::json;
use std::fs;
use std::path::PathBuf;

const TORCH: &str = "
torch==2.15.0
";

/// Each rank has its own input; the gradient is the mean of both.
const TRAINING: &str = r#"
import os
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

rank = int(os.environ["AZ_BATCHAI_TASK_INDEX"])
dist.init_process_group(
    os.environ["AZ_BATCHAI_PYTORCH_BACKEND"],
    init_method=os.environ["AZ_BATCHAI_PYTORCH_INIT_METHOD"],
    rank=rank,
    world_size=int(os.environ["WORLD_SIZE"]),
)
model = DistributedDataParallel(torch.nn.Linear(1, 1, bias=False))
model(torch.full((1, 1), rank + 1.0)).sum().backward()
print(rank, "of", dist.get_world_size(), "gradient", model.module.weight.grad.item(), flush=True)
dist.destroy_process_group()
"#;

#[tokio::test]
#[ignore = "installs PyTorch, 5 GB"]
async fn ranks_on_two_nodes_average_their_gradients() {
    let python = match std::env::var_os("BATCHAI_TEST_TORCH") {
        Some(python) => PathBuf::from(python),
        None => tokio::task::spawn_blocking(|| tests::python::environment(TORCH)).await.unwrap(),
    };
    let service = Service::start_with(&["--max-nodes", "2"]);
    service.prepare(2).await;
    fs::write(service.file_server().join("train.py"), TRAINING).unwrap();
    for (name, backend) in [("gloo", "gloo"), ("again", "Gloo")] {
        let settings = json!({
            "pythonInterpreterPath": python,
            "pythonScriptFilePath": "$AZ_BATCHAI_MOUNT_ROOT/nfs/train.py",
            "communicationBackend": backend,
        });
        let more = json!({
            "nodeCount": 2, "customToolkitSettings": null, "pyTorchSettings": settings,
        });
        service.submit(name, "", more).await;
        service.job_in(name, "succeeded").await;
        for rank in 0..2 {
            let output = service.output(name, ".", &format!("stdout-{rank}.txt")).await;
            assert_eq!(output, format!("{rank} of 2 gradient 1.5\n"));
        }
    }
}
