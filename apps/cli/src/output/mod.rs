//! How answers are shown on stdout: as a table, as the service's own JSON, or as names only.

mod table;
mod views;

pub use table::{Column, Style, rows};
pub use views::{nodes, on_nodes};

use crate::json::Json;
use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::io::Write as _;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table, made to be read
    #[default]
    Table,
    /// The service's JSON, whole and in its order
    Json,
    /// Names only, one per line
    Quiet,
}

/// What is shown of a resource.
pub trait View: DeserializeOwned {
    fn name(&self) -> &str;

    /// Its row in a table.
    fn columns(&self, now: Timestamp) -> Vec<Column>;

    /// What `show` says below the columns.
    fn more(&self, _now: Timestamp) -> Vec<Column> {
        Vec::new()
    }
}

pub struct Output {
    pub format: Format,
    pub color: bool,
    /// When the command began: what "3 min ago" refers to.
    pub now: Timestamp,
}

impl Output {
    /// The answer of a list command; `none` is said when there is nothing to show.
    pub fn list<V: View>(&self, answers: Vec<Json>, none: &str) -> Result<()> {
        match self.format {
            Format::Json => self.print(Json::Array(answers).pretty()),
            Format::Quiet => {
                answers.iter().try_for_each(|json| self.print(json.read::<V>()?.name()))
            }
            Format::Table if answers.is_empty() => {
                self.say(none);
                Ok(())
            }
            Format::Table => {
                let rows = answers
                    .iter()
                    .map(|json| Ok(json.read::<V>()?.columns(self.now)))
                    .collect::<Result<Vec<_>>>()?;
                self.print(table::rows(&rows, self.color))
            }
        }
    }

    /// One resource, after it was created or changed: its row.
    pub fn row<V: View>(&self, answer: Json) -> Result<()> {
        match self.format {
            Format::Json => self.print(answer.pretty()),
            Format::Table | Format::Quiet => self.list::<V>(vec![answer], ""),
        }
    }

    /// One resource, with everything that is worth saying.
    pub fn details<V: View>(&self, answer: &Json) -> Result<()> {
        match self.format {
            Format::Json => self.print(answer.pretty()),
            Format::Quiet => self.print(answer.read::<V>()?.name()),
            Format::Table => {
                let view = answer.read::<V>()?;
                let mut columns = view.columns(self.now);
                columns.extend(view.more(self.now));
                self.print(table::details(&columns, self.color))
            }
        }
    }

    /// Data: to stdout.
    pub fn print(&self, text: impl Display) -> Result<()> {
        writeln!(std::io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Talk: to stderr, and only if somebody wants to read it.
    pub fn say(&self, line: impl Display) {
        match self.format {
            Format::Table | Format::Json => crate::talk::say(line),
            Format::Quiet => {}
        }
    }
}
