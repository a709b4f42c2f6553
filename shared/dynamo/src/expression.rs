//! Conditions as expressions. Every name and value is a placeholder: `count` and other names are
//! reserved words, and a value is never part of the text.

use crate::attributes::{ACTIVE, COUNT, PARTITION, SCHEDULED, SEEN_AT, UID, VERSION, number, text};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;
use table::{Condition, Write, WriteKind};

/// The condition and the update of a request, with the placeholders of both.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Expression {
    condition: Vec<String>,
    pub update: Option<&'static str>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    pub(crate) fn of(write: &Write) -> Self {
        let mut expression = Self::default();
        expression.require(&write.condition);
        match write.kind {
            WriteKind::Put { .. } | WriteKind::Delete => {}
            // A check must have a condition.
            WriteKind::Check if expression.condition.is_empty() => {
                expression.all("attribute_exists(#pk) OR attribute_not_exists(#pk)", &[PARTITION]);
            }
            WriteKind::Check => {}
            WriteKind::Add(more) => {
                expression.update = Some("ADD #count :more");
                expression.name(COUNT);
                expression.value(":more", number(more));
            }
            WriteKind::SetSeenAt(time) => {
                expression.update = Some("SET #seen_at = :now");
                expression.name(SEEN_AT);
                expression.value(":now", number(time));
                // An update would create a missing item.
                if write.condition.holds(None) {
                    expression.all("attribute_exists(#pk)", &[PARTITION]);
                }
            }
        }
        expression
    }

    /// All parts must hold.
    pub(crate) fn condition(&self) -> Option<String> {
        match self.condition.as_slice() {
            [] => None,
            [only] => Some(only.clone()),
            parts => Some(format!("({})", parts.join(") AND ("))),
        }
    }

    /// A request must not contain an empty map.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        (!self.names.is_empty()).then(|| self.names.clone())
    }

    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn require(&mut self, condition: &Condition) {
        match condition {
            Condition::Always => {}
            Condition::Absent => self.all("attribute_not_exists(#pk)", &[PARTITION]),
            Condition::Present => self.all("attribute_exists(#pk)", &[PARTITION]),
            Condition::Unchanged { version, seen_at } => {
                self.all("#version = :version", &[VERSION]);
                self.value(":version", number(version));
                match seen_at {
                    Some(seen_at) => {
                        self.all("#seen_at = :seen_at", &[SEEN_AT]);
                        self.value(":seen_at", number(seen_at));
                    }
                    None => self.all("attribute_not_exists(#seen_at)", &[SEEN_AT]),
                }
            }
            Condition::Active { uid } => self.active(uid),
            Condition::ActiveAndScheduled { uid } => {
                self.active(uid);
                self.all("#scheduled = :true", &[SCHEDULED]);
            }
            Condition::CountAtMost(most) => {
                self.all("attribute_not_exists(#count) OR #count <= :most", &[COUNT]);
                self.value(":most", number(most));
            }
            Condition::CountAtLeast(least) => {
                self.all("#count >= :least", &[COUNT]);
                self.value(":least", number(least));
            }
            Condition::SeenBefore(time) => {
                self.all("#seen_at < :before", &[SEEN_AT]);
                self.value(":before", number(time));
            }
            Condition::Never => {
                self.all("attribute_exists(#pk)", &[PARTITION]);
                self.all("attribute_not_exists(#pk)", &[PARTITION]);
            }
        }
    }

    fn active(&mut self, uid: &str) {
        self.all("#uid = :uid", &[UID]);
        self.all("#active = :true", &[ACTIVE]);
        self.value(":uid", text(uid));
        self.value(":true", AttributeValue::Bool(true));
    }

    fn all(&mut self, part: &str, names: &[&str]) {
        self.condition.push(part.to_owned());
        names.iter().for_each(|name| self.name(name));
    }

    fn name(&mut self, name: &str) {
        self.names.insert(format!("#{name}"), name.to_owned());
    }

    fn value(&mut self, placeholder: &str, value: AttributeValue) {
        self.values.insert(placeholder.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use table::{Attributes, Body, Key};

    /// The expression as text: condition, update, names, values in order.
    fn of(kind: WriteKind, condition: Condition) -> String {
        let key = Key { pk: "p".to_owned(), sk: "s".to_owned() };
        let expression = Expression::of(&Write { key, kind, condition });
        let mut parts: Vec<String> = expression.condition().into_iter().collect();
        parts.extend(expression.update.map(str::to_owned));
        let mut names: Vec<String> = expression.names().unwrap_or_default().into_keys().collect();
        names.sort();
        let values = expression.values().unwrap_or_default().into_iter();
        let mut values: Vec<String> = values.map(|(name, value)| shown(&name, &value)).collect();
        values.sort();
        parts.push(names.join(" "));
        parts.push(values.join(" "));
        parts.join(" | ")
    }

    fn shown(name: &str, value: &AttributeValue) -> String {
        match value {
            AttributeValue::S(text) => format!("{name}='{text}'"),
            AttributeValue::N(number) => format!("{name}={number}"),
            other => format!("{name}={other:?}"),
        }
    }

    #[test]
    fn each_condition() {
        let uid = || "u".to_owned();
        for (condition, expected) in [
            (Condition::Always, " | "),
            (Condition::Absent, "attribute_not_exists(#pk) | #pk | "),
            (Condition::Present, "attribute_exists(#pk) | #pk | "),
            (
                Condition::Unchanged { version: 4, seen_at: None },
                "(#version = :version) AND (attribute_not_exists(#seen_at)) \
                 | #seen_at #version | :version=4",
            ),
            (
                Condition::Unchanged { version: 4, seen_at: Some(-9) },
                "(#version = :version) AND (#seen_at = :seen_at) \
                 | #seen_at #version | :seen_at=-9 :version=4",
            ),
            (
                Condition::Active { uid: uid() },
                "(#uid = :uid) AND (#active = :true) | #active #uid | :true=Bool(true) :uid='u'",
            ),
            (
                Condition::ActiveAndScheduled { uid: uid() },
                "(#uid = :uid) AND (#active = :true) AND (#scheduled = :true) \
                 | #active #scheduled #uid | :true=Bool(true) :uid='u'",
            ),
            (
                Condition::CountAtMost(5),
                "attribute_not_exists(#count) OR #count <= :most | #count | :most=5",
            ),
            (Condition::CountAtLeast(5), "#count >= :least | #count | :least=5"),
            (Condition::SeenBefore(5), "#seen_at < :before | #seen_at | :before=5"),
            (Condition::Never, "(attribute_exists(#pk)) AND (attribute_not_exists(#pk)) | #pk | "),
        ] {
            let put = WriteKind::Put { attributes: Attributes::default(), body: Body::None };
            assert_eq!(of(put, condition.clone()), expected);
            assert_eq!(of(WriteKind::Delete, condition), expected);
        }
    }

    #[test]
    fn each_kind() {
        let either = "attribute_exists(#pk) OR attribute_not_exists(#pk) | #pk | ";
        for (kind, condition, expected) in [
            (WriteKind::Check, Condition::Always, either),
            (WriteKind::Check, Condition::Present, "attribute_exists(#pk) | #pk | "),
            (WriteKind::Add(-2), Condition::Always, "ADD #count :more | #count | :more=-2"),
            (
                WriteKind::Add(2),
                Condition::CountAtMost(8),
                "attribute_not_exists(#count) OR #count <= :most \
                 | ADD #count :more | #count | :more=2 :most=8",
            ),
            (
                WriteKind::SetSeenAt(6),
                Condition::SeenBefore(5),
                "#seen_at < :before | SET #seen_at = :now | #seen_at | :before=5 :now=6",
            ),
            (
                WriteKind::SetSeenAt(6),
                Condition::Unchanged { version: 1, seen_at: Some(5) },
                "(#version = :version) AND (#seen_at = :seen_at) \
                 | SET #seen_at = :now | #seen_at #version | :now=6 :seen_at=5 :version=1",
            ),
            (
                WriteKind::SetSeenAt(6),
                Condition::Always,
                "attribute_exists(#pk) | SET #seen_at = :now | #pk #seen_at | :now=6",
            ),
            (
                WriteKind::SetSeenAt(6),
                Condition::CountAtMost(1),
                "(attribute_not_exists(#count) OR #count <= :most) AND (attribute_exists(#pk)) \
                 | SET #seen_at = :now | #count #pk #seen_at | :most=1 :now=6",
            ),
        ] {
            assert_eq!(of(kind, condition), expected);
        }
    }

    /// `count` is a reserved word, and text from a user can contain anything.
    #[test]
    fn no_value_is_part_of_the_text() {
        let uid = "x = :x OR attribute_exists(#pk)".to_owned();
        let condition = Condition::Active { uid: uid.clone() };
        let shown = of(WriteKind::Delete, condition);
        assert!(shown.starts_with("(#uid = :uid) AND (#active = :true) |"), "{shown}");
        assert!(shown.ends_with(&format!(":uid='{uid}'")), "{shown}");
    }
}
