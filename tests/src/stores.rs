//! Keys, file systems and buckets of moto.

use crate::moto::Moto;
use aws_config::SdkConfig;
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};

impl Moto {
    /// For clients of all services.
    pub fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("test", "test", None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(self.endpoint())
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
}
