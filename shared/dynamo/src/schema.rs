//! The schema of the table: a partition key, a sort key and a time to live.

use crate::attributes::{EXPIRES_AT, PARTITION, SORT};
use crate::error::from_sdk;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableInput;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TimeToLiveSpecification,
};
use table::Error;

/// The definition of the table; the stack's template repeats it for AWS.
pub fn schema(table: &str) -> CreateTableInput {
    let attribute = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .expect("name and type are set")
    };
    let key = |name: &str, kind: KeyType| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .expect("name and kind are set")
    };
    CreateTableInput::builder()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(PARTITION))
        .attribute_definitions(attribute(SORT))
        .key_schema(key(PARTITION, KeyType::Hash))
        .key_schema(key(SORT, KeyType::Range))
        .build()
        .expect("the schema is complete")
}

/// Creates the table, for tests. On AWS the stack's template does.
///
/// # Errors
/// The error of DynamoDB. An existing table is no error.
pub async fn create_table_if_missing(client: &Client, table: &str) -> Result<(), Error> {
    let listed = client.list_tables().send().await.map_err(from_sdk)?;
    if listed.table_names().iter().any(|name| name == table) {
        return Ok(());
    }
    let schema = schema(table);
    client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(schema.attribute_definitions)
        .set_key_schema(schema.key_schema)
        .send()
        .await
        .map_err(from_sdk)?;
    let expiry = TimeToLiveSpecification::builder()
        .attribute_name(EXPIRES_AT)
        .enabled(true)
        .build()
        .map_err(Error::other)?;
    client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(expiry)
        .send()
        .await
        .map_err(from_sdk)?;
    Ok(())
}
