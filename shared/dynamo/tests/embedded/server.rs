//! The embedded engine behind a socket, and its clients.

use crate::faults::{Faults, FaultyClient};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use dynamo::{DynamoDb, create_table_if_missing};
use dynoxide::Database;
use std::sync::Arc;

pub const TABLE: &str = "table";

/// A server that runs until this is dropped.
pub struct TableServer {
    endpoint: String,
    server: tokio::task::JoinHandle<()>,
}

impl TableServer {
    /// An empty database in memory.
    pub async fn start() -> Self {
        let database = Database::memory().expect("a database in memory can be made");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { endpoint: format!("http://{address}"), server }
    }

    /// A client whose requests get these faults.
    pub fn client(&self, faults: Faults) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url(&self.endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(FaultyClient::new(faults))
            .build();
        Client::from_conf(config)
    }

    pub async fn storage(&self) -> DynamoDb {
        self.storage_with(Faults::default()).await
    }

    /// Storage on an existing table.
    pub async fn storage_with(&self, faults: Faults) -> DynamoDb {
        let client = self.client(Faults::default());
        create_table_if_missing(&client, TABLE).await.expect("the table can be created");
        DynamoDb::new(self.client(faults), TABLE, Arc::new(|| 0.5))
    }
}

impl Drop for TableServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}
