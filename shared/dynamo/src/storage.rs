//! [`Storage`] on one DynamoDB table: reads here, writes in `commit`.

use crate::attributes::{PARTITION, SORT, Stored, from_key, text, to_item};
use crate::error::from_sdk;
use crate::pauses::{Jitter, Pauses};
use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity};
use std::sync::Arc;
use table::limits::{check_key, check_keys, check_sizes, check_writes};
use table::{Consumed, Error, Item, Key, Range, Storage, Units, Write};

/// One client and one table. Clones share the unit totals.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) pauses: Pauses,
    units: Arc<Units>,
}

impl DynamoDb {
    /// Storage on this table. `jitter` varies the pauses between repetitions.
    pub fn new(client: Client, table: impl Into<String>, jitter: Jitter) -> Self {
        let (table, pauses) = (table.into(), Pauses::new(jitter));
        Self { client, table, pauses, units: Arc::default() }
    }

    pub(crate) async fn read(&self, key: &Key) -> Result<Option<Item>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(from_key(key.clone())))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(from_sdk)?;
        self.charge_reads(answer.consumed_capacity.as_slice());
        answer.item.map(to_item).transpose()
    }

    /// One request for these keys. Unprocessed keys are moved back to `keys`.
    async fn read_some(&self, keys: &mut Vec<Stored>) -> Result<Vec<Item>, Error> {
        let request = KeysAndAttributes::builder()
            .set_keys(Some(std::mem::take(keys)))
            .consistent_read(true)
            .build()
            .map_err(Error::other)?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(from_sdk)?;
        self.charge_reads(answer.consumed_capacity());
        keys.extend(answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, rest)| rest.keys));
        answer.responses.into_iter().flatten().flat_map(|(_, it)| it).map(to_item).collect()
    }

    fn query(&self, range: &Range) -> QueryFluentBuilder {
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .expression_attribute_names("#pk", PARTITION)
            .expression_attribute_values(":pk", text(&range.pk))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        // DynamoDB does not accept an empty key value.
        if range.prefix.is_empty() {
            return request.key_condition_expression("#pk = :pk");
        }
        request
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
            .expression_attribute_names("#sk", SORT)
            .expression_attribute_values(":prefix", text(&range.prefix))
    }

    fn charge_reads(&self, consumed: &[ConsumedCapacity]) {
        self.units.add_reads(total(consumed));
    }

    pub(crate) fn charge_writes(&self, consumed: &[ConsumedCapacity]) {
        self.units.add_writes(total(consumed));
    }
}

fn total(consumed: &[ConsumedCapacity]) -> f64 {
    consumed.iter().filter_map(ConsumedCapacity::capacity_units).sum()
}

#[async_trait]
impl Storage for DynamoDb {
    async fn get(&self, key: &Key) -> Result<Option<Item>, Error> {
        check_key(key)?;
        self.read(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Item>, Error> {
        check_keys(keys)?;
        let mut left: Vec<Stored> = keys.iter().cloned().map(from_key).collect();
        let mut found = Vec::with_capacity(keys.len());
        if keys.is_empty() {
            return Ok(found);
        }
        let mut repetition = 0;
        loop {
            found.extend(self.read_some(&mut left).await?);
            if left.is_empty() {
                break;
            }
            // Throttled, or more than the 16 MB of one answer. Three answers are enough for any
            // read.
            if !self.pauses.wait(repetition).await {
                return Err(Error::Throttled("keys are left unprocessed".into()));
            }
            repetition += 1;
        }
        Ok(found)
    }

    async fn range(&self, range: &Range) -> Result<Vec<Item>, Error> {
        // DynamoDB does not accept a start outside the range.
        let start = range.after.as_deref().filter(|after| *after >= range.prefix.as_str());
        if start.is_some_and(|after| !after.starts_with(&range.prefix)) {
            return Ok(Vec::new());
        }
        let key = |sk: &str| from_key(Key { pk: range.pk.clone(), sk: sk.to_owned() });
        let mut start = start.filter(|after| !after.is_empty()).map(key);
        let mut found = Vec::new();
        loop {
            let left = range.limit.map(|limit| limit.saturating_sub(found.len()));
            if left == Some(0) {
                return Ok(found);
            }
            let answer = self
                .query(range)
                .set_exclusive_start_key(start.take())
                .set_limit(left.map(|left| i32::try_from(left).unwrap_or(i32::MAX)))
                .send()
                .await
                .map_err(from_sdk)?;
            self.charge_reads(answer.consumed_capacity.as_slice());
            for item in answer.items.unwrap_or_default() {
                found.push(to_item(item)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }

    async fn commit(&self, mut writes: Vec<Write>) -> Result<(), Error> {
        check_writes(&writes)?;
        check_sizes(&writes)?;
        match writes.len() {
            0 => Ok(()),
            1 => self.commit_one(writes.remove(0)).await,
            _ => self.commit_all(writes).await,
        }
    }

    fn consumed(&self) -> Consumed {
        self.units.consumed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::config::{BehaviorVersion, Config};

    /// The embedded engine accepts an empty prefix, so the test inspects the request.
    #[test]
    fn an_empty_prefix_is_not_part_of_a_query() {
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).build();
        let storage = DynamoDb::new(Client::from_conf(config), "t", Arc::new(|| 0.5));
        for (prefix, expected, values) in
            [("", "#pk = :pk", 1), ("a", "#pk = :pk AND begins_with(#sk, :prefix)", 2)]
        {
            let range =
                Range { pk: "p".to_owned(), prefix: prefix.to_owned(), after: None, limit: None };
            let query = storage.query(&range);
            assert_eq!(query.get_key_condition_expression().as_deref(), Some(expected));
            let count = |values: &Option<std::collections::HashMap<_, _>>| {
                values.as_ref().map(|it| it.len())
            };
            assert_eq!(count(query.get_expression_attribute_values()), Some(values));
        }
    }
}
