//! Creating and updating workspaces (docs/contract.md, "Workspaces").

use crate::read::{self, Fields, Place};
use crate::{Violations, patterns, rules};
use std::collections::BTreeMap;

/// `WorkspaceCreateParameters` of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceCreate {
    /// Where the workspace is.
    pub location: String,
    /// Its tags.
    pub tags: Option<BTreeMap<String, String>>,
}

/// Parses `WorkspaceCreateParameters`.
///
/// # Errors
/// All violations of the body.
pub fn parse_workspace_create(body: &[u8]) -> Result<WorkspaceCreate, Violations> {
    read::body(body, workspace)
}

/// Parses the tags that replace the present ones; `None` if the body has no tags.
///
/// # Errors
/// All violations of the body.
pub fn parse_workspace_update(body: &[u8]) -> Result<Option<BTreeMap<String, String>>, Violations> {
    read::body(body, workspace_update)
}

pub(crate) fn workspace(fields: &Fields<'_>) -> Option<WorkspaceCreate> {
    let location = fields.required("location").and_then(|place| location(&place));
    let tags = tags(fields);
    Some(WorkspaceCreate { location: location?, tags })
}

pub(crate) fn workspace_update(fields: &Fields<'_>) -> Option<Option<BTreeMap<String, String>>> {
    Some(tags(fields))
}

pub(super) fn location(place: &Place<'_>) -> Option<String> {
    rules::matching(place, &[&patterns::REGION, &patterns::NOT_DOTS_ONLY])
}

pub(super) fn tags(fields: &Fields<'_>) -> Option<BTreeMap<String, String>> {
    let tags = fields.optional("tags")?.object()?;
    let tag = |(name, place): &(&str, Place<'_>)| Some(((*name).to_owned(), rules::text(place)?));
    let read: Vec<Option<(String, String)>> = tags.all().iter().map(tag).collect();
    read.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::refused;

    #[test]
    fn a_workspace() {
        let parsed = parse_workspace_create(br#"{"location":"eastus","tags":{"a":"b"},"x":1}"#);
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let expected = WorkspaceCreate { location: "eastus".to_owned(), tags: Some(tags) };
        assert_eq!(parsed, Ok(expected));
    }

    #[test]
    fn an_update_without_tags() {
        assert_eq!(parse_workspace_update(b"{}"), Ok(None));
        assert_eq!(parse_workspace_update(br#"{"tags":{}}"#), Ok(Some(BTreeMap::new())));
    }

    #[test]
    fn refused_workspaces() {
        let check = |body: &str| refused(parse_workspace_create(body.as_bytes()));
        assert_eq!(check("{}"), ["location is required"]);
        let null = ["location must not be null; leave the field out instead"];
        assert_eq!(check(r#"{"location":null}"#), null);
        assert_eq!(
            check(r#"{"location":"..","tags":{"a":1,"b":null}}"#),
            [
                "location must be the name of a region, such as eastus or eu-west-1, but is \"..\"",
                "tags[\"a\"] must be a string, but is a number",
                "tags[\"b\"] must be a string, but is null",
            ]
        );
    }
}
