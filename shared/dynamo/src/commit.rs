//! Commits: one write as a plain request, several writes as a transaction.
//!
//! Only a transaction has a token by which DynamoDB recognizes a repetition. A plain write is
//! therefore
//! sent once: if its answer is lost, the caller gets an error that means "may have been carried
//! out",
//! and an addition is not counted twice. A throttled write changed nothing and may be repeated.

use crate::attributes::{from_item, from_key};
use crate::error::{from_sdk, from_transaction};
use crate::expression::Expression;
use crate::storage::DynamoDb;
use aws_sdk_dynamodb::client::customize::CustomizableOperation;
use aws_sdk_dynamodb::config::{Builder, Config, retry::RetryConfig};
use aws_sdk_dynamodb::types::{
    ConditionCheck, ConsumedCapacity, Delete, Put, ReturnConsumedCapacity, TransactWriteItem,
    Update,
};
use table::{Error, Write, WriteKind};

/// Adds the condition of an expression to the builder of a request.
macro_rules! conditional {
    ($builder:expr, $expression:expr) => {
        $builder
            .set_condition_expression($expression.condition())
            .set_expression_attribute_names($expression.names())
            .set_expression_attribute_values($expression.values())
    };
}

impl DynamoDb {
    pub(crate) async fn commit_one(&self, write: Write) -> Result<(), Error> {
        let mut repetition = 0;
        loop {
            match self.send_one(write.clone()).await {
                Err(Error::Throttled(source)) => {
                    if !self.pauses.wait(repetition).await {
                        return Err(Error::Throttled(source));
                    }
                }
                decided => return decided,
            }
            repetition += 1;
        }
    }

    async fn send_one(&self, write: Write) -> Result<(), Error> {
        let consumed = match write.kind {
            WriteKind::Put { .. } => self.send_put(write).await?,
            WriteKind::Delete => self.send_delete(write).await?,
            WriteKind::Add(_) | WriteKind::SetSeenAt(_) => self.send_update(write).await?,
            WriteKind::Check => return self.check_one(&write).await,
        };
        self.charge_writes(consumed.as_slice());
        Ok(())
    }

    /// A single check needs no atomicity: a strongly consistent read does it at a tenth of the
    /// price of a transaction.
    async fn check_one(&self, write: &Write) -> Result<(), Error> {
        let item = self.read(&write.key).await?;
        match write.holds(item.as_ref().map(|item| &item.attributes)) {
            true => Ok(()),
            false => Err(Error::Conflict { failed: vec![0] }),
        }
    }

    async fn send_put(&self, write: Write) -> Result<Option<ConsumedCapacity>, Error> {
        let expression = Expression::of(&write);
        let request = conditional!(
            self.client.put_item().table_name(&self.table).set_item(Some(item(write)?)),
            expression
        )
        .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = once(request.customize()).send().await.map_err(from_sdk)?;
        Ok(answer.consumed_capacity)
    }

    async fn send_delete(&self, write: Write) -> Result<Option<ConsumedCapacity>, Error> {
        let expression = Expression::of(&write);
        let request = conditional!(
            self.client.delete_item().table_name(&self.table).set_key(Some(from_key(write.key))),
            expression
        )
        .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = once(request.customize()).send().await.map_err(from_sdk)?;
        Ok(answer.consumed_capacity)
    }

    async fn send_update(&self, write: Write) -> Result<Option<ConsumedCapacity>, Error> {
        let expression = Expression::of(&write);
        let request = conditional!(
            self.client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(from_key(write.key)))
                .set_update_expression(expression.update.map(str::to_owned)),
            expression
        )
        .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = once(request.customize()).send().await.map_err(from_sdk)?;
        Ok(answer.consumed_capacity)
    }

    pub(crate) async fn commit_all(&self, writes: Vec<Write>) -> Result<(), Error> {
        let actions: Result<Vec<_>, Error> =
            writes.into_iter().map(|write| action(&self.table, write)).collect();
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions?))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(from_transaction)?;
        self.charge_writes(answer.consumed_capacity());
        Ok(())
    }
}

/// The request without the retries of the SDK.
fn once<T, E, B>(request: CustomizableOperation<T, E, B>) -> CustomizableOperation<T, E, B> {
    let never: Builder = Config::builder().retry_config(RetryConfig::disabled());
    request.config_override(never)
}

fn item(write: Write) -> Result<crate::attributes::Stored, Error> {
    match write.kind {
        WriteKind::Put { attributes, body } => from_item(write.key, attributes, &body),
        WriteKind::Delete | WriteKind::Check | WriteKind::Add(_) | WriteKind::SetSeenAt(_) => {
            Ok(from_key(write.key))
        }
    }
}

fn action(table: &str, write: Write) -> Result<TransactWriteItem, Error> {
    let expression = Expression::of(&write);
    let action = TransactWriteItem::builder();
    let action = match write.kind {
        WriteKind::Put { .. } => action.put(
            conditional!(Put::builder().table_name(table).set_item(Some(item(write)?)), expression)
                .build()
                .map_err(Error::other)?,
        ),
        WriteKind::Delete => action.delete(
            conditional!(
                Delete::builder().table_name(table).set_key(Some(from_key(write.key))),
                expression
            )
            .build()
            .map_err(Error::other)?,
        ),
        WriteKind::Check => action.condition_check(
            conditional!(
                ConditionCheck::builder().table_name(table).set_key(Some(from_key(write.key))),
                expression
            )
            .build()
            .map_err(Error::other)?,
        ),
        WriteKind::Add(_) | WriteKind::SetSeenAt(_) => action.update(
            conditional!(
                Update::builder()
                    .table_name(table)
                    .set_key(Some(from_key(write.key)))
                    .set_update_expression(expression.update.map(str::to_owned)),
                expression
            )
            .build()
            .map_err(Error::other)?,
        ),
    };
    Ok(action.build())
}
