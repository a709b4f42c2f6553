//! Rules of names in paths and ids (docs/contract.md, "Names and ids").
//!
//! Names become parts of directory names on shared storage, so none may be `.` or `..`.

use crate::{Violation, codes, error::quoted};
use model::Name;

const LONGEST_NAME: usize = 64;
/// The limit of Azure Resource Manager for resource groups, used for all names with dots.
const LONGEST_DOTTED_NAME: usize = 90;

/// The name of a workspace, cluster, file server, experiment or job: `^[-\w_]+$`, 1 to 64
/// characters. `target` is the parameter, such as `clusterName`.
///
/// # Errors
/// When the text breaks the rule.
pub fn resource_name(target: &str, text: &str) -> Result<Name, Violation> {
    if is_resource_name(text) {
        return Ok(Name::new(text));
    }
    let rule = "must be 1 to 64 letters, digits, dashes or underscores";
    Err(invalid(target, rule, text))
}

/// The name of a resource group: `^[-\w\._]+$`, at most 90 characters.
///
/// # Errors
/// When the text breaks the rule.
pub fn resource_group_name(text: &str) -> Result<Name, Violation> {
    if is_dotted_name(text) {
        return Ok(Name::new(text));
    }
    let rule = "must be 1 to 90 letters, digits, dashes, underscores or dots, and not only dots";
    Err(invalid("resourceGroupName", rule, text))
}

/// Another name with dots: of a region, a provider or a token.
///
/// # Errors
/// When the text breaks the rule.
pub fn dotted_name(target: &str, text: &str) -> Result<Name, Violation> {
    if is_dotted_name(text) {
        return Ok(Name::new(text));
    }
    let rule = "must be 1 to 90 letters, digits, dashes, underscores or dots, and not only dots";
    Err(invalid(target, rule, text))
}

/// The id of a subscription. The SDK accepts any text and Azure's are UUIDs; this service also accepts
/// plain names.
///
/// # Errors
/// When the text breaks the rule.
pub fn subscription_id(text: &str) -> Result<Name, Violation> {
    if is_resource_name(text) {
        return Ok(Name::new(text));
    }
    let rule = "must be a UUID or another name of 1 to 64 letters, digits, dashes or underscores";
    Err(invalid("subscriptionId", rule, text))
}

pub(crate) fn is_resource_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(is_word)
}

/// Resource groups and locations.
pub(crate) fn is_dotted_name(text: &str) -> bool {
    (1..=LONGEST_DOTTED_NAME).contains(&text.len())
        && text.chars().all(|c| is_word(c) || c == '.')
        && text.chars().any(|c| c != '.')
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn invalid(target: &str, rule: &str, text: &str) -> Violation {
    Violation::new(
        codes::INVALID_RESOURCE_NAME,
        target,
        &format!("{rule}, but is {}", quoted(text)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "demo_cluster", "A-1", &"x".repeat(64)] {
            assert!(resource_name("clusterName", good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a.b", "a b", "a/b", "é", "a\0", &"x".repeat(65)] {
            assert!(resource_name("clusterName", bad).is_err(), "{bad}");
        }
        for good in ["rg", "my.group", "a.", &"x".repeat(90)] {
            assert!(resource_group_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "...", "a/b", "a(b)", &"x".repeat(91)] {
            assert!(resource_group_name(bad).is_err(), "{bad}");
        }
        assert!(subscription_id("00000000-0000-0000-0000-000000000000").is_ok());
        assert!(subscription_id("..").is_err());
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let violation = resource_name("jobName", "my job").expect_err("a blank");
        assert_eq!(
            violation.message,
            "jobName must be 1 to 64 letters, digits, dashes or underscores, but is \"my job\""
        );
    }
}
