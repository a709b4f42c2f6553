//! What went wrong, as users see it on a resource, and why a transition was refused.

use serde::{Deserialize, Serialize};

/// An entry of `errors` on a cluster or a job (`BatchAIError` of the contract).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceError {
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<(String, String)>,
}

impl ResourceError {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), details: Vec::new() }
    }

    pub fn with_detail(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.push((name.to_owned(), value.into()));
        self
    }
}

/// A transition that the present state does not allow. The caller read something older or newer
/// than it believed, and plans again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {state} cannot {transition}")]
pub struct Refused {
    pub what: &'static str,
    pub state: &'static str,
    pub transition: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_added() {
        let error = ResourceError::new("C", "m").with_detail("a", "1").with_detail("b", "2");
        let details: Vec<String> = error.details.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("C", "m"));
        assert_eq!(details, ["a=1", "b=2"]);
    }
}
