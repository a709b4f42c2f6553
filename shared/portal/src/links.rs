//! Paths of pages and of the API.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::fmt;

/// All but the unreserved characters (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The workspace of a page, as its path names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WorkspacePath {
    pub(crate) subscription: String,
    pub(crate) group: String,
    pub(crate) workspace: String,
}

/// One segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

fn path(segments: &[&str]) -> String {
    segments.iter().map(|text| format!("/{}", segment(text))).collect()
}

impl WorkspacePath {
    /// The workspace of the id of a resource.
    pub(crate) fn of_id(id: &str) -> Option<Self> {
        let parts: Vec<&str> = id.trim_start_matches('/').split('/').collect();
        let is =
            |at: usize, word: &str| parts.get(at).is_some_and(|it| it.eq_ignore_ascii_case(word));
        let named = |at: usize| parts.get(at).map(|name| (*name).to_owned());
        if !is(0, "subscriptions") || !is(2, "resourceGroups") || !is(6, "workspaces") {
            return None;
        }
        Some(Self { subscription: named(1)?, group: named(3)?, workspace: named(7)? })
    }

    /// The path of a page of this workspace: `["clusters", "spot"]`.
    pub(crate) fn page(&self, segments: &[&str]) -> String {
        let Self { subscription, group, workspace } = self;
        let root = path(&["portal", "workspaces", subscription, group, workspace]);
        format!("{root}{}", path(segments))
    }

    /// The path of the API of something in this workspace.
    pub(crate) fn api(&self, segments: &[&str]) -> String {
        let Self { subscription, group, workspace } = self;
        let group = path(&["subscriptions", subscription, "resourceGroups", group]);
        let workspace = path(&["providers", "Microsoft.BatchAI", "workspaces", workspace]);
        format!("{group}{workspace}{}", path(segments))
    }

    /// The page that shows what the API answers.
    pub(crate) fn json(&self, segments: &[&str]) -> String {
        format!("/portal/api{}", self.api(segments))
    }

    /// The options of a command that name this workspace.
    pub(crate) fn options(&self) -> String {
        let Self { group, workspace, .. } = self;
        format!("-g {} -w {}", quoted(group), quoted(workspace))
    }
}

impl fmt::Display for WorkspacePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.workspace)
    }
}

/// A word of a command as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// The last part of a resource's id: its name.
pub(crate) fn name_of(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> WorkspacePath {
        let id = "/subscriptions/s/resourceGroups/a group/providers/Microsoft.BatchAI/workspaces/w/clusters/c";
        WorkspacePath::of_id(id).unwrap()
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        insta::assert_snapshot!(path().page(&["clusters", "../a?b"]), @"/portal/workspaces/s/a%20group/w/clusters/..%2Fa%3Fb");
        insta::assert_snapshot!(path().api(&["clusters", "x#"]), @"/subscriptions/s/resourceGroups/a%20group/providers/Microsoft.BatchAI/workspaces/w/clusters/x%23");
        assert!(WorkspacePath::of_id("/subscriptions/s").is_none());
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(path().options(), "-g 'a group' -w w");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
        assert_eq!(quoted(""), "''");
    }
}
