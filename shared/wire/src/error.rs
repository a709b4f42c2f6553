//! Error bodies, and the violations of a refused request. A refusal lists all of them.

use crate::codes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many violations a body lists; further ones are only counted. A request can have thousands.
const MAX_LISTED: usize = 20;

/// A text of the user for a message: quoted, escaped and truncated. It is ASCII, as the message of an
/// error may become the reason phrase of HTTP (docs/contract.md, "Errors").
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 64;
    let shown: String = text.chars().take(LONGEST).collect();
    let ellipsis = if shown.len() < text.len() { "..." } else { "" };
    format!("\"{}{ellipsis}\"", shown.escape_default())
}

/// `CloudError` of the contract (docs/contract.md, "Errors").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CloudError")]
pub struct ErrorBody {
    /// The error itself.
    pub error: ErrorContent,
}

/// `CloudErrorBody` of the contract. The SDK shows `code` and `message` only, so the message
/// contains all violations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CloudErrorBody")]
pub struct ErrorContent {
    /// Identifies the kind of error, such as `JobNotFound`.
    pub code: String,
    /// What is wrong and what to do, for a person.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// The field or parameter that is wrong.
    pub target: Option<String>,
    /// The violations, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorContent>,
}

impl ErrorBody {
    /// An error with a code and a message only.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { error: ErrorContent { code, message, target: None, details: Vec::new() } }
    }

    /// The 404 of a resource. Codes and messages are recorded ones; those of file servers and resource
    /// groups have the same form (docs/contract.md, "Errors").
    pub fn not_found(kind: ResourceKind, name: &str) -> Self {
        let (code, noun) = kind.not_found();
        Self::new(code, format!("The specified {noun} {name} is not found"))
    }
}

/// The kinds of resources that can be missing.
#[expect(missing_docs, reason = "the names say all")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    ResourceGroup,
    Workspace,
    Cluster,
    FileServer,
    Experiment,
    Job,
}

impl ResourceKind {
    /// Code of the error, and the noun in its message.
    fn not_found(self) -> (&'static str, &'static str) {
        match self {
            Self::ResourceGroup => ("ResourceGroupNotFound", "resource group"),
            Self::Workspace => ("WorkspaceNotFound", "workspace"),
            Self::Cluster => ("ClusterNotFound", "cluster"),
            Self::FileServer => (codes::FILE_SERVER_NOT_FOUND, "file server"),
            Self::Experiment => ("ExperimentNotFound", "experiment"),
            Self::Job => ("JobNotFound", "job"),
        }
    }
}

/// One rule that a request breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One of [`codes`].
    pub code: &'static str,
    /// Path of the field, like `properties.nodeCount`; empty for the body as a whole.
    pub target: String,
    /// A sentence: the target and the rule that it breaks.
    pub message: String,
}

impl Violation {
    /// `predicate` completes the sentence that starts with the target: `is required`, `must be ...`.
    pub fn new(code: &'static str, target: impl Into<String>, predicate: &str) -> Self {
        let target = target.into();
        let subject = if target.is_empty() { "The body" } else { &target };
        Self { code, message: format!("{subject} {predicate}"), target }
    }

    fn content(&self) -> ErrorContent {
        ErrorContent {
            code: self.code.to_owned(),
            message: self.message.clone(),
            target: Some(self.target.clone()).filter(|target| !target.is_empty()),
            details: Vec::new(),
        }
    }
}

/// All rules that a request breaks; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Violations {
    first: Violation,
    others: Vec<Violation>,
}

impl Violations {
    /// `None` if there are none.
    pub fn collected(violations: Vec<Violation>) -> Option<Self> {
        let mut violations = violations.into_iter();
        Some(Self { first: violations.next()?, others: violations.collect() })
    }

    /// All of them, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The code of all violations, or `MultipleErrorsOccurred` when they differ.
    pub fn code(&self) -> &'static str {
        let shared = self.others.iter().all(|other| other.code == self.first.code);
        if shared { self.first.code } else { codes::MULTIPLE_ERRORS }
    }

    /// The body of the 400. A single violation is the error itself; several are listed in
    /// `details`.
    pub fn body(&self) -> ErrorBody {
        if self.others.is_empty() {
            return ErrorBody { error: self.first.content() };
        }
        let details = self.iter().take(MAX_LISTED).map(Violation::content).collect();
        let mut body = ErrorBody::new(self.code(), self.to_string());
        body.error.details = details;
        body
    }
}

impl From<Violation> for Violations {
    fn from(first: Violation) -> Self {
        Self { first, others: Vec::new() }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.others.is_empty() {
            return formatter.write_str(&self.first.message);
        }
        let count = self.others.len() + 1;
        let listed: Vec<&str> =
            self.iter().take(MAX_LISTED).map(|violation| violation.message.as_str()).collect();
        write!(formatter, "The request breaks {count} rules: {}", listed.join("; "))?;
        if count > MAX_LISTED {
            write!(formatter, "; and {} more", count - MAX_LISTED)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pretty;

    #[test]
    fn the_body_of_a_missing_resource() {
        insta::assert_snapshot!(pretty(&ErrorBody::not_found(ResourceKind::Job, "train")), @r#"
        {
          "error": {
            "code": "JobNotFound",
            "message": "The specified job train is not found"
          }
        }
        "#);
    }

    #[test]
    fn one_violation_is_the_error_itself() {
        let one = Violation::new(codes::INVALID_PARAMETER, "properties.vmSize", "is required");
        insta::assert_snapshot!(pretty(&Violations::from(one).body()), @r#"
        {
          "error": {
            "code": "InvalidParameter",
            "message": "properties.vmSize is required",
            "target": "properties.vmSize"
          }
        }
        "#);
    }

    #[test]
    fn several_violations_are_all_listed() {
        let violations = Violations::collected(vec![
            Violation::new(codes::INVALID_PARAMETER, "properties.vmSize", "is required"),
            Violation::new(codes::FILE_SERVER_NOT_FOUND, "properties.mountVolumes", "is too new"),
        ]);
        insta::assert_snapshot!(pretty(&violations.expect("two").body()), @r#"
        {
          "error": {
            "code": "MultipleErrorsOccurred",
            "message": "The request breaks 2 rules: properties.vmSize is required; properties.mountVolumes is too new",
            "details": [
              {
                "code": "InvalidParameter",
                "message": "properties.vmSize is required",
                "target": "properties.vmSize"
              },
              {
                "code": "FileServerNotFound",
                "message": "properties.mountVolumes is too new",
                "target": "properties.mountVolumes"
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn thousands_of_violations_make_a_short_message() {
        let many = (0..5000)
            .map(|i| Violation::new(codes::INVALID_PARAMETER, format!("tags[{i}]"), "is wrong"))
            .collect();
        let body = Violations::collected(many).expect("many").body();
        assert_eq!(body.error.details.len(), MAX_LISTED);
        assert!(body.error.message.ends_with("; and 4980 more"), "{}", body.error.message);
    }
}
