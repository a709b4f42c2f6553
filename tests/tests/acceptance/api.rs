//! A client of the REST API for tests: one workspace `w` with file server `nfs`, cluster `c` and
//! experiment `e`.

use super::service::{Service, until};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

pub const VERSION: &str = "api-version=2018-05-01";

pub const WORKSPACE: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w";

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn body(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code and message of an error answer.
    #[track_caller]
    pub fn error(&self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "{}", self.text);
        let error = &self.body()["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let (code, message) = (text("code"), text("message"));
        assert!(!code.is_empty() && !message.is_empty(), "{}", self.text);
        (code, message)
    }
}

impl Service {
    /// Sends a request to a path below the workspace, which may have a query.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}{WORKSPACE}{path}{separator}{VERSION}", self.endpoint);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        self.answers.lock().unwrap().push(text.clone());
        Answer { status, headers, text }
    }

    pub async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Method::GET, path, None).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text);
        answer.body()
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// Creates a resource and waits for the operation.
    pub async fn create(&self, path: &str, body: &Value) {
        let answer = self.put(path, body).await;
        self.finish(path, &answer).await;
    }

    /// Waits for the operation of an answer 202, which must succeed.
    pub async fn finish(&self, what: &str, answer: &Answer) {
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.status, 202, "{what}: {}", answer.text);
        let url = answer.headers["azure-asyncoperation"].to_str().unwrap();
        let operation = until(&format!("the operation of {what}"), async || {
            let poll = self.send(self.http.get(url).bearer_auth(&self.token)).await.body();
            (poll["status"] != "InProgress").then_some(poll)
        })
        .await;
        assert_eq!(operation["status"], "Succeeded", "{what}: {operation}");
    }

    /// Creates everything that a job needs, with up to `nodes` nodes.
    pub async fn prepare(&self, nodes: u32) {
        self.create("", &json!({ "location": "local" })).await;
        self.create("/fileServers/nfs", &file_server()).await;
        self.create("/experiments/e", &json!({})).await;
        let scale = json!({ "autoScale": { "minimumNodeCount": 0, "maximumNodeCount": nodes } });
        self.create("/clusters/c", &cluster(scale)).await;
    }

    /// Submits a job with further properties.
    pub async fn submit(&self, name: &str, command: &str, more: Value) {
        let path = format!("/experiments/e/jobs/{name}");
        self.create(&path, &job(command, more)).await;
    }

    pub async fn job(&self, name: &str) -> Value {
        self.get(&format!("/experiments/e/jobs/{name}")).await
    }

    /// Waits until the job has the state.
    pub async fn job_in(&self, name: &str, state: &str) -> Value {
        until(&format!("{name} is {state}"), async || {
            let job = self.job(name).await;
            let current = job["properties"]["executionState"].as_str().unwrap().to_owned();
            let is_other_end = current != state && ["succeeded", "failed"].contains(&&*current);
            assert!(!is_other_end, "{name} does not become {state}: {job:#}");
            (current == state).then_some(job)
        })
        .await
    }

    /// The entries below `directory` in an output directory.
    pub async fn files(&self, job: &str, id: &str, directory: &str) -> Vec<Value> {
        let path = format!(
            "/experiments/e/jobs/{job}/listOutputFiles?outputdirectoryid={id}&directory={directory}"
        );
        let answer = self.ask(Method::POST, &path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body()["value"].as_array().unwrap().clone()
    }

    /// The content of a file of the standard output directory, read through its link.
    pub async fn output(&self, job: &str, directory: &str, file: &str) -> String {
        let files = self.files(job, "stdouterr", directory).await;
        let entry = files.iter().find(|entry| entry["name"] == file);
        let entry = entry.unwrap_or_else(|| panic!("{job} has no {directory}/{file}: {files:#?}"));
        let link = entry["downloadUrl"].as_str().unwrap();
        let answer = self.send(self.http.get(link)).await;
        assert_eq!(answer.status, 200, "{link}");
        answer.text
    }

    /// The nodes of a job's last attempt.
    pub async fn nodes_of(&self, job: &str) -> Vec<String> {
        let job = self.job(job).await;
        let attempts = job["properties"]["extensions"]["attempts"].as_array().unwrap().clone();
        let nodes = attempts.last().unwrap()["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node.as_str().unwrap().to_owned()).collect()
    }
}

pub fn file_server() -> Value {
    json!({ "properties": {
        "vmSize": "STANDARD_DS1_V2",
        "sshConfiguration": { "userAccountSettings": {
            "adminUserName": "admin", "adminUserPassword": "password-of-nobody" } },
        "dataDisks": { "diskSizeInGB": 10, "diskCount": 1, "storageAccountType": "Standard_LRS" },
    }})
}

pub fn cluster(scale: Value) -> Value {
    json!({ "properties": {
        "vmSize": "STANDARD_D1",
        "vmPriority": "lowpriority",
        "scaleSettings": scale,
        "userAccountSettings": {
            "adminUserName": "admin", "adminUserPassword": "password-of-nobody" },
        "nodeSetup": { "mountVolumes": { "fileServers": [{
            "fileServer": { "id": format!("{WORKSPACE}/fileservers/nfs") },
            "relativeMountPath": "nfs" }] } },
    }})
}

/// `more`: further properties; null takes one away.
pub fn job(command: &str, more: Value) -> Value {
    let mut properties = json!({
        "cluster": { "id": format!("{WORKSPACE}/clusters/c") },
        "nodeCount": 1,
        "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
        "customToolkitSettings": { "commandLine": command },
    });
    let properties_of_job = properties.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => properties_of_job.remove(name),
            value => properties_of_job.insert(name.clone(), value.clone()),
        };
    }
    json!({ "properties": properties })
}

pub fn attempts(job: &Value) -> usize {
    job["properties"]["extensions"]["attempts"].as_array().unwrap().len()
}

pub fn exit_code(job: &Value) -> Option<i64> {
    job["properties"]["executionInfo"]["exitCode"].as_i64()
}
