//! One write of a commit, with the condition it was planned on. What a condition means is decided
//! here, for every implementation of [`crate::Storage`].

use crate::item::{Attributes, Body, Key};

#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub key: Key,
    pub kind: WriteKind,
    pub condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
pub enum WriteKind {
    /// Replaces the item, or creates it.
    Put {
        attributes: Attributes,
        body: Body,
    },
    Delete,
    /// Writes nothing; the condition must hold.
    Check,
    /// Adds to the number of a counter, which need not exist.
    Add(i64),
    /// Sets `seen_at` of an item and leaves the rest as it is. The item must exist, whatever the
    /// condition.
    SetSeenAt(i64),
}

/// What must hold of the item as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    Absent,
    Present,
    /// The record is as it was read. `seen_at` is part of that where the record has it: a put
    /// that was planned before a heartbeat must not set the time back.
    Unchanged {
        version: u64,
        seen_at: Option<i64>,
    },
    /// The same resource, on which something may still be created.
    Active {
        uid: String,
    },
    /// Likewise, and the schedule visits it.
    ActiveAndScheduled {
        uid: String,
    },
    /// A counter that is absent or at most so high.
    CountAtMost(i64),
    CountAtLeast(i64),
    /// The item exists and was last seen before that time.
    SeenBefore(i64),
    Never,
}

impl Write {
    /// Whether it may be carried out; `None` stands for an item that does not exist.
    pub fn holds(&self, stored: Option<&Attributes>) -> bool {
        let possible = stored.is_some() || !matches!(self.kind, WriteKind::SetSeenAt(_));
        possible && self.condition.holds(stored)
    }
}

impl Condition {
    /// Whether it holds; `None` stands for an item that does not exist.
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

    /// Whether each condition holds for an item that is absent, empty, or as given.
    #[test]
    fn what_conditions_mean() {
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
