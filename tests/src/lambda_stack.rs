//! The resources of the template: a table, three queues, and functions with their names.

use crate::binaries::build;
use crate::function_url::FunctionUrl;
use crate::lambda_events;
use crate::lambda_runtime::Function;
use crate::moto::Moto;
use crate::table_server::TableServer;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use control::ports::Ids;
use control::system::RandomIds;
use dynamo::DynamoDb;
use model::{Cluster, Name};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use table::Table;

const TABLE: &str = "batchai";
const STACK: &str = "stack";
/// The subject that may do everything.
pub const OWNER: &str = "auth0|5f7c8ec7c33c6c004bbafe82";
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";

/// The bucket of copies.
pub const BUCKET: &str = "artifacts";

pub struct Stack {
    pub moto: Moto,
    server: TableServer,
    pub table: Table,
    pub urls: aws::QueueUrls,
    pub key: String,
    pub file_system: String,
    /// Where the functions have mounted the file system.
    pub files: tempfile::TempDir,
    /// The function `files`, once it is set.
    pub files_url: FunctionUrl,
}

impl Stack {
    pub async fn start() -> Self {
        let server = TableServer::start().await;
        let client = server.client();
        dynamo::create_table_if_missing(&client, TABLE).await.expect("an empty database");
        let moto = tokio::task::spawn_blocking(Moto::start).await.expect("moto starts");
        let urls = aws::QueueUrls {
            dispatcher: moto.queue("dispatcher").await,
            autoscaler: moto.queue("autoscaler").await,
            recovery: moto.queue("recovery").await,
            provisioner: moto.queue("provisioner").await,
        };
        let table = Table::new(Arc::new(DynamoDb::new(client, TABLE, Arc::new(|| 0.5))));
        moto.bucket(BUCKET).await;
        Self {
            key: moto.key().await,
            file_system: moto.file_system().await,
            files: tempfile::tempdir().expect("a directory"),
            files_url: FunctionUrl::start().await,
            moto,
            server,
            table,
            urls,
        }
    }

    pub async fn function(&self, name: &'static str) -> Function {
        self.function_without(name, "").await
    }

    pub async fn function_without(&self, name: &'static str, unset: &str) -> Function {
        self.function_with(name, &[(unset, "")]).await
    }

    /// A function with other values of some variables. One that is empty is not set.
    pub async fn function_with(&self, name: &'static str, changes: &[(&str, &str)]) -> Function {
        let binary =
            tokio::task::spawn_blocking(move || build(name)).await.expect("the build finishes");
        self.start_function(name, &binary, changes).await
    }

    /// As [`Self::function_with`], with this binary of the function.
    pub async fn start_function(
        &self,
        name: &str,
        binary: &Path,
        changes: &[(&str, &str)],
    ) -> Function {
        let mut variables = vec![
            ("STACK_NAME", STACK.to_owned()),
            ("TABLE_NAME", TABLE.to_owned()),
            ("DISPATCHER_QUEUE_URL", self.urls.dispatcher.clone()),
            ("AUTOSCALER_QUEUE_URL", self.urls.autoscaler.clone()),
            ("RECOVERY_QUEUE_URL", self.urls.recovery.clone()),
            ("PROVISIONER_QUEUE_URL", self.urls.provisioner.clone()),
            ("KMS_KEY_ARN", self.key.clone()),
            ("FILE_SYSTEM_ID", self.file_system.clone()),
            ("FILE_SYSTEM_ROOT", self.files.path().display().to_string()),
            ("FILES_URL", self.files_url.url.clone()),
            ("ARTIFACT_BUCKET", BUCKET.to_owned()),
            ("OWNER_PRINCIPAL", OWNER.to_owned()),
            ("NODE_ROLE_ARN", "arn:aws:iam::123456789012:role/stack-NodeRole".to_owned()),
            ("LAUNCH_TEMPLATE_ID", "lt-0123456789abcdef0".to_owned()),
            ("SUBNETS", "us-east-1a=subnet-0123456789abcdef0".to_owned()),
            ("ON_DEMAND_FALLBACK", "false".to_owned()),
            ("AWS_ENDPOINT_URL_EC2", self.moto.endpoint().to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.server.endpoint().to_owned()),
            ("AWS_ENDPOINT_URL", self.moto.endpoint().to_owned()),
        ];
        for (name, value) in changes {
            if let Some(variable) = variables.iter_mut().find(|it| it.0 == *name) {
                variable.1 = (*value).to_owned();
            }
        }
        variables.retain(|(_, value)| !value.is_empty());
        Function::start(name, binary, &variables).await
    }

    pub async fn cluster(&self, name: &str) -> Cluster {
        let subscription = Name::new(SUBSCRIPTION);
        let (group, workspace) = (Name::new("g"), Name::new("w"));
        let found = self.table.workspace(&subscription, &group, &workspace).await;
        let workspace = found.expect("the table answers").expect("the workspace exists");
        let found = self.table.cluster_named(&workspace.uid, name).await;
        found.expect("the table answers").expect("the cluster exists")
    }

    /// Makes the record of a cluster unreadable, so that every reconciliation fails.
    pub async fn damage(&self, cluster: &Cluster) {
        let text = |text: String| AttributeValue::S(text);
        self.server
            .client()
            .put_item()
            .table_name(TABLE)
            .item("pk", text(format!("ws#{}", cluster.workspace)))
            .item("sk", text(format!("cluster#{}", cluster.name.key())))
            .item("body", text("{".to_owned()))
            .send()
            .await
            .expect("the table accepts it");
    }

    /// Sends a message to the dispatcher's queue, bypassing the service.
    pub async fn send(&self, group: &str, body: &str) {
        self.moto
            .sqs()
            .send_message()
            .queue_url(&self.urls.dispatcher)
            .message_group_id(group)
            .message_deduplication_id(RandomIds.uid().as_str())
            .message_body(body)
            .send()
            .await
            .expect("the queue accepts it");
    }

    /// Receives a batch, in the format of Lambda's event source mapping.
    pub async fn receive(&self, url: &str) -> Vec<Value> {
        let received = self
            .moto
            .sqs()
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .wait_time_seconds(5)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .expect("the queue answers");
        received.messages.unwrap_or_default().iter().map(lambda_events::message).collect()
    }

    pub async fn delete(&self, url: &str, messages: &[Value]) {
        for message in messages {
            self.moto
                .sqs()
                .delete_message()
                .queue_url(url)
                .receipt_handle(message["receiptHandle"].as_str().expect("received"))
                .send()
                .await
                .expect("the queue deletes it");
        }
    }

    /// Deletes the messages that the test does not need.
    pub async fn discard(&self, url: &str) {
        let messages = self.receive(url).await;
        self.delete(url, &messages).await;
    }
}
