//! The items of a service of release 0.1, as its storage had them: every later release reads them.
//!
//! A record whose format changes so that the earlier text cannot be read any more makes an upgrade of
//! a stack impossible. This file stays; a later release adds one of its own.

#![expect(clippy::unwrap_used, reason = "helpers of tests are outside of test functions")]

use model::{
    AccessToken, Cluster, Experiment, FileServer, FileServerUser, Job, JobMetrics, Launch, Node,
    Operation, QueueEntry, ResourceGroup, RoleAssignment, Subscription, Target, Workspace,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use table::{IdleMarker, InstanceOwner, Key, Record, Versioned};

const ITEMS: &str = include_str!("release_0_1.json");

struct Recorded {
    key: Key,
    version: Option<u64>,
    body: Value,
}

fn recorded() -> Vec<Recorded> {
    let items: Vec<Value> = serde_json::from_str(ITEMS).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let item = |item: &Value| Recorded {
        key: Key { pk: text(&item["pk"]), sk: text(&item["sk"]) },
        version: item["attributes"]["version"].as_u64(),
        body: item["body"].clone(),
    };
    items.iter().map(item).collect()
}

#[test]
fn every_item_of_an_earlier_release_is_read() {
    let items = recorded();
    for item in &items {
        match item.kind() {
            "rg" => item.is_versioned::<ResourceGroup>(),
            "ws" => item.is_versioned::<Workspace>(),
            "exp" => item.is_versioned::<Experiment>(),
            "fs" => item.is_versioned::<FileServer>(),
            "cluster" => item.is_versioned::<Cluster>(),
            "job" => item.is_versioned::<Job>(),
            "metrics" => item.is_versioned::<JobMetrics>(),
            "node" if item.key.pk.starts_with("inst#") => item.is_record::<InstanceOwner>(),
            "node" => item.is_versioned::<Node>(),
            "launch" => item.is_versioned::<Launch>(),
            "sub" => item.is_record::<Subscription>(),
            "op" => item.is_record::<Operation>(),
            "mount" => item.is_record::<FileServerUser>(),
            "target" => item.is_record::<Target>(),
            "token" => item.is_record::<AccessToken>(),
            // A role assignment has two items, of which the first is its record.
            "role" if item.key.pk.starts_with("sub#") => item.is_record::<RoleAssignment>(),
            "role" => drop(item.read::<RoleAssignment>()),
            "queue" => drop(item.read::<QueueEntry>()),
            "idle" => drop(item.read::<IdleMarker>()),
            // Only a number.
            "meter" => assert_eq!(item.body, Value::Null),
            other => panic!("{other} is not known"),
        }
    }
    assert!(items.len() > 40, "{}", items.len());
}

impl Recorded {
    fn kind(&self) -> &str {
        self.key.sk.split('#').next().unwrap()
    }

    /// The value, which is written again with at least what was recorded.
    fn read<T: Serialize + DeserializeOwned>(&self) -> T {
        let value: T = serde_json::from_value(self.body.clone())
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.key));
        let written = serde_json::to_value(&value).unwrap();
        assert!(contains(&written, &self.body), "{:?}\n{written}\n{}", self.key, self.body);
        value
    }

    fn is_record<T: Record + Serialize + DeserializeOwned>(&self) {
        assert_eq!(self.read::<T>().key(), self.key);
    }

    fn is_versioned<T: Versioned + Serialize + DeserializeOwned>(&self) {
        let value = self.read::<T>();
        assert_eq!((value.key(), Some(value.version())), (self.key.clone(), self.version));
    }
}

/// Whether `value` has all of `part`, where `null` and an empty list are the same as nothing.
fn contains(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(name, part)| match value.get(name) {
                Some(value) => contains(value, part),
                None => part.is_null() || part.as_array().is_some_and(Vec::is_empty),
            })
        }
        (Value::Array(value), Value::Array(part)) => {
            value.len() == part.len() && value.iter().zip(part).all(|(a, b)| contains(a, b))
        }
        (value, part) => value == part,
    }
}
