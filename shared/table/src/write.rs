//! One write of a commit, with the condition on which it was planned. The meaning of conditions is
//! defined here for every implementation of [`crate::Storage`].

use crate::item::{Attributes, Body, Key};

/// One write of a commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Key of the item.
    pub key: Key,
    /// What to do.
    pub kind: WriteKind,
    /// The condition under which the commit is carried out.
    pub condition: Condition,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum WriteKind {
    /// Creates or replaces the item.
    Put {
        /// Its attributes.
        attributes: Attributes,
        /// Its value.
        body: Body,
    },
    /// Deletes the item, if it exists.
    Delete,
    /// Writes nothing; only the condition must hold.
    Check,
    /// Adds to a counter, which need not exist.
    Add(i64),
    /// Sets `seen_at` of an item (milliseconds since 1970) and leaves the rest unchanged. The item
    /// must exist, whatever the condition.
    SetSeenAt(i64),
}

/// A condition on the stored item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No condition.
    Always,
    /// The item does not exist.
    Absent,
    /// The item exists.
    Present,
    /// The record is as it was read. That includes `seen_at` if the record has one: a put that was
    /// planned before a heartbeat must not set the time back.
    Unchanged {
        /// The version that was read.
        version: u64,
        /// The time that was read.
        seen_at: Option<i64>,
    },
    /// The same resource exists, and resources may be created below it.
    Active {
        /// Uid of the resource.
        uid: String,
    },
    /// The same, and the resource is on the schedule's list.
    ActiveAndScheduled {
        /// Uid of the resource.
        uid: String,
    },
    /// The counter is absent or at most this.
    CountAtMost(i64),
    /// The counter is at least this.
    CountAtLeast(i64),
    /// The item exists and its `seen_at` is before this time (milliseconds since 1970).
    SeenBefore(i64),
    /// Never holds.
    Never,
}

impl Write {
    /// Whether the write may be carried out; `None` stands for a missing item.
    pub fn holds(&self, stored: Option<&Attributes>) -> bool {
        let possible = stored.is_some() || !matches!(self.kind, WriteKind::SetSeenAt(_));
        possible && self.condition.holds(stored)
    }
}

impl Condition {
    /// Whether the condition holds; `None` stands for a missing item.
    pub fn holds(&self, stored: Option<&Attributes>) -> bool {
        let Some(stored) = stored else {
            return matches!(self, Self::Always | Self::Absent | Self::CountAtMost(_));
        };
        match self {
            Self::Always | Self::Present => true,
            Self::Absent | Self::Never => false,
            Self::Unchanged { version, seen_at } => {
                stored.version == Some(*version) && stored.seen_at == *seen_at
            }
            Self::Active { uid } => stored.active == Some(true) && stored.uid.as_ref() == Some(uid),
            Self::ActiveAndScheduled { uid } => {
                stored.active == Some(true)
                    && stored.scheduled == Some(true)
                    && stored.uid.as_ref() == Some(uid)
            }
            Self::CountAtMost(most) => stored.count.is_none_or(|count| count <= *most),
            Self::CountAtLeast(least) => stored.count.is_some_and(|count| count >= *least),
            Self::SeenBefore(time) => stored.seen_at.is_some_and(|seen| seen < *time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each condition holds for a missing item, an empty one, and three others.
    #[test]
    fn conditions_on_items() {
        let given = Attributes {
            version: Some(3),
            uid: Some("u".into()),
            active: Some(true),
            scheduled: Some(false),
            seen_at: Some(10),
            expires_at: None,
            count: Some(5),
        };
        let scheduled = Attributes { scheduled: Some(true), ..given.clone() };
        let deleting = Attributes { active: Some(false), ..scheduled.clone() };
        let unchanged = |version, seen_at| Condition::Unchanged { version, seen_at };
        let active = |uid: &str| Condition::Active { uid: uid.into() };
        let listed = |uid: &str| Condition::ActiveAndScheduled { uid: uid.into() };
        let (yes, no) = (true, false);
        let cases = [
            (Condition::Always, [yes, yes, yes, yes, yes]),
            (Condition::Never, [no, no, no, no, no]),
            (Condition::Absent, [yes, no, no, no, no]),
            (Condition::Present, [no, yes, yes, yes, yes]),
            (unchanged(3, Some(10)), [no, no, yes, yes, yes]),
            (unchanged(3, Some(9)), [no, no, no, no, no]),
            (unchanged(3, None), [no, no, no, no, no]),
            (unchanged(4, Some(10)), [no, no, no, no, no]),
            (active("u"), [no, no, yes, yes, no]),
            (active("v"), [no, no, no, no, no]),
            (listed("u"), [no, no, no, yes, no]),
            (listed("v"), [no, no, no, no, no]),
            (Condition::CountAtMost(5), [yes, yes, yes, yes, yes]),
            (Condition::CountAtMost(4), [yes, yes, no, no, no]),
            (Condition::CountAtLeast(5), [no, no, yes, yes, yes]),
            (Condition::CountAtLeast(6), [no, no, no, no, no]),
            (Condition::SeenBefore(11), [no, no, yes, yes, yes]),
            (Condition::SeenBefore(10), [no, no, no, no, no]),
        ];
        for (condition, expected) in cases {
            let empty = Attributes::default();
            let stored = [None, Some(&empty), Some(&given), Some(&scheduled), Some(&deleting)];
            assert_eq!(stored.map(|it| condition.holds(it)), expected, "{condition:?}");
        }
    }
}
