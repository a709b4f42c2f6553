//! Prints answers on stdout: as a table, as the service's JSON, or as names.

mod table;
mod views;

pub use table::{Column, Style, rows};
pub use views::{nodes, on_nodes, role_of};

use crate::json::Json;
use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::io::Write as _;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Table for people
    #[default]
    Table,
    /// Complete JSON of the service
    Json,
    /// Names only, one per line
    Quiet,
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

pub struct Output {
    pub format: Format,
    pub color: bool,
    /// When the command started: "3m ago" is relative to this time.
    pub now: Timestamp,
}

impl Output {
    /// Prints a list. For an empty list, a table is replaced by the message `none`.
    pub fn list<V: View>(&self, answers: Vec<Json>, none: &str) -> Result<()> {
        match self.format {
            Format::Json => self.print(Json::Array(answers).pretty()),
            Format::Quiet => {
                answers.iter().try_for_each(|json| self.print(json.read::<V>()?.name()))
            }
            Format::Table if answers.is_empty() => {
                self.message(none);
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

    /// Prints one resource as a row, after it was created or changed.
    pub fn row<V: View>(&self, answer: Json) -> Result<()> {
        match self.format {
            Format::Json => self.print(answer.pretty()),
            Format::Table | Format::Quiet => self.list::<V>(vec![answer], ""),
        }
    }

    /// Prints one resource with all its columns and details.
    pub fn details<V: View>(&self, answer: &Json) -> Result<()> {
        match self.format {
            Format::Json => self.print(answer.pretty()),
            Format::Quiet => self.print(answer.read::<V>()?.name()),
            Format::Table => {
                let view = answer.read::<V>()?;
                let mut columns = view.columns(self.now);
                columns.extend(view.details(self.now));
                self.print(table::details(&columns, self.color))
            }
        }
    }

    /// Whether only names are printed.
    pub fn is_quiet(&self) -> bool {
        match self.format {
            Format::Quiet => true,
            Format::Table | Format::Json => false,
        }
    }

    /// Prints data on stdout.
    pub fn print(&self, text: impl Display) -> Result<()> {
        writeln!(std::io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// Prints a message on stderr, unless the format is quiet.
    pub fn message(&self, line: impl Display) {
        match self.format {
            Format::Table | Format::Json => crate::stderr::message(line),
            Format::Quiet => {}
        }
    }
}
