//! Hints over SQS FIFO queues, one per function. The message group is the target, so one invocation of a
//! function at a time reconciles it.

use crate::failures::port_error;
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
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

/// Messages of one request, at most (Amazon SQS API reference, "SendMessageBatch").
const BATCH: usize = 10;

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

    fn entry(
        &self,
        index: usize,
        target: &Target,
    ) -> Result<SendMessageBatchRequestEntry, PortError> {
        SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_group_id(target.uid().as_str())
            .message_deduplication_id(self.ids.uid().as_str())
            .message_body(serde_json::to_string(target).map_err(PortError::other)?)
            .build()
            .map_err(PortError::other)
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

    async fn send_all(&self, function: Function, targets: &[Target]) -> Result<(), PortError> {
        for batch in targets.chunks(BATCH) {
            let entries = batch.iter().enumerate().map(|(index, target)| self.entry(index, target));
            let answer = self
                .client
                .send_message_batch()
                .queue_url(self.url(function))
                .set_entries(Some(entries.collect::<Result<_, _>>()?))
                .send()
                .await
                .map_err(port_error)?;
            if let Some(failed) = answer.failed.first() {
                let message = failed.message().unwrap_or_default();
                let text = format!(
                    "{} hints were refused: {} {message}",
                    answer.failed.len(),
                    failed.code()
                );
                return Err(PortError::other(text));
            }
        }
        Ok(())
    }

    /// A Lambda function holds no requests.
    fn notify_node(&self, _node: &NodeId) {}
}
