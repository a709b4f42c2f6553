//! Hints over SQS FIFO queues, one per function. The message group is the target, so one invocation of a
//! function at a time reconciles it.

use crate::failures::port_error;
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use control::ports::{Function, Hints, Ids, PortError};
use model::{NodeId, Target};
use std::sync::Arc;

/// The URLs of the queues, by function.
#[derive(Clone, Debug)]
pub struct QueueUrls {
    /// The queue of the dispatcher.
    pub dispatcher: String,
    /// The queue of the autoscaler.
    pub autoscaler: String,
    /// The queue of recovery.
    pub recovery: String,
    /// The queue of the provisioner.
    pub provisioner: String,
}

/// The queues of all functions.
pub struct SqsHints {
    client: Client,
    urls: QueueUrls,
    ids: Arc<dyn Ids>,
}

impl SqsHints {
    /// Sends hints to these queues.
    pub fn new(client: Client, urls: QueueUrls, ids: Arc<dyn Ids>) -> Self {
        Self { client, urls, ids }
    }

    fn url(&self, function: Function) -> &str {
        match function {
            Function::Dispatcher => &self.urls.dispatcher,
            Function::Autoscaler => &self.urls.autoscaler,
            Function::Recovery => &self.urls.recovery,
            Function::Provisioner => &self.urls.provisioner,
        }
    }
}

#[async_trait]
impl Hints for SqsHints {
    /// Every hint has a unique deduplication id: SQS must not drop the second of two equal hints, which
    /// are two events.
    async fn send(&self, function: Function, target: &Target) -> Result<(), PortError> {
        let body = serde_json::to_string(target).map_err(PortError::other)?;
        self.client
            .send_message()
            .queue_url(self.url(function))
            .message_group_id(target.uid().as_str())
            .message_deduplication_id(self.ids.uid().as_str())
            .message_body(body)
            .send()
            .await
            .map_err(port_error)?;
        Ok(())
    }

    /// A Lambda function holds no requests.
    fn notify_node(&self, _node: &NodeId) {}
}
