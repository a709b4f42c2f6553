//! Items in DynamoDB: each attribute under the name of its field, the value as one text.

use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;
use table::{Attributes, Body, Error, Item, Key};

pub(crate) const PARTITION: &str = "pk";
pub(crate) const SORT: &str = "sk";
pub(crate) const VERSION: &str = "version";
pub(crate) const UID: &str = "uid";
pub(crate) const ACTIVE: &str = "active";
pub(crate) const SCHEDULED: &str = "scheduled";
pub(crate) const SEEN_AT: &str = "seen_at";
/// The attribute of the table's time to live, in seconds since 1970.
pub(crate) const EXPIRES_AT: &str = "expires_at";
pub(crate) const COUNT: &str = "count";
const BODY: &str = "body";

pub(crate) type Stored = HashMap<String, AttributeValue>;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl Display) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn from_key(key: Key) -> Stored {
    HashMap::from([(PARTITION.to_owned(), text(key.pk)), (SORT.to_owned(), text(key.sk))])
}

pub(crate) fn from_item(key: Key, attributes: Attributes, body: &Body) -> Result<Stored, Error> {
    let Attributes { version, uid, active, scheduled, seen_at, expires_at, count } = attributes;
    let optional = [
        (VERSION, version.map(number)),
        (UID, uid.map(text)),
        (ACTIVE, active.map(AttributeValue::Bool)),
        (SCHEDULED, scheduled.map(AttributeValue::Bool)),
        (SEEN_AT, seen_at.map(number)),
        (EXPIRES_AT, expires_at.map(number)),
        (COUNT, count.map(number)),
        (BODY, body.to_text()?.map(|body| text(&*body))),
    ];
    let mut stored = from_key(key);
    stored.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(stored)
}

/// # Errors
/// When an attribute has another type than this crate writes.
pub(crate) fn to_item(mut stored: Stored) -> Result<Item, Error> {
    let key = Key {
        pk: take_text(&mut stored, PARTITION)?.ok_or_else(|| wrong(PARTITION))?,
        sk: take_text(&mut stored, SORT)?.ok_or_else(|| wrong(SORT))?,
    };
    let attributes = Attributes {
        version: take_number(&mut stored, VERSION)?,
        uid: take_text(&mut stored, UID)?,
        active: take_flag(&mut stored, ACTIVE)?,
        scheduled: take_flag(&mut stored, SCHEDULED)?,
        seen_at: take_number(&mut stored, SEEN_AT)?,
        expires_at: take_number(&mut stored, EXPIRES_AT)?,
        count: take_number(&mut stored, COUNT)?,
    };
    let body = take_text(&mut stored, BODY)?.map_or(Body::None, Body::text);
    Ok(Item { key, attributes, body })
}

fn take_text(stored: &mut Stored, name: &str) -> Result<Option<String>, Error> {
    match stored.remove(name) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(name)),
    }
}

fn take_number<N: FromStr>(stored: &mut Stored, name: &str) -> Result<Option<N>, Error> {
    match stored.remove(name) {
        None => Ok(None),
        Some(AttributeValue::N(digits)) => digits.parse().map(Some).map_err(|_| wrong(name)),
        Some(_) => Err(wrong(name)),
    }
}

fn take_flag(stored: &mut Stored, name: &str) -> Result<Option<bool>, Error> {
    match stored.remove(name) {
        None => Ok(None),
        Some(AttributeValue::Bool(flag)) => Ok(Some(flag)),
        Some(_) => Err(wrong(name)),
    }
}

fn wrong(name: &str) -> Error {
    Error::other(format!("an item whose attribute {name} cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_the_names_of_their_fields() {
        let attributes = Attributes {
            version: Some(7),
            uid: Some("u".to_owned()),
            active: Some(true),
            scheduled: Some(false),
            seen_at: Some(-1),
            expires_at: Some(2),
            count: Some(3),
        };
        let key = Key { pk: "p".to_owned(), sk: "s".to_owned() };
        let body = Body::text("{}");
        let stored = from_item(key.clone(), attributes.clone(), &body).unwrap();
        let expected = [
            ("pk", text("p")),
            ("sk", text("s")),
            ("version", number(7)),
            ("uid", text("u")),
            ("active", AttributeValue::Bool(true)),
            ("scheduled", AttributeValue::Bool(false)),
            ("seen_at", number(-1)),
            ("expires_at", number(2)),
            ("count", number(3)),
            ("body", text("{}")),
        ];
        assert_eq!(stored, HashMap::from(expected.map(|(name, value)| (name.to_owned(), value))));
        assert_eq!(to_item(stored).unwrap(), Item { key, attributes, body });
    }

    #[test]
    fn an_absent_attribute_is_not_stored() {
        let key = Key { pk: "p".to_owned(), sk: "s".to_owned() };
        let stored = from_item(key, Attributes::default(), &Body::None).unwrap();
        assert_eq!(stored.len(), 2, "{stored:?}");
    }

    #[test]
    fn an_attribute_of_another_type_is_an_error() {
        for (name, value) in [
            ("version", text("1")),
            ("version", number(-1)),
            ("seen_at", number(1.5)),
            ("active", number(1)),
            ("uid", number(1)),
            ("body", AttributeValue::Null(true)),
        ] {
            let mut stored = from_key(Key { pk: "p".to_owned(), sk: "s".to_owned() });
            stored.insert(name.to_owned(), value);
            let error = to_item(stored).unwrap_err();
            assert!(format!("{error:?}").contains(name), "{error:?}");
        }
    }
}
