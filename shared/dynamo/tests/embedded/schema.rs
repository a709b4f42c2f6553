//! The schema of the created table.

use crate::faults::Faults;
use crate::server::{TABLE, TableServer};
use dynamo::create_table_if_missing;

#[tokio::test]
async fn a_table_is_created_once_and_expires_items() {
    let server = TableServer::start().await;
    let client = server.client(Faults::default());
    for _ in 0..2 {
        create_table_if_missing(&client, TABLE).await.unwrap();
    }
    let described = client.describe_table().table_name(TABLE).send().await.unwrap();
    let schema = described.table.unwrap().key_schema.unwrap();
    let keys: Vec<&str> = schema.iter().map(|key| key.attribute_name()).collect();
    assert_eq!(keys, ["pk", "sk"]);
    let expiry = client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let expiry = expiry.time_to_live_description.unwrap();
    assert_eq!(expiry.attribute_name(), Some("expires_at"));
}
