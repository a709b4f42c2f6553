//! What Lambda and EventBridge do: deliver batches of queues and the events of schedules.

use crate::functions::Functions;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tests::lambda_events;
use tests::moto::Moto;
use tokio::task::JoinHandle;

/// Functions with a queue and a schedule, and the outputs with the URLs of the queues.
const QUEUES: [(&str, &str); 4] = [
    ("dispatcher", "DispatcherQueueUrl"),
    ("autoscaler", "AutoscalerQueueUrl"),
    ("recovery", "RecoveryQueueUrl"),
    ("provisioner", "ProvisionerQueueUrl"),
];

/// Thirty times faster than in the template.
const SCHEDULE: Duration = Duration::from_secs(2);

/// Ends with its owner.
pub struct Deliveries(Vec<JoinHandle<()>>);

impl Deliveries {
    pub fn start(
        moto: &Arc<Moto>,
        functions: &Arc<Functions>,
        outputs: &BTreeMap<String, String>,
    ) -> Self {
        let mut tasks = Vec::new();
        for (function, output) in QUEUES {
            let queue = Queue {
                client: moto.sqs(),
                url: outputs[output].clone(),
                function,
                functions: Arc::clone(functions),
            };
            tasks.push(tokio::spawn(queue.deliver()));
            tasks.push(tokio::spawn(schedule(function, Arc::clone(functions))));
        }
        Self(tasks)
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn schedule(function: &'static str, functions: Arc<Functions>) {
    loop {
        if let Err(error) = functions.invoke(function, lambda_events::schedule()).await {
            eprintln!("{error}");
        }
        tokio::time::sleep(SCHEDULE).await;
    }
}

/// An event source mapping with `ReportBatchItemFailures`.
struct Queue {
    client: Client,
    url: String,
    function: &'static str,
    functions: Arc<Functions>,
}

impl Queue {
    async fn deliver(self) {
        loop {
            let messages = self.receive().await;
            if messages.is_empty() {
                continue;
            }
            let answer =
                self.functions.invoke(self.function, lambda_events::batch(&messages)).await;
            let failed = match &answer {
                Ok(answer) => failures(answer),
                Err(error) => {
                    eprintln!("{error}");
                    continue;
                }
            };
            for message in messages {
                let id = message.message_id().unwrap_or_default();
                if !failed.contains(id) {
                    self.delete(&message).await;
                }
            }
        }
    }

    async fn receive(&self) -> Vec<Message> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .expect("the queue answers");
        received.messages.unwrap_or_default()
    }

    async fn delete(&self, message: &Message) {
        self.client
            .delete_message()
            .queue_url(&self.url)
            .receipt_handle(message.receipt_handle().unwrap_or_default())
            .send()
            .await
            .expect("the queue deletes it");
    }
}

fn failures(answer: &Value) -> BTreeSet<&str> {
    let failures = answer["batchItemFailures"].as_array().expect("a response to a batch");
    failures.iter().filter_map(|it| it["itemIdentifier"].as_str()).collect()
}
