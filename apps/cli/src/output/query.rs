//! `--query`: JMESPath expressions, as in the Azure CLI.

use super::table::Column;
use crate::json::Json;
use anyhow::{Context as _, Result};

/// A valid expression.
#[derive(Clone, Debug)]
pub struct Query(String);

impl Query {
    /// # Errors
    /// Says where the expression is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        match jmespath::compile(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("not a JMESPath expression: {}", error.reason)),
        }
    }

    /// What the expression selects of `value`.
    ///
    /// # Errors
    /// When a function of the expression gets a value of another type than it expects.
    pub fn apply(&self, value: &Json) -> Result<Json> {
        let wrong = || format!("the query {:?} failed", self.0);
        let expression = jmespath::compile(&self.0).with_context(wrong)?;
        let found = expression.search(value).with_context(wrong)?;
        Json::parse(&serde_json::to_string(&*found)?)
    }
}

/// What a query found as a table: a row for each object, or a line for each other value.
pub enum Selected {
    Rows(Vec<Vec<Column>>),
    Lines(Vec<String>),
}

impl Selected {
    pub fn of(value: &Json) -> Self {
        let items = match value {
            Json::Array(items) => items.as_slice(),
            Json::Null => &[],
            one => std::slice::from_ref(one),
        };
        let titles = titles(items);
        if titles.is_empty() {
            return Self::Lines(items.iter().map(line).collect());
        }
        let row = |item: &Json| {
            let Json::Object(fields) = item else { return Vec::new() };
            let text = |title: &String| {
                let field = fields.iter().find(|(name, _)| name == title);
                Column::new(title.clone(), field.map(|(_, value)| line(value)).unwrap_or_default())
            };
            titles.iter().map(text).collect()
        };
        Self::Rows(items.iter().map(row).collect())
    }
}

/// The names of all fields, if there are objects only.
fn titles(items: &[Json]) -> Vec<String> {
    let mut titles: Vec<String> = Vec::new();
    for item in items {
        let Json::Object(fields) = item else { return Vec::new() };
        for (name, _) in fields {
            if !titles.contains(name) {
                titles.push(name.clone());
            }
        }
    }
    titles
}

/// A value on one line: text without quotes, the values of a list separated by tabs.
pub fn line(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::Text(text) => text.clone(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::Array(items) => items.iter().map(line).collect::<Vec<_>>().join("\t"),
        Json::Object(_) => serde_json::to_string(value).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::{Layout, rows};
    use super::*;

    fn shown(query: &str) -> String {
        let jobs = Json::parse(
            r#"[{"name":"a","properties":{"nodeCount":1,"executionState":"failed"}},
                {"name":"b","properties":{"nodeCount":12,"executionState":"queued"}}]"#,
        )
        .unwrap();
        match Selected::of(&Query::parse(query).unwrap().apply(&jobs).unwrap()) {
            Selected::Rows(found) => rows(&found, &Layout::PLAIN),
            Selected::Lines(lines) => lines.join("\n"),
        }
    }

    #[test]
    fn a_query_selects_values_and_rows() {
        let shown = [
            shown("[?properties.executionState=='failed'].name"),
            shown("[].{job: name, nodes: properties.nodeCount}"),
            shown("[].[name, properties.nodeCount]"),
            shown("length(@)"),
            shown("[0].nothing"),
        ];
        insta::assert_snapshot!(shown.join("\n--\n"), @"
        a
        --
        JOB  NODES
        a    1
        b    12
        --
        a	1
        b	12
        --
        2
        --
        ");
    }

    #[test]
    fn a_wrong_query_is_refused_on_the_command_line() {
        insta::assert_snapshot!(Query::parse("[?a").unwrap_err(), @"not a JMESPath expression: Parse error: Expected ']' -- found Eof");
        let list = Json::Array(Vec::new());
        let error = Query::parse("abs(@)").unwrap().apply(&list).unwrap_err();
        assert!(error.to_string().contains("abs(@)"), "{error}");
    }
}
