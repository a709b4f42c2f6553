//! The result of one check.

use crate::output::{Column, Style, View};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// Something may be wrong, or may become so.
    Warning,
    /// Something is wrong.
    Problem,
    /// The check could not be made.
    Skipped,
}

impl Check {
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail, "")
    }

    pub fn warning(name: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Status::Warning, detail, advice)
    }

    pub fn problem(name: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Status::Problem, detail, advice)
    }

    pub fn skipped(name: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, Status::Skipped, detail, advice)
    }

    fn new(
        name: &str,
        status: Status,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { name: name.to_owned(), status, detail: detail.into(), advice: advice.into() }
    }

    pub fn needs_attention(&self) -> bool {
        match self.status {
            Status::Warning | Status::Problem => true,
            Status::Ok | Status::Skipped => false,
        }
    }
}

impl View for Check {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        let (status, style) = match self.status {
            Status::Ok => ("ok", Style::Good),
            Status::Warning => ("warning", Style::Waiting),
            Status::Problem => ("problem", Style::Bad),
            Status::Skipped => ("skipped", Style::Plain),
        };
        vec![
            Column::new("check", &self.name).key(),
            Column::new("status", status).styled(style).key(),
            Column::new("found", &self.detail).note(),
            Column::new("what to do", &self.advice).note(),
        ]
    }
}
