//! The locations of the service, as its operator lists them.

use crate::Name;
use std::fmt;
use std::str::FromStr;

/// Azure Resource Manager's limit for names with dots.
const LONGEST_LOCATION: usize = 90;

/// Where workspaces can be created: at least one location, each in the operator's spelling. Upper
/// and lower case are the same. The text form separates them by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations(Vec<Name>);

/// Why a text is no list of locations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be names of letters, digits, dashes, underscores or dots, separated by commas")]
pub struct InvalidLocations;

impl Locations {
    /// Whether the service has this location.
    pub fn contains(&self, location: &str) -> bool {
        self.0.iter().any(|known| known.as_str().eq_ignore_ascii_case(location))
    }

    /// All of them, in the operator's order.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }
}

impl FromStr for Locations {
    type Err = InvalidLocations;

    fn from_str(text: &str) -> Result<Self, InvalidLocations> {
        let name = |name: &str| is_location(name).then(|| Name::new(name)).ok_or(InvalidLocations);
        text.split(',').map(str::trim).map(name).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Locations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Name::as_str).collect();
        formatter.write_str(&names.join(","))
    }
}

/// What requests can name: see `wire::names`.
fn is_location(name: &str) -> bool {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST_LOCATION).contains(&name.len())
        && name.chars().all(is_valid)
        && name.chars().any(|c| c != '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_locations() {
        let locations: Locations = "eastus, eu-west-1".parse().unwrap();
        assert_eq!(locations.to_string(), "eastus,eu-west-1");
        assert!(locations.contains("EastUS") && locations.contains("eu-west-1"));
        for unknown in ["", "mars", "east", "e-a-s-t-u-s", "eastus,eu-west-1"] {
            assert!(!locations.contains(unknown), "{unknown}");
        }
        for invalid in ["", "a,,b", "a b", "..", "a/b"] {
            assert_eq!(invalid.parse::<Locations>(), Err(InvalidLocations), "{invalid}");
        }
    }
}
