//! DynamoDB on this machine: an embedded engine behind a socket.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use dynoxide::Database;

/// A running server. It stops on drop.
pub struct TableServer {
    endpoint: String,
    server: tokio::task::JoinHandle<()>,
}

impl TableServer {
    /// Starts a server with an empty database in memory.
    pub async fn start() -> Self {
        let database = Database::memory().expect("a database in memory can be made");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { endpoint: format!("http://{address}"), server }
    }

    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .build();
        Client::from_conf(config)
    }
}

impl Drop for TableServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}
