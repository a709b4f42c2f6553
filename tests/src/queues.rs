//! Queues of moto.

use crate::moto::Moto;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName;

impl Moto {
    pub fn sqs(&self) -> Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(self.endpoint())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        Client::from_conf(config)
    }

    /// Creates a FIFO queue with the settings of the stack; returns its URL.
    pub async fn queue(&self, name: &str) -> String {
        let created = self
            .sqs()
            .create_queue()
            .queue_name(format!("{name}.fifo"))
            .attributes(QueueAttributeName::FifoQueue, "true")
            .attributes(QueueAttributeName::VisibilityTimeout, "120")
            .send()
            .await
            .expect("moto creates queues");
        created.queue_url.expect("a queue has a URL")
    }
}
