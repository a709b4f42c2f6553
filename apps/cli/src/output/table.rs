//! Tables without borders: one row per resource, or one line per value of a single resource.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};

/// A value and the title of its column.
pub struct Column {
    pub title: &'static str,
    pub text: String,
    pub style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Waiting,
    Active,
    Good,
    Bad,
}

impl Column {
    pub fn new(title: &'static str, text: impl Into<String>) -> Self {
        Self { title, text: text.into(), style: Style::Plain }
    }

    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }
}

/// One line per row. Omits columns that are empty in every row.
pub fn rows(rows: &[Vec<Column>], color: bool) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let used: Vec<usize> = (0..first.len())
        .filter(|index| rows.iter().any(|row| !row[*index].text.is_empty()))
        .collect();
    let mut table = plain(color);
    table.set_header(
        used.iter().map(|index| {
            Cell::new(first[*index].title.to_uppercase()).add_attribute(Attribute::Bold)
        }),
    );
    for row in rows {
        table.add_row(used.iter().map(|index| cell(&row[*index])));
    }
    finish(table)
}

/// One line per value. Omits empty values.
pub fn details(columns: &[Column], color: bool) -> String {
    let mut table = plain(color);
    for column in columns.iter().filter(|column| !column.text.is_empty()) {
        table.add_row([Cell::new(column.title).add_attribute(Attribute::Bold), cell(column)]);
    }
    finish(table)
}

fn plain(color: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !color {
        table.force_no_tty();
    }
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn cell(column: &Column) -> Cell {
    let cell = Cell::new(&column.text);
    match column.style {
        Style::Plain => cell,
        Style::Waiting => cell.fg(Color::Yellow),
        Style::Active => cell.fg(Color::Cyan),
        Style::Good => cell.fg(Color::Green),
        Style::Bad => cell.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_omitted() {
        let row = |name: &str, state: &str| {
            vec![
                Column::new("name", name),
                Column::new("note", ""),
                Column::new("state", state).styled(Style::Good),
            ]
        };
        insta::assert_snapshot!(rows(&[row("a", "running"), row("longer", "queued")], false), @"
        NAME    STATE
        a       running
        longer  queued
        ");
        assert_eq!(rows(&[], false), "");
    }

    #[test]
    fn details_have_one_line_per_value() {
        let columns = [
            Column::new("name", "digits"),
            Column::new("note", ""),
            Column::new("waiting reason", "no node\nsecond line"),
        ];
        insta::assert_snapshot!(details(&columns, false), @"
        name            digits
        waiting reason  no node
                        second line
        ");
    }
}
