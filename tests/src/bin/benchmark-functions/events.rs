//! A small stack, and for each function an event that is answered without a change: the same work every time.

use crate::measure::Programs;
use ::tests::lambda_api::{Api, Caller, event, path};
use ::tests::lambda_events;
use ::tests::lambda_stack::Stack;
use anyhow::{Context as _, Result, ensure};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use axum::http::{HeaderMap, Method, Uri};
use model::Target;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CLUSTERS: &str = "workspaces/w/clusters";
const FILE_SERVERS: &str = "workspaces/w/fileServers";

/// A stack with a cluster without nodes, and a file server with one file.
pub struct Prepared {
    pub stack: Stack,
    /// By function.
    pub events: BTreeMap<&'static str, Value>,
}

/// Creates the stack; its resources are created with these programs of the functions.
pub async fn prepare(programs: &Programs) -> Result<Prepared> {
    let stack = Stack::start().await;
    let mut api = Api::new(stack.start_function("api", &programs["api"], &[]).await);
    api.create_cluster("c").await;
    let provisioner = create_file_server(&stack, &mut api, programs).await?;
    let hint = of_cluster(&stack).await?;
    let events = BTreeMap::from([
        ("hello", lambda_events::schedule()),
        ("api", event("GET", &path(CLUSTERS, "c"), &Caller::User, None)),
        ("dispatcher", hint.clone()),
        ("autoscaler", hint.clone()),
        ("recovery", hint),
        ("files", download(&stack, &mut api, programs).await?),
        ("provisioner", provisioner),
    ]);
    Ok(Prepared { stack, events })
}

/// A batch with one hint, for the cluster.
async fn of_cluster(stack: &Stack) -> Result<Value> {
    let cluster = stack.cluster("c").await.reference();
    let group = cluster.uid.as_str().to_owned();
    let body = serde_json::to_string(&Target::Cluster { cluster })?;
    let message = Message::builder()
        .message_id("19dd0b57-b21e-4ac1-bd88-01bbb068cb78")
        .receipt_handle("MessageReceiptHandle")
        .attributes(MessageSystemAttributeName::MessageGroupId, group)
        .body(body);
    Ok(lambda_events::batch(&[message.build()]))
}

/// Creates the file server. Returns the batch with its hint, which has nothing more to do when it is repeated.
async fn create_file_server(stack: &Stack, api: &mut Api, programs: &Programs) -> Result<Value> {
    let body = json!({"properties": {
        "vmSize": "STANDARD_D1",
        "sshConfiguration": {
            "userAccountSettings": {"adminUserName": "u", "adminUserPassword": "p"}
        },
        "dataDisks": {"diskSizeInGB": 1, "diskCount": 1, "storageAccountType": "Standard_LRS"},
    }});
    api.put(FILE_SERVERS, "f", &body, 202).await;
    let messages = stack.receive(&stack.urls.provisioner).await;
    let batch = json!({"Records": messages});
    let binary = &programs["provisioner"];
    let mut provisioner = stack.start_function("provisioner", binary, &[]).await;
    let answer = provisioner.invoke(batch.clone()).await?;
    ensure!(answer == json!({"batchItemFailures": []}), "{}", provisioner.log());
    Ok(batch)
}

/// The download of a small file, by the link that the API gives.
async fn download(stack: &Stack, api: &mut Api, programs: &Programs) -> Result<Value> {
    let mut roots = std::fs::read_dir(stack.files.path())?;
    let root = roots.next().context("the file server has no directory")??;
    std::fs::write(root.path().join("stdout.txt"), "0123456789")?;
    stack.files_url.set(stack.start_function("files", &programs["files"], &[]).await).await;
    let action = format!("{}/listFiles", path(FILE_SERVERS, "f"));
    let query = [("directory", "")];
    let answer = api.call_with("POST", &action, &query, &Caller::User, None).await;
    let listed: Value = serde_json::from_str(answer["body"].as_str().unwrap_or_default())?;
    let link = listed["value"][0]["downloadUrl"].as_str();
    let link: Uri = link.with_context(|| format!("no link in {answer}"))?.parse()?;
    Ok(lambda_events::http_request(&Method::GET, &link, &HeaderMap::new(), &[], &Value::Null))
}
