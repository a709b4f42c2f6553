//! Which names a cluster's size can have.
//!
//! The table `ec2::SIZES` lists all sizes of its series, so another number of such a series is a typing error. Sizes
//! of other series of Azure and types of EC2 are known by the form of their names only.

use crate::{ec2, limits};

/// Types of EC2 that are common for training and not in the table of sizes.
const COMMON_TYPES: [&str; 5] =
    ["g4dn.xlarge", "g5.xlarge", "p3.2xlarge", "p4d.24xlarge", "p5.48xlarge"];

/// At most so many names are suggested.
const MAX_SIMILAR: usize = 3;

/// Names that differ in more characters are not similar.
const MAX_DIFFERENCE: usize = 2;

/// Why a cluster cannot have a size. The text follows the name of the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVmSize {
    /// Azure Batch AI did not allow it (docs/contract.md, "Quotas and usages").
    #[error(
        "must not be STANDARD_A0 or a size with premium storage (STANDARD_DS, STANDARD_GS), but is {0}; a cluster can have any other size"
    )]
    NotForClusters(String),
    /// There is no such size.
    #[error(
        "must be a VM size of Azure or an instance type of EC2, such as STANDARD_NC6 or g5.xlarge, but is \"{name}\"{}",
        did_you_mean(similar)
    )]
    Unknown {
        /// The beginning of what was given, in ASCII.
        name: String,
        /// The most similar names; empty if none is similar.
        similar: Vec<String>,
    },
}

fn did_you_mean(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [others @ .., last] => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

/// Checks the size of a cluster's nodes: a name of Azure (`STANDARD_NC6`) or of EC2 (`g5.xlarge`), in any case.
///
/// # Errors
/// When a cluster cannot have the size, or when there is no such size.
pub fn check_cluster_size(name: &str) -> Result<(), InvalidVmSize> {
    let upper = name.to_ascii_uppercase();
    let azure = upper.strip_prefix("STANDARD_");
    if azure.is_some_and(is_not_for_clusters) {
        return Err(InvalidVmSize::NotForClusters(shown(name)));
    }
    let exists = name.len() <= limits::MAX_VM_SIZE_BYTES
        && azure.map_or_else(|| ec2::is_type(&name.to_ascii_lowercase()), may_exist);
    if exists {
        return Ok(());
    }
    let is_short = name.len() <= limits::MAX_VM_SIZE_BYTES;
    let similar = if is_short { similar(&upper) } else { Vec::new() };
    Err(InvalidVmSize::Unknown { similar, name: shown(name) })
}

/// The beginning of a name for messages, which may become a line of a header: other characters are escaped.
fn shown(name: &str) -> String {
    name.chars().take(limits::MAX_VM_SIZE_BYTES).flat_map(char::escape_default).collect()
}

fn is_not_for_clusters(size: &str) -> bool {
    let is_premium = ["DS", "GS"].iter().any(|letters| {
        let number = size.strip_prefix(letters);
        number.is_some_and(|number| number.starts_with(|it: char| it.is_ascii_digit()))
    });
    is_premium || size == "A0"
}

/// Whether Azure may have the size, which is in capitals and without `STANDARD_`.
fn may_exist(size: &str) -> bool {
    if ec2::of_azure(size).is_some() {
        return true;
    }
    let Some(series) = Series::of(size) else { return false };
    ec2::SIZES.iter().all(|(known, _)| Series::of(known) != Some(series))
}

/// The series of a size: `NC` and `_V2` for `NC6S_V2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Series<'a> {
    letters: &'a str,
    version: &'a str,
}

impl<'a> Series<'a> {
    /// `None` if a size does not have the form of a name of Azure: letters, a number, features, a version.
    fn of(size: &'a str) -> Option<Self> {
        let (size, version) = size.split_at(size.find('_').unwrap_or(size.len()));
        let (letters, rest) = size.split_at(size.find(|it: char| it.is_ascii_digit())?);
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_plain = |text: &str, other: &[u8]| {
            text.bytes().all(|it| it.is_ascii_alphanumeric() || other.contains(&it))
        };
        let is_valid = (1..=3).contains(&letters.len())
            && letters.bytes().all(|it| it.is_ascii_alphabetic())
            && digits <= 3
            && is_plain(&rest[digits..], b"-")
            && is_plain(version, b"_")
            && version.len() != 1;
        is_valid.then_some(Self { letters, version })
    }
}

/// The names in the table, and common types, that differ least from a name in capitals.
fn similar(name: &str) -> Vec<String> {
    let of_azure = ec2::SIZES.iter().map(|(size, _)| format!("STANDARD_{size}"));
    let types = ec2::SIZES.iter().map(|(_, name)| *name).chain(COMMON_TYPES);
    let mut names: Vec<String> = of_azure.chain(types.map(str::to_owned)).collect();
    // The types of a table of sizes repeat.
    names.sort();
    names.dedup();
    let difference = |known: &String| {
        let known = known.to_ascii_uppercase();
        let whole = strsim::osa_distance(name, &known);
        // The prefix is often left out.
        let without = known.strip_prefix("STANDARD_").map(|it| strsim::osa_distance(name, it));
        whole.min(without.unwrap_or(whole))
    };
    let mut ranked: Vec<(usize, String)> =
        names.into_iter().map(|known| (difference(&known), known)).collect();
    ranked.retain(|(difference, _)| *difference <= MAX_DIFFERENCE.min(name.len() / 2));
    ranked.sort();
    let least = ranked.first().map(|(difference, _)| *difference);
    ranked.retain(|(difference, _)| Some(*difference) == least);
    ranked.into_iter().take(MAX_SIMILAR).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> String {
        check_cluster_size(name).map_or_else(|error| error.to_string(), |()| "ok".to_owned())
    }

    #[test]
    fn messages_are_short_and_in_ascii() {
        for name in [
            "é\n",
            "STANDARD_DS1é",
            &"é".repeat(70_000),
            &format!("STANDARD_DS1{}", "x".repeat(70_000)),
        ] {
            let message = check_cluster_size(name).unwrap_err().to_string();
            assert!(
                message.is_ascii() && !message.contains('\n') && message.len() < 600,
                "{message}"
            );
        }
    }

    #[test]
    fn sizes_that_exist_or_may_exist() {
        for name in [
            "STANDARD_NC6",
            "Standard_NC24rs_v2",
            "STANDARD_D2s_v3",
            "STANDARD_F4s",
            "standard_a1",
            "STANDARD_E4_V3",
            "STANDARD_M128-32ms",
            "STANDARD_NC6_Promo",
            "g5.xlarge",
            "C7I.48xlarge",
            "u-6tb1.metal",
            "m7i.metal-24xl",
        ] {
            assert_eq!(message(name), "ok", "{name}");
        }
        for (size, name) in ec2::SIZES {
            assert_eq!(message(&format!("STANDARD_{size}")), "ok");
            assert_eq!(message(name), "ok");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_similar_names() {
        let similar = |name: &str| match check_cluster_size(name) {
            Err(InvalidVmSize::Unknown { similar, .. }) => similar.join(" "),
            outcome => format!("{outcome:?}"),
        };
        for (name, expected) in [
            ("nonsense", ""),
            ("", ""),
            ("NC6", "STANDARD_NC6"),
            ("nc6s_v3", "STANDARD_NC6S_V3"),
            ("STANDRAD_NC6", "STANDARD_NC6"),
            ("STANDARD_NC7", "STANDARD_NC6"),
            ("STANDARD_NC6_V2", "STANDARD_NC6S_V2"),
            ("STANDARD_D", "STANDARD_D1 STANDARD_D2 STANDARD_D3"),
            ("STANDARD_NC6 ", "STANDARD_NC6"),
            ("g5xlarge", "g5.xlarge"),
            ("g5.xlrage", "g5.xlarge"),
            ("g5.1000xlarge", ""),
            ("g5.huge", ""),
            (".xlarge", "g5.xlarge"),
            ("STANDARD_", "STANDARD_D1 STANDARD_D2 STANDARD_D3"),
            ("STANDARD_NC6\0", "STANDARD_NC6"),
        ] {
            assert_eq!(similar(name), expected, "{name:?}");
        }
    }

    #[test]
    fn messages_name_what_was_given() {
        assert_eq!(
            message("STANDARD_NC7"),
            "must be a VM size of Azure or an instance type of EC2, such as STANDARD_NC6 or g5.xlarge, but is \"STANDARD_NC7\"; did you mean STANDARD_NC6?"
        );
        assert!(
            message("STANDARD_D")
                .ends_with("did you mean STANDARD_D1, STANDARD_D2 or STANDARD_D3?")
        );
        assert!(message(&"x".repeat(1000)).len() < 250);
        for name in ["STANDARD_A0", "standard_ds2_v2", "STANDARD_GS1"] {
            assert!(message(name).starts_with("must not be STANDARD_A0"), "{name}");
        }
    }
}
