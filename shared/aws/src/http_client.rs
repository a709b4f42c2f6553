//! Requests to other servers, with the client of the SDK: a function has no other one.

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_types::body::SdkBody;
use std::error::Error;
use std::time::Duration;

/// Sends requests and reads whole answers. It follows no redirections.
pub(crate) struct HttpClient {
    connector: Connector,
    /// For the whole exchange.
    timeout: Duration,
}

impl HttpClient {
    pub(crate) fn new(timeout: Duration) -> Self {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        Self { connector: Connector::builder().tls_provider(provider).build(), timeout }
    }

    /// Sends a request; returns status and body of the answer.
    ///
    /// # Errors
    /// When no answer came within the timeout.
    pub(crate) async fn send(
        &self,
        request: http::Request<SdkBody>,
    ) -> Result<(u16, bytes::Bytes), Box<dyn Error + Send + Sync>> {
        let request = request.try_into()?;
        let exchange = async {
            let mut response = self.connector.call(request).await?;
            let status = response.status().as_u16();
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            let body = ByteStream::new(body).collect().await?.into_bytes();
            Ok((status, body))
        };
        let outcome = tokio::time::timeout(self.timeout, exchange).await;
        outcome.unwrap_or_else(|_| Err("no answer came in time".into()))
    }
}
