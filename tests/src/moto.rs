//! SQS on this machine: the server of moto from PyPI. Its DynamoDB is not used, because it is not
//! atomic under concurrency; see `table_server`.

use aws_config::SdkConfig;
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::QueueAttributeName;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// An exact version, because the behaviour of emulators changes.
const REQUIREMENTS: &str = "moto[server]==5.2.5";

/// The line with its address starts with this.
const READY: &str = "Running on ";

/// A running server. It is killed on drop.
pub struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// Returns when the server listens.
    ///
    /// # Panics
    /// When it cannot be installed or does not start.
    pub fn start() -> Self {
        let python = crate::python::environment(REQUIREMENTS);
        let mut child = Command::new(python)
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the interpreter of the environment can be run");
        let mut lines = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
        let mut output = Vec::new();
        let endpoint = loop {
            match lines.next() {
                Some(Ok(line)) => match line.split_once(READY) {
                    Some((_, url)) => break url.trim().to_owned(),
                    None => output.push(line),
                },
                Some(Err(_)) | None => {
                    let _ = child.kill();
                    panic!("moto did not start:\n{}", output.join("\n"));
                }
            }
        };
        // A full pipe would block the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, endpoint }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// For clients of all services.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// Creates a KMS key; returns its ARN.
    pub async fn key(&self) -> String {
        let created = aws_sdk_kms::Client::new(&self.config()).create_key().send().await;
        let metadata = created.expect("moto creates keys").key_metadata;
        metadata.and_then(|it| it.arn).expect("a key has an ARN")
    }

    /// Creates an EFS file system; returns its id.
    pub async fn file_system(&self) -> String {
        let client = aws_sdk_efs::Client::new(&self.config());
        let created = client.create_file_system().creation_token("t").send().await;
        created.expect("moto creates file systems").file_system_id
    }

    /// Creates a bucket of the stack.
    pub async fn bucket(&self, name: &str) {
        let client = aws_sdk_s3::Client::new(&self.config());
        let place = CreateBucketConfiguration::builder();
        let place = place.location_constraint(BucketLocationConstraint::EuWest1).build();
        let created = client.create_bucket().bucket(name).create_bucket_configuration(place);
        created.send().await.expect("moto creates buckets");
    }

    pub fn sqs(&self) -> Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(&self.endpoint)
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

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
