//! What the provider gave for a node: the zone and the kind of its instance.
//!
//! The nodes of a gang exchange data all the time, and traffic between zones is slow and paid for. So a
//! gang is placed in one zone, and the zone of each node is recorded.

use crate::VmPriority;
use serde::{Deserialize, Serialize};

/// The instance of a node as the provider describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Offering {
    /// The provider has a single zone, and its instances are alike: processes of one machine.
    #[default]
    Single,
    /// The provider has not described the instance yet.
    Unknown,
    /// It has.
    Described {
        /// Name of the zone.
        zone: String,
        /// The size, as the provider names it.
        vm_size: String,
        /// The market: on-demand or spot. A spot cluster may have on-demand instances.
        priority: VmPriority,
    },
}

impl Offering {
    /// The zone of the instance.
    pub fn zone(&self) -> Zone {
        match self {
            Self::Single => Zone::Only,
            Self::Unknown => Zone::Unknown,
            Self::Described { zone, .. } => Zone::Named(zone.clone()),
        }
    }

    /// Whether the provider has described the instance.
    pub fn is_described(&self) -> bool {
        matches!(self, Self::Described { .. })
    }

    /// Whether the provider has a single zone.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Single)
    }
}

/// The zone of a node, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Zone {
    /// The provider has a single one.
    #[default]
    Only,
    /// Not known yet. No two nodes of unknown zone are in the same one for certain.
    Unknown,
    /// The zone of this name.
    Named(String),
}

impl Zone {
    /// Whether the provider has a single zone.
    pub fn is_only(&self) -> bool {
        *self == Self::Only
    }

    /// Whether nodes of these zones can form a gang. A single node always can.
    pub fn is_shared(zones: &[Zone]) -> bool {
        match zones {
            [] | [_] => true,
            [first, others @ ..] => {
                *first != Self::Unknown && others.iter().all(|zone| zone == first)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Zone {
        Zone::Named(name.to_owned())
    }

    #[test]
    fn a_gang_is_in_one_known_zone() {
        let unknown = || Zone::Unknown;
        assert!(Zone::is_shared(&[]) && Zone::is_shared(&[unknown()]));
        assert!(Zone::is_shared(&[Zone::Only, Zone::Only]));
        assert!(Zone::is_shared(&[named("a"), named("a")]));
        assert!(!Zone::is_shared(&[named("a"), named("b")]));
        assert!(!Zone::is_shared(&[unknown(), unknown()]));
        assert!(!Zone::is_shared(&[named("a"), unknown()]));
        assert!(!Zone::is_shared(&[Zone::Only, named("a")]));
    }

    #[test]
    fn a_stored_offering_is_read_again() {
        let described = Offering::Described {
            zone: "us-east-1a".into(),
            vm_size: "g4dn.xlarge".into(),
            priority: VmPriority::LowPriority,
        };
        assert_eq!(described.zone(), named("us-east-1a"));
        let text = serde_json::to_string(&described).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"described","zone":"us-east-1a","vmSize":"g4dn.xlarge","priority":"lowpriority"}"#
        );
        for offering in [described, Offering::Single, Offering::Unknown] {
            let text = serde_json::to_string(&offering).unwrap();
            assert_eq!(serde_json::from_str::<Offering>(&text).unwrap(), offering);
        }
    }
}
