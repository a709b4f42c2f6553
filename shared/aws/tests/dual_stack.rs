//! Functions in the VPC reach AWS over IPv6 only: with the setting of the template, every client of them uses an
//! endpoint that has IPv6 addresses.

#![expect(clippy::unwrap_used, reason = "a panic with the error fails the test")]

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use std::sync::{Arc, Mutex};

/// Records the hosts of requests, which all fail.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let url: http::Uri = request.uri().parse().unwrap();
        self.0.lock().unwrap().push(url.host().unwrap_or_default().to_owned());
        HttpConnectorFuture::ready(Err(ConnectorError::user("recorded".into())))
    }
}

impl HttpClient for Recorder {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[tokio::test]
async fn every_client_of_a_function_in_the_vpc_has_an_endpoint_with_ipv6() {
    let recorder = Recorder::default();
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(recorder.clone())
        .use_dual_stack(true)
        .build();
    let _ = aws_sdk_dynamodb::Client::new(&config).list_tables().send().await;
    let _ = aws_sdk_efs::Client::new(&config).describe_access_points().send().await;
    let _ = aws_sdk_kms::Client::new(&config).list_keys().send().await;
    let _ =
        aws_sdk_s3::Client::new(&config).head_object().bucket("artifacts").key("k").send().await;
    let queue = "https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo";
    let sqs = aws_sdk_sqs::Client::new(&config);
    let _ = sqs.send_message().queue_url(queue).message_body("m").send().await;
    assert_eq!(
        *recorder.0.lock().unwrap(),
        [
            "dynamodb.eu-west-1.api.aws",
            "efs.eu-west-1.api.aws",
            "kms.eu-west-1.api.aws",
            "artifacts.s3.dualstack.eu-west-1.amazonaws.com",
            "sqs.eu-west-1.api.aws",
        ]
    );
}
