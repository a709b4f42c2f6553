//! Tables without borders: one row per resource, or one line per value of a single resource.
//!
//! In a terminal, a table is as wide as the terminal at most: the least important columns give way, and
//! notes continue on the next line. Names are never split.

use std::borrow::Cow;
use unicode_width::UnicodeWidthStr as _;

/// A value and the title of its column.
#[derive(Clone)]
pub struct Column {
    pub title: Cow<'static, str>,
    pub text: String,
    /// What the wide table shows instead, such as the exact time.
    exact: Option<String>,
    pub style: Style,
    importance: Importance,
    /// Whether it may continue on the next line.
    is_note: bool,
    /// Whether its spaces are kept: it is aligned with the lines around it.
    is_aligned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Waiting,
    Active,
    Good,
    Bad,
}

/// Which columns give way first in a narrow terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Importance {
    /// Only in the wide table.
    Wide,
    Minor,
    Normal,
    /// Never gives way.
    Key,
}

/// How a table is shown.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The width of the terminal; None without one.
    pub width: Option<usize>,
    pub color: bool,
    /// Whether all columns are shown, and times exactly.
    pub is_wide: bool,
}

/// Spaces between columns.
const GAP: usize = 2;

/// The least width of a note: columns give way before it becomes narrower.
const NOTE_WIDTH: usize = 24;

/// The least width of a note beside minor columns.
const NOTE_WIDTH_BESIDE_MINOR: usize = 40;

impl Layout {
    /// As in a file: without colors, as wide as needed.
    #[cfg(test)]
    pub const PLAIN: Self = Self { width: None, color: false, is_wide: false };
}

impl Column {
    pub fn new(title: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            text: text.into(),
            exact: None,
            style: Style::Plain,
            importance: Importance::Normal,
            is_note: false,
            is_aligned: false,
        }
    }

    pub fn styled(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// A column that identifies the row.
    pub fn key(self) -> Self {
        Self { importance: Importance::Key, ..self }
    }

    /// A column that gives way first.
    pub fn minor(self) -> Self {
        Self { importance: Importance::Minor, ..self }
    }

    /// A column of the wide table only.
    pub fn wide(self) -> Self {
        Self { importance: Importance::Wide, ..self }
    }

    /// A text of several words, which may continue on the next line.
    pub fn note(self) -> Self {
        Self { importance: Importance::Key, is_note: true, ..self }
    }

    /// A line of details that is aligned with those around it.
    pub fn aligned(self) -> Self {
        Self { is_aligned: true, ..self }
    }

    /// What the wide table shows instead.
    pub fn exact(self, text: impl Into<String>) -> Self {
        Self { exact: Some(text.into()), ..self }
    }

    fn shown(&self, layout: &Layout) -> &str {
        match &self.exact {
            Some(exact) if layout.is_wide => exact,
            Some(_) | None => &self.text,
        }
    }
}

/// One line per row. Omits columns that are empty in every row.
pub fn rows(rows: &[Vec<Column>], layout: &Layout) -> String {
    let Some(first) = rows.first() else { return String::new() };
    let mut used: Vec<(usize, usize)> = (0..first.len())
        .filter(|index| layout.is_wide || first[*index].importance != Importance::Wide)
        .filter_map(|index| {
            let texts = rows.iter().map(|row| row[index].shown(layout).width()).max()?;
            (texts > 0).then(|| (index, texts.max(first[index].title.width())))
        })
        .collect();
    fit(&mut used, first, layout);
    let header = used.iter().map(|(index, width)| {
        let title = first[*index].title.to_uppercase();
        (vec![title], *width, Paint::Bold)
    });
    let mut lines = Vec::new();
    push_lines(&header.collect::<Vec<_>>(), layout.color, &mut lines);
    for row in rows {
        let cells = used.iter().map(|(index, width)| {
            let column = &row[*index];
            let text = column.shown(layout);
            let text = if column.is_note { wrap(text, *width) } else { vec![text.to_owned()] };
            (text, *width, Paint::Style(column.style))
        });
        push_lines(&cells.collect::<Vec<_>>(), layout.color, &mut lines);
    }
    lines.join("\n")
}

/// One line per value. Omits empty values.
pub fn details(columns: &[Column], layout: &Layout) -> String {
    let shown = |column: &&Column| {
        let is_listed = layout.is_wide || column.importance != Importance::Wide;
        is_listed && !column.shown(layout).is_empty()
    };
    let columns: Vec<_> = columns.iter().filter(shown).collect();
    let titles = columns.iter().map(|column| column.title.width()).max().unwrap_or(0);
    let rest = layout.width.map(|width| width.saturating_sub(titles + GAP).max(NOTE_WIDTH));
    let mut lines = Vec::new();
    for column in columns {
        let text = column.shown(layout).lines();
        let wrapped = match column.is_aligned {
            true => text.map(str::to_owned).collect(),
            false => text.flat_map(|line| wrap(line, rest.unwrap_or(usize::MAX))).collect(),
        };
        let title = (vec![column.title.to_string()], titles, Paint::Bold);
        push_lines(&[title, (wrapped, 0, Paint::Style(column.style))], layout.color, &mut lines);
    }
    lines.join("\n")
}

/// Removes columns until the rest fits, and gives what is left of the width to the notes.
fn fit(used: &mut Vec<(usize, usize)>, first: &[Column], layout: &Layout) {
    let Some(available) = layout.width.filter(|_| !layout.is_wide) else { return };
    loop {
        let is_minor = |(index, _): &(usize, usize)| first[*index].importance == Importance::Minor;
        let note = match used.iter().any(is_minor) {
            true => NOTE_WIDTH_BESIDE_MINOR,
            false => NOTE_WIDTH,
        };
        let least = |(index, width): &(usize, usize)| {
            if first[*index].is_note { (*width).min(note) } else { *width }
        };
        let gaps = GAP * used.len().saturating_sub(1);
        let needed = used.iter().map(least).sum::<usize>() + gaps;
        if needed <= available {
            let mut left = available - needed;
            for column in used.iter_mut().filter(|(index, _)| first[*index].is_note) {
                let more = (column.1 - least(column)).min(left);
                column.1 = least(column) + more;
                left -= more;
            }
            return;
        }
        // Of equals, the last one.
        let candidates = used.iter().enumerate().rev();
        let candidates =
            candidates.filter(|(_, (index, _))| first[*index].importance < Importance::Key);
        let victim = candidates.min_by_key(|(_, (index, _))| first[*index].importance);
        let Some((position, _)) = victim else {
            for column in used.iter_mut() {
                column.1 = least(column);
            }
            return;
        };
        used.remove(position);
    }
}

#[derive(Clone, Copy)]
enum Paint {
    Bold,
    Style(Style),
}

/// Appends the lines of one row of cells: their lines of text, their width and their style.
fn push_lines(cells: &[(Vec<String>, usize, Paint)], color: bool, lines: &mut Vec<String>) {
    let height = cells.iter().map(|(text, ..)| text.len()).max().unwrap_or(0);
    for number in 0..height {
        let mut line = String::new();
        let mut padding = 0;
        for (text, width, paint) in cells {
            let text = text.get(number).map_or("", String::as_str);
            if !text.is_empty() {
                line.push_str(&" ".repeat(padding));
                padding = 0;
                line.push_str(&painted(text, *paint, color));
            }
            padding += width.saturating_sub(text.width()) + GAP;
        }
        lines.push(line);
    }
}

fn painted(text: &str, paint: Paint, color: bool) -> String {
    let code = match paint {
        Paint::Bold => "1",
        Paint::Style(Style::Plain) => "",
        Paint::Style(Style::Waiting) => "33",
        Paint::Style(Style::Active) => "36",
        Paint::Style(Style::Good) => "32",
        Paint::Style(Style::Bad) => "31",
    };
    if color && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Lines of at most `width`. A longer word is a line of its own: it may be a name, to be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: &str, note: &str) -> Vec<Column> {
        vec![
            Column::new("name", name).key(),
            Column::new("state", state).styled(Style::Good),
            Column::new("cluster", "spot").minor(),
            Column::new("submitted", "3m ago").exact("2026-01-01T00:00:00Z"),
            Column::new("uid", "0b8f").wide(),
            Column::new("note", note).note(),
        ]
    }

    fn shown(width: Option<usize>, is_wide: bool) -> String {
        let note = "Needs 9 nodes; cluster spot allows at most 4. Run: batchai cluster auto-scale spot --min 0 --max 9";
        let rows_of = [row("a-long-name-of-a-job", "running", ""), row("héllo", "queued", note)];
        rows(&rows_of, &Layout { width, is_wide, color: false })
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_omitted() {
        insta::assert_snapshot!(rows(&[row("a", "running", ""), row("longer", "queued", "")], &Layout::PLAIN), @"
        NAME    STATE    CLUSTER  SUBMITTED
        a       running  spot     3m ago
        longer  queued   spot     3m ago
        ");
        assert_eq!(rows(&[], &Layout::PLAIN), "");
    }

    #[test]
    fn columns_give_way_in_a_narrow_terminal() {
        let widths = [Some(80), Some(60), Some(20)].map(|width| shown(width, false));
        insta::assert_snapshot!(widths.join("\n\n"), @"
        NAME                  STATE    SUBMITTED  NOTE
        a-long-name-of-a-job  running  3m ago
        héllo                 queued   3m ago     Needs 9 nodes; cluster spot allows at
                                                  most 4. Run: batchai cluster
                                                  auto-scale spot --min 0 --max 9

        NAME                  STATE    NOTE
        a-long-name-of-a-job  running
        héllo                 queued   Needs 9 nodes; cluster spot
                                       allows at most 4. Run:
                                       batchai cluster auto-scale
                                       spot --min 0 --max 9

        NAME                  NOTE
        a-long-name-of-a-job
        héllo                 Needs 9 nodes; cluster
                              spot allows at most 4.
                              Run: batchai cluster
                              auto-scale spot --min 0
                              --max 9
        ");
        for line in widths[0].lines().chain(widths[1].lines()) {
            assert!(line.width() <= 80, "{line}");
        }
    }

    #[test]
    fn a_wide_table_is_complete_and_exact() {
        insta::assert_snapshot!(shown(Some(80), true), @"
        NAME                  STATE    CLUSTER  SUBMITTED             UID   NOTE
        a-long-name-of-a-job  running  spot     2026-01-01T00:00:00Z  0b8f
        héllo                 queued   spot     2026-01-01T00:00:00Z  0b8f  Needs 9 nodes; cluster spot allows at most 4. Run: batchai cluster auto-scale spot --min 0 --max 9
        ");
    }

    #[test]
    fn details_have_one_line_per_value() {
        let columns = [
            Column::new("name", "digits"),
            Column::new("note", ""),
            Column::new("waiting reason", "no node\nsecond line"),
        ];
        insta::assert_snapshot!(details(&columns, &Layout::PLAIN), @"
        name            digits
        waiting reason  no node
                        second line
        ");
        insta::assert_snapshot!(details(&row("first", "queued", "Waits for 1 free node of cluster spot"), &Layout { width: Some(40), color: false, is_wide: false }), @"
        name       first
        state      queued
        cluster    spot
        submitted  3m ago
        note       Waits for 1 free node of
                   cluster spot
        ");
    }

    #[test]
    fn colors_do_not_count_as_width() {
        let layout = Layout { width: Some(80), color: true, is_wide: false };
        let plain = Layout { color: false, ..layout };
        let row = [row("a", "running", "x")];
        let mut colored = rows(&row, &layout);
        assert!(colored.contains("\x1b[32mrunning\x1b[0m"), "{colored:?}");
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[32m"] {
            colored = colored.replace(code, "");
        }
        assert_eq!(colored, rows(&row, &plain));
    }
}
