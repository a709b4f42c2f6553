//! Which profile a command uses, and whether its token may be sent to the endpoint of the command.

use super::{Profile, ProfileFile};
use anyhow::{Result, bail};
use reqwest::Url;

/// The name that selects the local service instead of a profile.
pub const LOCAL: &str = "local";

/// What command line and environment say about the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileChoice {
    /// This profile, or the local service for the name [`LOCAL`].
    Named(String),
    /// The local service: a data directory is given.
    LocalService,
    /// The default profile, if there is one.
    Default,
}

/// A profile that a command uses.
#[derive(Clone, Debug)]
pub struct Selected {
    pub name: String,
    pub profile: Profile,
    /// The endpoint of the command is the one of the profile, so its token may be sent there.
    pub is_its_endpoint: bool,
}

/// The profile for a command with the endpoint `endpoint` in its options or environment.
///
/// # Errors
/// When the profile does not exist.
pub fn select(
    file: &ProfileFile,
    choice: &ProfileChoice,
    endpoint: Option<&str>,
) -> Result<Option<Selected>> {
    let (name, is_named) = match (choice, &file.default) {
        (ProfileChoice::LocalService, _) => return Ok(None),
        (ProfileChoice::Named(name), _) => (name, true),
        (ProfileChoice::Default, Some(name)) => (name, false),
        (ProfileChoice::Default, None) => return Ok(None),
    };
    if name == LOCAL {
        return Ok(None);
    }
    let profile = file.get(name)?.clone();
    let is_its_endpoint = endpoint.is_none_or(|it| is_same_origin(it, &profile.endpoint));
    if !is_its_endpoint && !is_named {
        // The default profile is about another service.
        return Ok(None);
    }
    Ok(Some(Selected { name: name.clone(), profile, is_its_endpoint }))
}

/// Refuses to send a request without a token, which would fail in a less obvious way.
pub fn refuse_foreign_endpoint(selected: &Selected, endpoint: &str) -> Result<()> {
    if selected.is_its_endpoint {
        return Ok(());
    }
    let Selected { name, profile, .. } = selected;
    bail!(
        "the token of profile {name} is for {}, not for {endpoint}: remove --endpoint \
         (BATCHAI_ENDPOINT) or --profile (BATCHAI_PROFILE), or set BATCHAI_TOKEN",
        profile.endpoint
    );
}

fn is_same_origin(one: &str, other: &str) -> bool {
    let origin = |text: &str| text.trim().parse::<Url>().ok().map(|url| url.origin());
    origin(one).is_some_and(|it| origin(other) == Some(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::{ScopeDefaults, SignIn};

    fn file(default: Option<&str>) -> ProfileFile {
        let profile = |endpoint: &str| Profile {
            endpoint: endpoint.to_owned(),
            scope: ScopeDefaults::default(),
            sign_in: SignIn::TokenCommand { command: "true".to_owned() },
        };
        let profiles = [("a", "https://a.example"), ("b", "https://b.example")];
        ProfileFile {
            default: default.map(str::to_owned),
            profiles: profiles.map(|(name, url)| (name.to_owned(), profile(url))).into(),
        }
    }

    fn named(name: &str) -> ProfileChoice {
        ProfileChoice::Named(name.to_owned())
    }

    #[track_caller]
    fn check(default: Option<&str>, choice: &ProfileChoice, url: Option<&str>, expected: &str) {
        let selected = select(&file(default), choice, url).unwrap();
        let shown = selected.map_or("none".to_owned(), |it| {
            if it.is_its_endpoint { it.name } else { format!("{} elsewhere", it.name) }
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_name_comes_before_the_default() {
        check(None, &ProfileChoice::Default, None, "none");
        check(Some("a"), &ProfileChoice::Default, None, "a");
        check(Some("a"), &named("b"), None, "b");
        check(Some("a"), &named(LOCAL), None, "none");
        check(Some("a"), &ProfileChoice::LocalService, None, "none");
        assert!(select(&file(None), &named("c"), None).is_err());
    }

    #[test]
    fn a_token_is_for_one_origin() {
        check(Some("a"), &ProfileChoice::Default, Some("https://a.example/"), "a");
        check(Some("a"), &ProfileChoice::Default, Some("https://b.example"), "none");
        check(Some("a"), &ProfileChoice::Default, Some("http://a.example"), "none");
        check(Some("a"), &ProfileChoice::Default, Some("nonsense"), "none");
        check(None, &named("a"), Some("https://b.example"), "a elsewhere");
    }
}
