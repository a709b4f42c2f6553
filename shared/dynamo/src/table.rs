//! The table itself: one client, one name, and the two ways to reach items: by key, by range.

use crate::error::{Error, from_sdk, from_transaction};
use crate::key::{Key, PARTITION, SORT};
use crate::record::{self, Item, SEEN_AT, Stored, number};
use crate::transaction::Transaction;
use crate::units::Units;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity};
use model::{Node, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// Reads are strongly consistent: decisions are made on them.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
    units: Arc<Units>,
}

/// A range of one partition, in order of the sort key.
pub(crate) struct Range<'a> {
    pub pk: String,
    pub prefix: &'a str,
    /// Starts behind this sort key.
    pub after: Option<String>,
    pub limit: Option<usize>,
}

impl Table {
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into(), units: Arc::default() }
    }

    pub fn units(&self) -> &Units {
        &self.units
    }

    /// Carries out all writes or none.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a condition did not hold. After any other error the writes may have
    /// happened: the conditions make a repetition harmless, reading again tells.
    pub async fn commit(&self, transaction: Transaction) -> Result<(), Error> {
        let writes = transaction.into_writes()?;
        if writes.is_empty() {
            return Ok(());
        }
        let actions: Result<Vec<_>, Error> =
            writes.into_iter().map(|write| write.into_action(&self.name)).collect();
        let answer = self
            .client
            .transact_write_items()
            .set_transact_items(Some(actions?))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(from_transaction)?;
        for capacity in answer.consumed_capacity() {
            self.units.write(Some(capacity));
        }
        Ok(())
    }

    pub(crate) async fn get<R: Stored>(&self, key: Key) -> Result<Option<R>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(from_sdk)?;
        self.units.read(answer.consumed_capacity());
        answer.item.as_ref().map(record::from_item).transpose()
    }

    /// Up to 100 items by key, in no particular order; missing ones are left out.
    pub(crate) async fn get_many<R: Stored>(&self, keys: Vec<Key>) -> Result<Vec<R>, Error> {
        let mut wanted: Vec<Item> = keys.into_iter().map(Key::attributes).collect();
        let mut found = Vec::with_capacity(wanted.len());
        while !wanted.is_empty() {
            let request = KeysAndAttributes::builder()
                .set_keys(Some(std::mem::take(&mut wanted)))
                .consistent_read(true)
                .build()
                .map_err(Error::other)?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.name, request)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(from_sdk)?;
            for capacity in answer.consumed_capacity() {
                self.units.read(Some(capacity));
            }
            for item in answer.responses.into_iter().flatten().flat_map(|(_, items)| items) {
                found.push(record::from_item(&item)?);
            }
            for (_, rest) in answer.unprocessed_keys.into_iter().flatten() {
                wanted.extend(rest.keys);
            }
        }
        Ok(found)
    }

    /// Items of a range, with the sort key each stands under.
    pub(crate) async fn range<R: Stored>(
        &self,
        range: Range<'_>,
    ) -> Result<Vec<(String, R)>, Error> {
        self.range_of(range, record::from_item).await
    }

    /// The numbers of a partition of counters.
    pub(crate) async fn counts(
        &self,
        pk: String,
        prefix: &str,
    ) -> Result<Vec<(String, u32)>, Error> {
        self.range_of(Range { pk, prefix, after: None, limit: None }, record::count).await
    }

    async fn range_of<T>(
        &self,
        range: Range<'_>,
        read: impl Fn(&Item) -> Result<T, Error>,
    ) -> Result<Vec<(String, T)>, Error> {
        let mut found = Vec::new();
        let mut after = range.after.map(|sk| Key { pk: range.pk.clone(), sk }.attributes());
        loop {
            let left = range.limit.map(|limit| limit.saturating_sub(found.len()));
            if left == Some(0) {
                return Ok(found);
            }
            let answer = self
                .client
                .query()
                .table_name(&self.name)
                .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
                .expression_attribute_names("#pk", PARTITION)
                .expression_attribute_names("#sk", SORT)
                .expression_attribute_values(":pk", AttributeValue::S(range.pk.clone()))
                .expression_attribute_values(":prefix", AttributeValue::S(range.prefix.to_owned()))
                .set_exclusive_start_key(after.take())
                .set_limit(left.map(|left| i32::try_from(left).unwrap_or(i32::MAX)))
                .consistent_read(true)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
                .await
                .map_err(from_sdk)?;
            self.units.read(answer.consumed_capacity());
            for item in answer.items.unwrap_or_default() {
                found.push((sort_key(&item)?, read(&item)?));
            }
            match answer.last_evaluated_key {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Notes that a node was heard of, without a new version: it decides nothing by itself.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the node is gone.
    pub async fn touch_node(&self, node: &Node, now: Timestamp) -> Result<(), Error> {
        let key = crate::key::node(&node.cluster.uid, &node.id);
        let seen_at = number(u64::try_from(now.0).unwrap_or(0));
        let answer = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression("SET #seen = :seen")
            .condition_expression("attribute_exists(#pk)")
            .expression_attribute_names("#seen", SEEN_AT)
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_values(":seen", seen_at)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(from_sdk)?;
        self.units.write(answer.consumed_capacity());
        Ok(())
    }
}

fn sort_key(item: &HashMap<String, AttributeValue>) -> Result<String, Error> {
    match item.get(SORT) {
        Some(AttributeValue::S(sk)) => Ok(sk.clone()),
        _ => Err(Error::other("an item without a sort key")),
    }
}
