//! Prints answers on stdout: as a table, as the service's JSON or YAML, or as names.

mod query;
mod table;
mod views;
mod yaml;

pub use query::Query;
#[cfg(test)]
pub use table::details;
pub use table::{Column, Layout, Style, rows};
pub use views::{nodes, on_nodes, state_style};

use crate::json::Json;
use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;
use query::Selected;
use resources::natural;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::io::Write as _;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Table for people, as wide as the terminal
    #[default]
    Table,
    /// Table with all columns and exact times
    Wide,
    /// Complete JSON of the service
    Json,
    /// The same as YAML
    Yaml,
    /// Names only, one per line, and no messages; also `quiet`
    #[value(alias = "quiet")]
    Name,
}

/// The columns of a resource in a table.
pub trait View: DeserializeOwned {
    fn name(&self) -> &str;

    /// The row in a list.
    fn columns(&self, now: Timestamp) -> Vec<Column>;

    /// Further lines of `show`, below the columns.
    fn details(&self, _now: Timestamp) -> Vec<Column> {
        Vec::new()
    }
}

#[derive(Clone)]
pub struct Output {
    pub format: Format,
    /// What to print of an answer.
    pub query: Option<Query>,
    pub color: bool,
    /// The width of the terminal; None without one.
    pub width: Option<usize>,
    /// When the command started: "3m ago" is relative to this time.
    pub now: Timestamp,
}

impl Output {
    /// Prints a list. For an empty list, a table is replaced by the message `none`.
    pub fn list<V: View>(&self, answers: Vec<Json>, none: &str) -> Result<()> {
        if self.query.is_some() {
            return self.value(&Json::Array(answers));
        }
        match self.format {
            Format::Json | Format::Yaml => self.value(&Json::Array(answers)),
            Format::Name => {
                answers.iter().try_for_each(|json| self.print(json.read::<V>()?.name()))
            }
            Format::Table | Format::Wide if answers.is_empty() => {
                self.message(none);
                Ok(())
            }
            Format::Table | Format::Wide => {
                let rows = answers
                    .iter()
                    .map(|json| Ok(json.read::<V>()?.columns(self.now)))
                    .collect::<Result<Vec<_>>>()?;
                self.print(table::rows(&rows, &self.layout()))
            }
        }
    }

    /// Prints a list in the natural order of its names.
    pub fn sorted_list<V: View>(&self, answers: Vec<Json>, none: &str) -> Result<()> {
        let mut named = answers
            .into_iter()
            .map(|json| Ok((json.read::<V>()?.name().to_owned(), json)))
            .collect::<Result<Vec<_>>>()?;
        named.sort_by(|(one, _), (other, _)| natural::compare(one, other));
        self.list::<V>(named.into_iter().map(|(_, json)| json).collect(), none)
    }

    /// Prints one resource as a row, after it was created or changed.
    pub fn row<V: View>(&self, answer: Json) -> Result<()> {
        if self.query.is_some() {
            return self.value(&answer);
        }
        match self.format {
            Format::Json | Format::Yaml => self.value(&answer),
            Format::Table | Format::Wide | Format::Name => self.list::<V>(vec![answer], ""),
        }
    }

    /// Prints one resource with all its columns and details.
    pub fn details<V: View>(&self, answer: &Json) -> Result<()> {
        if self.query.is_some() {
            return self.value(answer);
        }
        match self.format {
            Format::Json | Format::Yaml => self.value(answer),
            Format::Name => self.print(answer.read::<V>()?.name()),
            Format::Table | Format::Wide => {
                let view = answer.read::<V>()?;
                let mut columns = view.columns(self.now);
                columns.extend(view.details(self.now));
                self.print(table::details(&columns, &self.layout()))
            }
        }
    }

    /// Prints what the query selects of a value, or all of it: as JSON or YAML, else as a table or lines.
    pub fn value(&self, value: &Json) -> Result<()> {
        let selected = self.query.as_ref().map(|query| query.apply(value)).transpose()?;
        let value = selected.as_ref().unwrap_or(value);
        match self.format {
            Format::Json => self.print(value.pretty()),
            Format::Yaml => self.print(yaml::document(value)),
            Format::Table | Format::Wide => match Selected::of(value) {
                Selected::Rows(rows) => self.print(table::rows(&rows, &self.layout())),
                Selected::Lines(lines) => lines.iter().try_for_each(|line| self.print(line)),
            },
            Format::Name => match value {
                Json::Array(items) => {
                    items.iter().try_for_each(|item| self.print(query::line(item)))
                }
                one => self.print(query::line(one)),
            },
        }
    }

    /// How tables are shown.
    pub fn layout(&self) -> Layout {
        Layout { width: self.width, color: self.color, is_wide: self.format == Format::Wide }
    }

    /// Whether only names are printed.
    pub fn is_quiet(&self) -> bool {
        self.format == Format::Name
    }

    /// Prints data on stdout.
    pub fn print(&self, text: impl Display) -> Result<()> {
        writeln!(std::io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Prints a message on stderr, if a person reads the output.
    pub fn message(&self, line: impl Display) {
        match self.format {
            Format::Table | Format::Wide => crate::stderr::message(line),
            Format::Json | Format::Yaml | Format::Name => {}
        }
    }
}

impl Format {
    /// JSON or YAML.
    pub fn is_for_programs(self) -> bool {
        match self {
            Self::Json | Self::Yaml => true,
            Self::Table | Self::Wide | Self::Name => false,
        }
    }
}
