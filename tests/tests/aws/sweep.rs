//! The experiment of `batchai demo`, submitted as a client does it.

use crate::gateway::OWNER_TOKEN;
use crate::region::{Region, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

/// The job that is interrupted.
pub const LONG_JOB: &str = "hidden8-lr005";

/// The path of a resource of the workspace.
pub fn resource(path: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w{path}"
    )
}

/// The client of the first owner.
pub struct Person {
    http: reqwest::Client,
    endpoint: String,
}

impl Person {
    pub fn new(endpoint: &str) -> Self {
        Self {
            http: tls::Servers::WithoutTls.client().build().unwrap(),
            endpoint: endpoint.to_owned(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let query = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}{path}{query}api-version=2018-05-01", self.endpoint);
        let mut request = self.http.request(method, url).bearer_auth(OWNER_TOKEN);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    pub async fn put(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(Method::PUT, path, Some(body)).await;
        assert!((200..300).contains(&status), "PUT {path}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    pub async fn post(&self, path: &str) -> Value {
        let (status, answer) = self.call(Method::POST, path, None).await;
        assert_eq!(status, 200, "POST {path}: {answer}");
        answer
    }

    pub async fn delete(&self, path: &str) {
        let (status, answer) = self.call(Method::DELETE, path, None).await;
        assert_eq!(status, 202, "DELETE {path}: {answer}");
    }

    /// The status of a GET.
    pub async fn status(&self, path: &str) -> u16 {
        self.call(Method::GET, path, None).await.0
    }

    async fn download(&self, url: &str) -> Vec<u8> {
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        answer.bytes().await.unwrap().to_vec()
    }
}

pub struct Sweep {
    pub jobs: Vec<String>,
    /// The directory of the file server.
    files: PathBuf,
}

impl Sweep {
    /// Creates workspace, file server, cluster and experiment, and submits the jobs.
    pub async fn submit(person: &Person, region: &Region) -> Self {
        person.put(&resource(""), &json!({"location": "eu-west-1"})).await;
        let account = json!({"adminUserName": "u", "adminUserPassword": "p"});
        let server = json!({"properties": {
            "vmSize": "STANDARD_DS1_V2",
            "sshConfiguration": {"userAccountSettings": account},
            "dataDisks": {"diskSizeInGB": 32, "diskCount": 1, "storageAccountType": "Standard_LRS"},
        }});
        person.put(&resource("/fileServers/nfs"), &server).await;
        let ready = async || {
            let server = person.get(&resource("/fileServers/nfs")).await;
            assert_ne!(server["properties"]["provisioningState"], "failed", "{server}");
            (server["properties"]["provisioningState"] == "succeeded").then_some(())
        };
        eventually("the file server is provisioned", Duration::from_secs(60), ready).await;
        let files = only_directory(region.files.path());
        write_data(&files.join("digits"));

        let cluster = json!({"properties": {
            // Only so that the copy of the launch template is made: moto gives instances no group of a template.
            "extensions": {"securityGroups": ["sg-0123456789abcdef0"]},
            "vmSize": "STANDARD_NC6",
            "vmPriority": "lowpriority",
            "userAccountSettings": account,
            "scaleSettings": {"autoScale": {"minimumNodeCount": 0, "maximumNodeCount": 2}},
            "nodeSetup": {"mountVolumes": {"fileServers": [{
                "fileServer": {"id": resource("/fileServers/nfs")},
                "relativeMountPath": "nfs",
            }]}},
        }});
        person.put(&resource("/clusters/spot"), &cluster).await;
        person.put(&resource("/experiments/digits"), &json!({})).await;
        let sweep: Value = serde_json::from_slice(&demo("sweep.json")).unwrap();
        let mut jobs = Vec::new();
        for entry in sweep.as_array().unwrap() {
            let name = entry["name"].as_str().unwrap();
            let arguments = entry["arguments"].as_str().unwrap();
            // Ten times as long, so that it certainly runs when its instance has notice.
            let arguments = match name {
                LONG_JOB => arguments.replace("--epochs 48", "--epochs 480"),
                _ => arguments.to_owned(),
            };
            person.put(&job_path(name), &job(&arguments)).await;
            jobs.push(name.to_owned());
        }
        Self { jobs, files }
    }

    pub fn path(&self, job: &str) -> String {
        job_path(job)
    }

    pub async fn state(&self, person: &Person, job: &str) -> String {
        let job = person.get(&job_path(job)).await;
        job["properties"]["executionState"].as_str().unwrap().to_owned()
    }

    /// Whether the job is in the middle of its training.
    pub fn has_checkpoint(&self, job: &str) -> bool {
        let output = self.output(job);
        output.join("checkpoint.json").exists() && !output.join("result.json").exists()
    }

    fn output(&self, job: &str) -> PathBuf {
        let group = self.files.join(SUBSCRIPTION).join("g/workspaces/w/experiments/digits/jobs");
        let attempt = group.join(job);
        match attempt.exists() {
            true => only_directory(&attempt).join("outputs/model"),
            false => attempt,
        }
    }

    /// The instance on which a job runs.
    pub async fn instance_of(&self, person: &Person, region: &Region, job: &str) -> String {
        let record = person.get(&job_path(job)).await;
        let attempts = &record["properties"]["extensions"]["attempts"];
        let node = attempts[0]["nodes"][0].as_str().unwrap_or_else(|| panic!("{record}"));
        // Its agent has logged which node it is.
        let is_node = |id: &String| {
            let log = region.machines.root.path().join(id).join("console.log");
            std::fs::read_to_string(log).unwrap_or_default().contains(node)
        };
        region.machines.seen().into_iter().map(|it| it.id).find(is_node).unwrap()
    }

    /// The result that the job wrote, downloaded through its link.
    pub async fn result(&self, person: &Person, job: &str) -> Value {
        let path = format!("{}/listOutputFiles?outputdirectoryid=MODEL", job_path(job));
        let listed = person.post(&path).await;
        let files = listed["value"].as_array().unwrap();
        let found = files.iter().find(|it| it["name"] == "result.json");
        let link = found.unwrap_or_else(|| panic!("{listed}"))["downloadUrl"].as_str().unwrap();
        serde_json::from_slice(&person.download(link).await).unwrap()
    }
}

fn job_path(name: &str) -> String {
    resource(&format!("/experiments/digits/jobs/{name}"))
}

fn job(arguments: &str) -> Value {
    let root = "$AZ_BATCHAI_MOUNT_ROOT/nfs";
    let command = format!(
        "python3 \"$AZ_BATCHAI_INPUT_DATA/train.py\" --data \"$AZ_BATCHAI_INPUT_DATA\" \
         --output \"$AZ_BATCHAI_OUTPUT_MODEL\" {arguments}"
    );
    json!({"properties": {
        "cluster": {"id": resource("/clusters/spot")},
        "nodeCount": 1,
        "customToolkitSettings": {"commandLine": command},
        "stdOutErrPathPrefix": root,
        "inputDirectories": [{"id": "DATA", "path": format!("{root}/digits")}],
        "outputDirectories": [{"id": "MODEL", "pathPrefix": root, "pathSuffix": "model"}],
    }})
}

fn demo(file: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../apps/cli/demo");
    std::fs::read(directory.join(file)).unwrap()
}

fn write_data(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    for file in ["train.py", "digits.csv.gz"] {
        std::fs::write(directory.join(file), demo(file)).unwrap();
    }
}

fn only_directory(parent: &Path) -> PathBuf {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}
