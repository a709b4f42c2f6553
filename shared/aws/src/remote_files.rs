//! Files of file servers through the function `files`, which has the file system mounted.

use crate::http_client::HttpClient;
use async_trait::async_trait;
use aws_smithy_types::body::SdkBody;
use control::files::{FileLocation, ListedFile, ListingPage, Removal};
use control::keys::Keys;
use control::ports::{Clock, PortError, SharedFiles};
use model::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// For how long a request is valid: the clocks of two functions differ by less.
const EXPIRY_SECONDS: u64 = 120;

/// Shorter than the timeout of the function `api`; the other function may have to start.
const TIMEOUT: Duration = Duration::from_secs(25);

/// The function `files`.
pub struct RemoteFiles {
    http: HttpClient,
    url: String,
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
}

impl RemoteFiles {
    /// The function at this URL, which has no slash at the end.
    pub fn new(url: String, keys: Arc<Keys>, clock: Arc<dyn Clock>) -> Self {
        Self { http: HttpClient::new(TIMEOUT), url, keys, clock }
    }

    fn address(&self, page: &ListingPage) -> String {
        let expires_at = self.clock.now().plus_seconds(EXPIRY_SECONDS).epoch_seconds();
        let signature = self.keys.sign_listing(page, expires_at);
        let after = page.after.as_deref().map(|after| format!("&after={}", encoded(after)));
        format!(
            "{}/listings/{}?path={}&limit={}&se={expires_at}&sig={signature}{}",
            self.url,
            page.directory.file_server,
            encoded(&page.directory.path),
            page.limit,
            after.unwrap_or_default(),
        )
    }

    fn removal_address(&self, place: &FileLocation, recursive: bool) -> String {
        let expires_at = self.clock.now().plus_seconds(EXPIRY_SECONDS).epoch_seconds();
        let signature = self.keys.sign_removal(place, recursive, expires_at);
        format!(
            "{}/removals/{}?path={}&recursive={recursive}&se={expires_at}&sig={signature}",
            self.url,
            place.file_server,
            encoded(&place.path),
        )
    }

    /// Sends a request without a body; returns the body of the answer.
    async fn exchange<T: DeserializeOwned>(
        &self,
        method: http::Method,
        address: String,
    ) -> Result<T, PortError> {
        let request = http::Request::builder().method(method).uri(address).body(SdkBody::empty());
        let sent = self.http.send(request.map_err(PortError::other)?).await;
        let (status, body) = sent.map_err(PortError::other)?;
        if status != 200 {
            let text = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
            return Err(PortError::other(format!("the function files answered {status}: {text}")));
        }
        serde_json::from_slice(&body).map_err(PortError::other)
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[async_trait]
impl SharedFiles for RemoteFiles {
    async fn list(&self, page: &ListingPage) -> Result<Option<Vec<ListedFile>>, PortError> {
        self.exchange(http::Method::GET, self.address(page)).await
    }

    /// The function removes leftovers by its own clock.
    async fn remove(
        &self,
        place: &FileLocation,
        recursive: bool,
        _now: Timestamp,
    ) -> Result<Removal, PortError> {
        self.exchange(http::Method::POST, self.removal_address(place, recursive)).await
    }
}
