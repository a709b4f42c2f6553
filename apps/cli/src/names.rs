//! Names of resources as the command line accepts them, by the rules of the API.

/// The name of a workspace, cluster, file server, experiment or job.
///
/// # Errors
/// Says which characters a name may have.
pub fn resource_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c == '-' || c == '_' || c.is_alphanumeric();
    if text.chars().all(allowed) && (1..=64).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 64 letters, digits, hyphens and underscores".to_owned())
    }
}

/// The name of a resource group.
///
/// # Errors
/// Says which characters a name may have.
pub fn group_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| "-_.()".contains(c) || c.is_alphanumeric();
    let dots = text.chars().all(|c| c == '.');
    if text.chars().all(allowed) && !dots && text.chars().count() <= 90 {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 90 letters, digits, and the characters -_.()".to_owned())
    }
}

/// The characters of a text that a name may have, at most `most`, with hyphens for the others; `otherwise` if there are none.
pub fn plain(text: &str, most: usize, otherwise: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = text.chars().map(plain).take(most).collect();
    if name.is_empty() { otherwise.to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_the_api() {
        assert!(resource_name("digits-1_a").is_ok() && resource_name(&"x".repeat(64)).is_ok());
        for text in ["", "..", "a/b", "a b", &"x".repeat(65)] {
            assert!(resource_name(text).is_err(), "{text:?}");
        }
        assert!(group_name("my.group_(1)").is_ok() && group_name("..").is_err());
    }
}
