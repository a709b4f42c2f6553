//! File servers and output files through the functions `api`, `provisioner` and `files`.

use crate::node::TestNode;
use aws_sdk_efs::types::AccessPointDescription;
use model::limits;
use protocol::{Desired, MountSource, NodePhase};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::lambda_api::{Api, Caller, JOB, path};
use tests::lambda_events;
use tests::lambda_stack::Stack;

const SERVERS: &str = "workspaces/w/fileServers";

/// Larger than a function answers, and no multiple of the size of a part.
const LARGE: usize = (40 << 20) + 12_345;

struct Files {
    stack: Stack,
    api: Api,
    /// The directory of the file server.
    root: std::path::PathBuf,
    uid: String,
}

impl Files {
    /// A file server `f`, and the function that serves it.
    async fn start() -> Self {
        let stack = Stack::start().await;
        let mut api = Api::new(stack.function("api").await);
        api.put("workspaces", "w", &json!({"location": "eu-west-1"}), 200).await;
        stack.files_url.set(stack.function("files").await).await;
        let body = json!({"properties": {
            "vmSize": "STANDARD_D1",
            "sshConfiguration": {
                "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}
            },
            "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
        }});
        api.put(SERVERS, "f", &body, 202).await;
        reconcile(&stack).await;
        let found = std::fs::read_dir(stack.files.path()).unwrap().next().unwrap().unwrap();
        let uid = found.file_name().into_string().unwrap();
        Self { root: found.path(), stack, api, uid }
    }

    async fn access_points(&self) -> Vec<AccessPointDescription> {
        let client = aws_sdk_efs::Client::new(&self.stack.moto.config());
        let request = client.describe_access_points().file_system_id(&self.stack.file_system);
        request.send().await.unwrap().access_points.unwrap_or_default()
    }

    /// Submits a job whose output is on the file server. Returns its output directory there.
    async fn submit(&mut self) -> std::path::PathBuf {
        self.api.put("workspaces/w/experiments", "e", &json!({}), 200).await;
        let mount = json!({"mountVolumes": {"fileServers": [{
            "fileServer": {"id": path(SERVERS, "f")}, "relativeMountPath": "nfs"
        }]}});
        let cluster = json!({"properties": {
            "vmSize": "STANDARD_NC6",
            "scaleSettings": {"autoScale": {"minimumNodeCount": 0, "maximumNodeCount": 1}},
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"},
            "nodeSetup": mount,
        }});
        self.api.put("workspaces/w/clusters", "c", &cluster, 202).await;
        let job = json!({"properties": {
            "cluster": {"id": path("workspaces/w/clusters", "c")},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "$AZ_BATCHAI_MOUNT_ROOT/nfs",
            "customToolkitSettings": {"commandLine": "true"},
        }});
        self.api.put(JOB, "j", &job, 202).await;
        let job = self.api.get(JOB, "j").await;
        let segment = job["properties"]["jobOutputDirectoryPathSegment"].as_str().unwrap();
        let output = self.root.join(segment).join("stdouterr");
        std::fs::create_dir_all(&output).unwrap();
        output
    }

    /// The entries of the output directory.
    async fn list(&mut self) -> Vec<Value> {
        let path = format!("{}/listOutputFiles", path(JOB, "j"));
        let query = [("outputdirectoryid", "stdouterr")];
        let answer = self.api.call_with("POST", &path, &query, &Caller::User, None).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        body["value"].as_array().unwrap().clone()
    }
}

/// What the event source mapping of the provisioner does.
async fn reconcile(stack: &Stack) {
    let messages = stack.receive(&stack.urls.provisioner).await;
    assert!(!messages.is_empty(), "there is a hint");
    let mut provisioner = stack.function("provisioner").await;
    let answer = provisioner.invoke(json!({"Records": messages})).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}), "{}", provisioner.log());
    stack.delete(&stack.urls.provisioner, &messages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_server_is_an_access_point_that_nodes_mount() {
    let mut files = Files::start().await;
    let server = files.api.get(SERVERS, "f").await;
    assert_eq!(server["properties"]["provisioningState"], "succeeded", "{server}");
    let access_points = files.access_points().await;
    let [access_point] = access_points.as_slice() else { panic!("{access_points:?}") };
    let root = access_point.root_directory().and_then(|root| root.path());
    assert_eq!(root, Some(format!("/{}", files.uid).as_str()));
    let tag =
        |key: &str| access_point.tags().iter().find(|it| it.key() == key).map(|it| it.value());
    assert_eq!(tag("batchai:stack"), Some("stack"));
    let id = access_point.access_point_id().unwrap().to_owned();
    assert_eq!(server["properties"]["mountSettings"]["fileServerInternalIP"], id, "{server}");

    files.submit().await;
    let node = TestNode::preparing(&files.stack, "c").await;
    let desired = node.sync(&mut files.api, NodePhase::Preparing, None).await;
    let Desired::Prepare { setup } = &desired else { panic!("{desired:?}") };
    let expected = MountSource::Efs {
        file_system: files.stack.file_system.clone(),
        access_point: id,
        sub_directory: String::new(),
        options: None,
    };
    assert_eq!(setup.mounts[0].source, expected);
    let text = serde_json::to_string(&desired).unwrap();
    let own = files.stack.files.path().display().to_string();
    assert!(!text.contains(&own), "a path of the service: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_server_loses_its_access_point_and_its_files() {
    let mut files = Files::start().await;
    std::fs::write(files.root.join("file"), "x").unwrap();
    let answer = files.api.call("DELETE", &path(SERVERS, "f"), &Caller::User, None).await;
    assert_eq!(answer["statusCode"], 202, "{answer}");
    reconcile(&files.stack).await;
    assert!(files.access_points().await.is_empty());
    assert!(!files.root.exists());
    let answer = files.api.call("GET", &path(SERVERS, "f"), &Caller::User, None).await;
    assert_eq!(answer["statusCode"], 404, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_files_are_listed_and_downloaded_through_the_function_files() {
    let mut files = Files::start().await;
    let output = files.submit().await;
    std::fs::write(output.join("stdout.txt"), "0123456789").unwrap();
    let large: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    std::fs::write(output.join("weights of a model.bin"), &large).unwrap();
    let entries = files.list().await;
    let names: Vec<_> = entries.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["stdout.txt", "weights of a model.bin"]);
    assert_eq!(entries[1]["properties"]["contentLength"], LARGE);
    let link = |at: usize| entries[at]["downloadUrl"].as_str().unwrap().to_owned();
    assert!(link(0).starts_with(&format!("{}files/", files.stack.files_url.url)), "{}", link(0));

    let http = tls::Servers::WithoutTls.client().build().unwrap();
    let get = async |url: String, range: Option<&str>| {
        let mut request = http.get(url);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        let answer = request.send().await.unwrap();
        let (status, host) = (answer.status().as_u16(), answer.url().port());
        (status, host, answer.bytes().await.unwrap())
    };
    let own = url_port(&files.stack.files_url.url);
    let moto = url_port(files.stack.moto.endpoint());
    assert_eq!(get(link(0), None).await, (200, own, "0123456789".into()));
    assert_eq!(get(link(0), Some("bytes=2-4")).await, (206, own, "234".into()));
    assert_eq!(get(link(0), Some("bytes=10-")).await.0, 416);
    let forged = link(0).replace("stdout.txt", "stderr.txt");
    assert_eq!(get(forged, None).await.0, 403);
    let unsigned = format!(
        "{}listings/{}?path=&limit=9&se=9999999999&sig=x",
        files.stack.files_url.url, files.uid
    );
    assert_eq!(get(unsigned, None).await.0, 403);

    let (status, from, body) = get(link(1), None).await;
    assert_eq!(
        (status, from),
        (200, moto),
        "a copy: {}",
        String::from_utf8_lossy(&body[..body.len().min(300)])
    );
    assert!(body == large, "the copy differs");
    assert_eq!(get(link(1), Some("bytes=5-9")).await, (206, own, large[5..10].to_vec().into()));
    let (status, from, body) = get(link(1), Some("bytes=1-")).await;
    assert_eq!((status, from), (206, moto), "a large range is served by the copy");
    assert!(body == large[1..], "the range of the copy differs");
    let head = http.head(link(1)).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], LARGE.to_string());
    assert!(!files.stack.files_url.log().await.contains("ERROR"));
}

/// The function `api` gives the links and asks `files` to list and remove; the bytes go to `files` alone.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_uploaded_and_removed_through_the_function_files() {
    let mut files = Files::start().await;
    let server = path(SERVERS, "f");
    let content: Vec<u8> = (0..limits::UPLOAD_CHUNK_BYTES + 9).map(|at| (at % 251) as u8).collect();
    let sha256 = hex::encode(Sha256::digest(&content));
    let file = json!({"path": "data/a b.bin", "length": content.len(), "sha256": sha256});
    let body = json!({"files": [file]});
    let action = format!("{server}/beginUploads");
    let answer = files.api.call("POST", &action, &Caller::User, Some(&body)).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let answer: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    let link = answer["value"][0]["uploadUrl"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("{}uploads/", files.stack.files_url.url)), "{link}");

    let http = tls::Servers::WithoutTls.client().build().unwrap();
    let (first, second) = content.split_at(limits::UPLOAD_CHUNK_BYTES);
    for (offset, chunk) in [(0, first), (first.len(), second)] {
        let request = http.patch(&link).header("upload-offset", offset).body(chunk.to_vec());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 204, "{}", answer.text().await.unwrap());
    }
    let head = http.head(&link).send().await.unwrap();
    assert_eq!(head.headers()["upload-offset"], content.len().to_string());
    let finished = http.post(&link).header("content-length", 0).send().await.unwrap();
    assert_eq!(finished.text().await.unwrap(), r#"{"complete":true}"#);
    assert!(std::fs::read(files.root.join("data/a b.bin")).unwrap() == content);

    let list = async |files: &mut Files, directory| {
        let query = [("directory", directory)];
        let action = format!("{server}/listFiles");
        files.api.call_with("POST", &action, &query, &Caller::User, None).await
    };
    let listed = list(&mut files, "data").await;
    let listed: Value = serde_json::from_str(listed["body"].as_str().unwrap()).unwrap();
    assert_eq!(listed["value"][0]["name"], "a b.bin");
    let download = listed["value"][0]["downloadUrl"].as_str().unwrap();
    let digest = http.get(format!("{download}&digest=")).send().await.unwrap();
    let digest: Value = serde_json::from_str(&digest.text().await.unwrap()).unwrap();
    assert_eq!(digest, json!({"length": content.len(), "sha256": sha256}));

    let action = format!("{server}/files");
    for (query, expected) in [
        (vec![("path", "data")], 409),
        (vec![("path", "data"), ("recursive", "true")], 204),
        (vec![("path", "data"), ("recursive", "true")], 404),
    ] {
        let answer = files.api.call_with("DELETE", &action, &query, &Caller::User, None).await;
        assert_eq!(answer["statusCode"], expected, "{query:?}: {answer}");
    }
    assert_eq!(list(&mut files, "data").await["statusCode"], 404);
    let own = &files.stack.files_url.url;
    let unsigned = format!("{own}removals/{}?path=x&recursive=true&se=9999999999&sig=x", files.uid);
    assert_eq!(http.post(unsigned).send().await.unwrap().status(), 403);
    assert!(!files.stack.files_url.log().await.contains("ERROR"));
}

fn url_port(url: &str) -> Option<u16> {
    reqwest::Url::parse(url).unwrap().port()
}

/// A job refers to secrets by their ARNs. The service reads them for the node that runs the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_by_its_arn_reaches_the_node_or_fails_the_job() {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.function("api").await);
    api.create_cluster("c").await;
    let config = stack.moto.config();
    let secrets = aws_sdk_secretsmanager::Client::new(&config);
    let secret = secrets.create_secret().name("token").secret_string("s3cret").send().await;
    let arn = secret.unwrap().arn.unwrap();
    let node = TestNode::idle(&stack, "c").await;
    for (name, arn) in [("good", arn.clone()), ("bad", arn.replace("token", "other"))] {
        let body = json!({"properties": {
            "cluster": {"id": path("workspaces/w/clusters", "c")},
            "nodeCount": 1,
            "stdOutErrPathPrefix": "/var/output/of/all/the/jobs",
            "customToolkitSettings": {"commandLine": "true"},
            "secrets": [{"name": "TOKEN", "valueSecretReference": {
                "sourceVault": {"id": "/aws"}, "secretUrl": arn,
            }}],
        }});
        api.put(JOB, name, &body, 202).await;
    }
    let desired = node.sync(&mut api, NodePhase::Ready, None).await;
    let Desired::Run { key, assignment: Some(assignment), .. } = desired else {
        panic!("{desired:?}")
    };
    assert_eq!(assignment.secrets[0].value, "s3cret");
    let end = protocol::Progress::Ended { end: protocol::End::Exited { exit_code: 0 } };
    let desired = node.sync(&mut api, NodePhase::Ready, Some((&key, end))).await;
    assert_eq!(desired, Desired::Idle, "the other job cannot run");
    let job = api.get(JOB, "bad").await;
    assert_eq!(job["properties"]["executionState"], "failed", "{job}");
    let error = &job["properties"]["executionInfo"]["errors"][0];
    assert_eq!(error["code"], "SecretNotFound", "{job}");
    assert!(error["message"].as_str().unwrap().contains("secret:other"), "{error}");
    assert_eq!(api.job_state("good").await, "succeeded");
    assert!(!api.function.log().contains("s3cret"));
}

/// Both functions start on an empty table: one creates the key of the stack, the other reads it.
#[tokio::test(flavor = "multi_thread")]
async fn functions_that_start_at_once_have_one_key() {
    let stack = Stack::start().await;
    let (one, other) = tokio::join!(stack.function("api"), stack.function("api"));
    let (mut one, mut other) = (Api::new(one), Api::new(other));
    one.create_cluster("c").await;
    let node = TestNode::idle(&stack, "c").await;
    one.submit("j", "c").await;
    let desired = node.sync(&mut other, NodePhase::Ready, None).await;
    let Desired::Run { assignment: Some(assignment), .. } = desired else { panic!("{desired:?}") };
    assert_eq!(assignment.secrets[0].value, "hunter2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_used_is_named() {
    let mut stack = Stack::start().await;
    let mut files = stack.function("files").await;
    let error = files.invoke(lambda_events::schedule()).await.expect_err("there is no key yet");
    let error = error.to_string();
    assert!(
        error.contains("KMS_KEY_ARN") && error.contains("send a request to the API"),
        "{error}"
    );
    stack.key = stack.key.replace("key/", "key/0");
    let mut api = stack.function("api").await;
    let error = api.invoke(lambda_events::schedule()).await.expect_err("there is no such key");
    let error = error.to_string();
    assert!(error.contains("KMS_KEY_ARN") && error.contains("there is no such key"), "{error}");
}
