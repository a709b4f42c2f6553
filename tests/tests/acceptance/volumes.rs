//! Azure file shares, blob containers and buckets, which `batchai local` keeps as directories.

use super::api::{self, exit_code};
use super::service::{Service, program};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn share(url: &str, path: &str) -> Value {
    json!({ "accountName": "Lab", "azureFileUrl": format!("https://Lab.file.core.windows.net/{url}"),
        "credentials": { "accountKey": "bm9uZQ==" }, "relativeMountPath": path })
}

fn container(name: &str, path: &str) -> Value {
    json!({ "accountName": "Lab", "containerName": name,
        "credentials": { "accountKey": "bm9uZQ==" }, "relativeMountPath": path,
        "mountOptions": "--file-cache-timeout=0" })
}

/// A service with a cluster of one node that mounts this, and an experiment.
async fn prepare(service: &Service, mounts: Value) {
    service.create("", &json!({ "location": "local" })).await;
    service.create("/experiments/e", &json!({})).await;
    let mut cluster = api::cluster(json!({ "autoScale": {
        "minimumNodeCount": 0, "maximumNodeCount": 1 } }));
    cluster["properties"]["nodeSetup"] = json!({ "mountVolumes": mounts });
    service.create("/clusters/c", &cluster).await;
}

/// The names of the entries of an output directory, as the service lists them.
async fn names(service: &Service, job: &str, id: &str, directory: &str) -> Vec<String> {
    let files = service.files(job, id, directory).await;
    files.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}

/// The content of a file, read through its link without a token.
async fn content(service: &Service, job: &str, id: &str, directory: &str, name: &str) -> String {
    let files = service.files(job, id, directory).await;
    let file = files.iter().find(|file| file["name"] == name).unwrap();
    let link = file["downloadUrl"].as_str().unwrap();
    let answer = service.send(service.http.get(link)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text
}

/// The files below a directory, relative to it.
fn tree(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(next) = pending.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => pending.push(path),
                false => found.push(path.strip_prefix(directory).unwrap().display().to_string()),
            }
        }
    }
    found.sort();
    found
}

/// A job with a share and a container of its own, beside those of the cluster.
const COMMAND: &str = "cat $AZ_BATCHAI_INPUT_SCRIPTS/train.sh $AZ_BATCHAI_MOUNT_ROOT/data/input.txt; \
    mkdir $AZ_BATCHAI_OUTPUT_MODEL/deep; echo model > $AZ_BATCHAI_OUTPUT_MODEL/deep/m.txt; \
    echo own > $AZ_BATCHAI_OUTPUT_OWN/o.txt";

fn job() -> Value {
    api::job(
        COMMAND,
        json!({
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/logs",
            "mountVolumes": {
                "azureFileShares": [share("Scripts/of%20job", "scripts")],
                "azureBlobFileSystems": [container("own", "own")],
            },
            "inputDirectories": [{ "id": "SCRIPTS", "path": "$AZ_BATCHAI_JOB_MOUNT_ROOT/scripts" }],
            "outputDirectories": [
                { "id": "MODEL", "pathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/data", "pathSuffix": "m" },
                { "id": "OWN", "pathPrefix": "$AZ_BATCHAI_JOB_MOUNT_ROOT/own" },
            ],
        }),
    )
}

#[tokio::test]
async fn a_job_reads_and_writes_azure_storage_without_azure() {
    let mut service = Service::start();
    let azure = service.data_dir().join("azure");
    let input = azure.join("blobs/lab/data");
    fs::create_dir_all(&input).unwrap();
    fs::write(input.join("input.txt"), "input\n").unwrap();
    let scripts = azure.join("files/lab/scripts/of job");
    fs::create_dir_all(&scripts).unwrap();
    fs::write(scripts.join("train.sh"), "script\n").unwrap();
    prepare(
        &service,
        json!({ "azureFileShares": [share("Logs/", "logs")],
            "azureBlobFileSystems": [container("data", "data")] }),
    )
    .await;
    service.create("/experiments/e/jobs/j", &job()).await;
    let ended = service.job_in("j", "succeeded").await;
    let mounts = &ended["properties"]["mountVolumes"];
    assert_eq!(mounts["azureFileShares"][0]["credentials"], json!({}), "{ended:#}");

    assert_eq!(
        names(&service, "j", "stdouterr", ".").await,
        ["execution.log", "stderr.txt", "stdout.txt"]
    );
    assert_eq!(service.output("j", ".", "stdout.txt").await, "script\ninput\n");
    // A directory of a container is listed once.
    assert_eq!(names(&service, "j", "MODEL", ".").await, ["deep"]);
    assert_eq!(content(&service, "j", "MODEL", "deep", "m.txt").await, "model\n");
    assert_eq!(content(&service, "j", "OWN", ".", "o.txt").await, "own\n");
    let log = service.output("j", ".", "execution.log").await;
    assert!(log.contains("/azure/files/lab/scripts/of job at "), "{log}");

    // Whose files they are is seen by their paths.
    let segment = ended["properties"]["jobOutputDirectoryPathSegment"].as_str().unwrap();
    let files = tree(&azure).join("\n").replace(segment, "SEGMENT");
    assert_eq!(
        files,
        "blobs/lab/data/SEGMENT/outputs/m/deep/m.txt\nblobs/lab/data/input.txt\n\
         blobs/lab/own/SEGMENT/outputs/o.txt\nfiles/lab/logs/SEGMENT/stdouterr/execution.log\n\
         files/lab/logs/SEGMENT/stdouterr/stderr.txt\nfiles/lab/logs/SEGMENT/stdouterr/stdout.txt\n\
         files/lab/scripts/of job/train.sh"
    );
    assert_eq!(service.stop(), Some(0));
    service.restart();
    assert_eq!(service.output("j", ".", "stdout.txt").await, "script\ninput\n");
}

#[tokio::test]
async fn a_directory_that_a_share_does_not_have_is_a_mount_error() {
    let service = Service::start();
    prepare(&service, json!({ "azureFileShares": [share("logs", "logs")] })).await;
    let more = json!({
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/logs",
        "mountVolumes": { "azureFileShares": [share("logs/none", "none")] },
    });
    service.submit("j", "true", more).await;
    let job = service.job_in("j", "failed").await;
    let error = &job["properties"]["executionInfo"]["errors"][0];
    assert_eq!(error["code"], "AZFMountError", "{job:#}");
    assert_eq!(error["message"], "Unable to mount Azure File");
    assert_eq!(exit_code(&job), Some(-1));
    let details = error["details"].to_string();
    assert!(details.contains("Create the directory in the file share first"), "{details}");
    for url in ["https://lab.file.core.windows.net/../x", "https://../x", "https://lab.file/%2e%2e"]
    {
        let mut body = job_body_of(url);
        body["properties"]["stdOutErrPathPrefix"] = json!("$AZ_BATCHAI_MOUNT_ROOT/logs");
        service.put("/experiments/e/jobs/bad", &body).await.error(400);
    }
}

fn job_body_of(url: &str) -> Value {
    let mut mount = share("x", "x");
    mount["azureFileUrl"] = json!(url);
    api::job("true", json!({ "mountVolumes": { "azureFileShares": [mount] } }))
}

#[tokio::test]
async fn a_volume_can_be_mapped_to_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let [data, bucket] = ["real data", "bucket"].map(|name| root.path().join(name));
    for directory in [&data, &bucket] {
        fs::create_dir(directory).unwrap();
        fs::write(directory.join("input.txt"), "mapped\n").unwrap();
    }
    let data_dir = root.path().join("data");
    let mapped = format!("https://LAB.blob.core.windows.net/Data={}", data.display());
    let s3 = format!("s3://lab-bucket={}", bucket.display());
    let service = Service::start_in(root, data_dir, &["--map", &mapped, "--map", &s3]);
    let buckets = json!([{ "bucket": "lab-bucket", "prefix": "runs/of j", "relativeMountPath": "s3" },
        { "bucket": "lab-bucket", "relativeMountPath": "all", "readOnly": true }]);
    prepare(
        &service,
        json!({ "azureBlobFileSystems": [container("data", "data")],
            "extensions": { "s3Buckets": buckets } }),
    )
    .await;
    let cluster = service.get("/clusters/c").await;
    let shown = &cluster["properties"]["nodeSetup"]["mountVolumes"]["extensions"]["s3Buckets"];
    assert_eq!(
        shown[1],
        json!({ "bucket": "lab-bucket", "relativeMountPath": "all", "readOnly": true })
    );
    let command = "cat $AZ_BATCHAI_MOUNT_ROOT/data/input.txt $AZ_BATCHAI_MOUNT_ROOT/all/input.txt";
    let more = json!({ "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/s3" });
    service.submit("j", command, more).await;
    service.job_in("j", "succeeded").await;
    assert_eq!(service.output("j", ".", "stdout.txt").await, "mapped\nmapped\n");
    let path = "/experiments/e/jobs/j/listOutputFiles?outputdirectoryid=none";
    service.ask(Method::POST, path, None).await.error(400);
    assert!(
        tree(&bucket)
            .iter()
            .any(|file| file.starts_with("runs/of j/") && file.ends_with("/stdout.txt"))
    );
    assert!(!service.data_dir().join("azure").exists());
    // Removing what was mounted removes no data.
    let deleted = service.ask(Method::DELETE, "/clusters/c", None).await;
    service.finish("deletion", &deleted).await;
    let deleted = service.ask(Method::DELETE, "", None).await;
    service.finish("deletion", &deleted).await;
    assert_eq!(fs::read_to_string(data.join("input.txt")).unwrap(), "mapped\n");
}

/// `recipes/TensorFlow/TensorFlow-GPU` of `Azure/BatchAI`, without its container.
const RECIPE: &str = r#"{
    "$schema": "https://raw.githubusercontent.com/Azure/BatchAI/master/schemas/2018-05-01/job.json",
    "properties": {
        "nodeCount": 1,
        "tensorFlowSettings": {
            "pythonScriptFilePath": "$AZ_BATCHAI_JOB_MOUNT_ROOT/scripts/tensorflow/convolutional.py"
        },
        "stdOutErrPathPrefix": "$AZ_BATCHAI_JOB_MOUNT_ROOT/logs",
        "mountVolumes": {
            "azureFileShares": [
                {
                    "azureFileUrl": "https://<AZURE_BATCHAI_STORAGE_ACCOUNT>.file.core.windows.net/logs",
                    "relativeMountPath": "logs"
                },
                {
                    "azureFileUrl": "https://<AZURE_BATCHAI_STORAGE_ACCOUNT>.file.core.windows.net/scripts",
                    "relativeMountPath": "scripts"
                }
            ]
        }
    }
}"#;

#[tokio::test]
async fn a_published_recipe_runs_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let programs = root.path().join("programs");
    fs::create_dir(&programs).unwrap();
    let python = programs.join("python");
    fs::write(&python, "#!/bin/bash\necho \"python ${1##*/}\"; cat \"$1\"\n").unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let bashrc = format!("export PATH={}:$PATH\n", programs.display());
    fs::write(root.path().join(".bashrc"), bashrc).unwrap();
    let file = root.path().join("job.json");
    fs::write(&file, RECIPE).unwrap();
    let data_dir = root.path().join("data");
    let service = Service::start_in(root, data_dir, &[]);
    prepare(&service, json!({})).await;
    let submit = |account: &[&str]| {
        let mut arguments = vec!["job", "submit", "-n", "r", "--cluster", "c", "-f"];
        arguments.push(file.to_str().unwrap());
        arguments.extend(account);
        let output = service.batchai(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let scripts = service.data_dir().join("azure/files/lab/scripts/tensorflow");
    fs::create_dir_all(&scripts).unwrap();
    fs::write(scripts.join("convolutional.py"), "print('convolutional')\n").unwrap();
    submit(&["--storage-account-name", "lab"]);
    service.job_in("r", "succeeded").await;
    let output = service.output("r", ".", "stdout-wk-0.txt").await;
    assert_eq!(output, "python convolutional.py\nprint('convolutional')\n");
}

#[test]
fn a_wrong_mapping_is_refused_at_the_start() {
    let root = tempfile::tempdir().unwrap();
    let url = "https://lab.file.core.windows.net/data";
    let start = |maps: &[&str]| {
        let mut command = program(&root.path().join("data"));
        command.args(["local", "--listen", "127.0.0.1:0"]);
        for map in maps {
            command.args(["--map", map]);
        }
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(start(&["/tmp"]).contains("URL=DIR"));
    assert!(start(&["https://lab.queue.core.windows.net/data=/tmp"]).contains("URL of a volume"));
    let missing = start(&[&format!("{url}=/no/such/directory")]);
    assert!(missing.contains(url) && missing.contains("No such file or directory"), "{missing}");
    let twice = start(&[&format!("{url}=/tmp"), &format!("{}=/", url.to_uppercase())]);
    assert!(twice.contains("mapped twice"), "{twice}");
}
