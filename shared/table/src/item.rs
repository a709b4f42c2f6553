//! Items: a key, the attributes that conditions test, and the value as one body.
//!
//! Conditions need only a few attributes; everything else is read and written as a whole. As one
//! JSON
//! text it costs a fifth of a tree of attributes to send, check and store.

use crate::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key: the place in the order of the partition.
    pub sk: String,
}

/// The attributes that conditions test. Absent ones are not stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Number of the last write of a versioned record.
    pub version: Option<u64>,
    /// Uid of the resource.
    pub uid: Option<String>,
    /// Whether resources may be created below this one.
    pub active: Option<bool>,
    /// Whether the cluster is on the schedule's list.
    pub scheduled: Option<bool>,
    /// When the agent of the node last reported, in milliseconds since 1970. Written without a new
    /// version.
    pub seen_at: Option<i64>,
    /// When the item expires, in seconds since 1970.
    pub expires_at: Option<i64>,
    /// The value of a counter.
    pub count: Option<i64>,
}

/// A stored item.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its key.
    pub key: Key,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its value.
    pub body: Body,
}

/// The value of an item: JSON text in a database, the value itself in memory.
#[derive(Clone, Default)]
pub enum Body {
    /// No value, as in a counter.
    #[default]
    None,
    /// JSON text.
    Text(Arc<str>),
    /// The value itself.
    Value(Arc<dyn Value>),
}

/// A value that can be written as JSON and returned unchanged.
pub trait Value: Any + Send + Sync {
    /// The JSON of the value.
    ///
    /// # Errors
    /// When the value has no JSON (a map whose keys are not text).
    fn to_text(&self) -> Result<String, Error>;
}

impl<T: Serialize + Any + Send + Sync> Value for T {
    fn to_text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(Error::other)
    }
}

impl Body {
    /// A body with this value.
    pub fn of<T: Serialize + Any + Send + Sync>(value: T) -> Self {
        Self::Value(Arc::new(value))
    }

    /// A body with this JSON text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The JSON to store; `None` for an item without a body.
    ///
    /// # Errors
    /// When the value has no JSON.
    pub fn to_text(&self) -> Result<Option<Arc<str>>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Text(text) => Ok(Some(Arc::clone(text))),
            Self::Value(value) => Ok(Some(value.to_text()?.into())),
        }
    }

    /// The value of the body.
    ///
    /// # Errors
    /// When the body has no value, or one of another type.
    pub fn read<T: DeserializeOwned + Clone + Any>(&self) -> Result<T, Error> {
        match self {
            Self::None => Err(Error::other("an item without a body")),
            Self::Text(text) => serde_json::from_str(text).map_err(Error::other),
            Self::Value(value) => {
                let any: &dyn Any = value.as_ref();
                any.downcast_ref::<T>()
                    .cloned()
                    .ok_or_else(|| Error::other("an item of another kind"))
            }
        }
    }
}

/// Compares the stored form.
impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.to_text(), other.to_text()), (Ok(a), Ok(b)) if a == b)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_text() {
            Ok(text) => write!(formatter, "{}", text.as_deref().unwrap_or("-")),
            Err(error) => write!(formatter, "{error}"),
        }
    }
}

impl Item {
    /// Size in bytes as DynamoDB counts it: names and values of all attributes (Developer Guide,
    /// "DynamoDB item sizes and formats").
    ///
    /// # Errors
    /// When the body has no JSON.
    pub fn size(&self) -> Result<usize, Error> {
        let body = self.body.to_text()?.map_or(0, |text| "body".len() + text.len());
        let key = "pk".len() + self.key.pk.len() + "sk".len() + self.key.sk.len();
        Ok(key + body + self.attributes.size())
    }
}

impl Attributes {
    fn size(&self) -> usize {
        let number = |name: &str, value: Option<i64>| {
            value.map_or(0, |value| name.len() + number_size(value))
        };
        let flag = |name: &str, value: Option<bool>| value.map_or(0, |_| name.len() + 1);
        number("version", self.version.map(|version| version as i64))
            + self.uid.as_ref().map_or(0, |uid| "uid".len() + uid.len())
            + flag("active", self.active)
            + flag("scheduled", self.scheduled)
            + number("seen_at", self.seen_at)
            + number("expires_at", self.expires_at)
            + number("count", self.count)
    }
}

/// One byte per two significant digits, one more, and one for a minus sign. Trailing zeros are not
/// significant.
fn number_size(value: i64) -> usize {
    let digits = value.unsigned_abs().to_string();
    let significant = digits.trim_end_matches('0').len();
    significant.div_ceil(2) + 1 + usize::from(value < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_an_item_counts_names_and_values() {
        let key = Key { pk: "abc".into(), sk: "de".into() };
        let item = |attributes, body| Item { key: key.clone(), attributes, body };
        let size = |attributes, body| item(attributes, body).size().unwrap();
        let none = Attributes::default;
        assert_eq!(size(none(), Body::None), 9);
        assert_eq!(size(none(), Body::text("{}")), 15);
        assert_eq!(size(none(), Body::of(vec![1, 2])), 9 + "body[1,2]".len());
        let flags = Attributes { active: Some(true), scheduled: Some(false), ..none() };
        assert_eq!(size(flags, Body::None), 9 + "active".len() + 1 + "scheduled".len() + 1);
        let uid = Attributes { uid: Some("u".into()), ..none() };
        assert_eq!(size(uid, Body::None), 9 + "uidu".len());
        let numbers = Attributes {
            version: Some(100),
            seen_at: Some(-10),
            expires_at: Some(0),
            count: Some(1),
            ..none()
        };
        let names = "version".len() + "seen_at".len() + "expires_at".len() + "count".len();
        assert_eq!(size(numbers, Body::None), 9 + names + 2 + 3 + 1 + 2);
    }

    #[test]
    fn a_body_is_equal_as_text_and_as_value() {
        let (value, text) = (Body::of(vec![1u32, 2]), Body::text("[1,2]"));
        assert_eq!(value, text);
        assert_ne!(value, Body::text("[1]"));
        for body in [value, text] {
            assert_eq!(body.read::<Vec<u32>>().unwrap(), [1, 2]);
            assert!(body.read::<String>().is_err(), "an item of another kind");
        }
        assert!(Body::None.read::<u32>().is_err());
    }
}
