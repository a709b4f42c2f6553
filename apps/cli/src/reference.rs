//! The command reference, `docs/commands.md`: the help of every command at 80 columns.
//!
//! Made of the definition of the command line. A test fails when the page is out of date.

use clap::Command;
use std::fmt::Write as _;
use std::path::PathBuf;

const PAGE: &str = include_str!("../../../docs/commands.md");

const TITLE: &str = "\
# Commands

The help of every command, as `batchai COMMAND --help` prints it in a terminal of 80 columns. Options that many commands have are
in the help of `batchai` itself; the others name those that matter to them. `batchai man DIR` writes manual pages.

This page is generated: `cargo test --workspace --bin batchai -- --ignored write_commands` writes it.
";

const WIDTH: usize = 80;

fn page() -> String {
    let mut command = crate::cli::command();
    command.build();
    let mut page = TITLE.to_owned();
    let global: Vec<_> = command.get_arguments().map(|it| it.get_id().clone()).collect();
    section(&command, "batchai", &mut page, &[]);
    for command in listed(&command) {
        sections(command, "batchai", &mut page, &global);
    }
    page
}

fn listed(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help")
}

/// The section of a command, then those of its commands.
fn sections(command: &Command, above: &str, page: &mut String, global: &[clap::Id]) {
    let name = format!("{above} {}", command.get_name());
    section(command, &name, page, global);
    for command in listed(command) {
        sections(command, &name, page, global);
    }
}

/// `global` are options that are named below the help instead of described in it.
fn section(command: &Command, name: &str, page: &mut String, global: &[clap::Id]) {
    let is_global = |id: &clap::Id| global.contains(id) && id != "help" && id != "version";
    let shown = command.get_arguments().filter(|it| is_global(it.get_id()) && !it.is_hide_set());
    let names: Vec<_> =
        shown.filter_map(|it| it.get_long()).map(|long| format!("`--{long}`")).collect();
    let help = command
        .clone()
        .mut_args(|argument| match is_global(argument.get_id()) {
            true => argument.hide(true),
            false => argument,
        })
        .term_width(WIDTH)
        .render_long_help()
        .to_string();
    let lines = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.trim_end());
    if !names.is_empty() {
        let _ = write!(page, "\nAlso: {}\n", names.join(", "));
    }
}

/// The place of a page of the documentation.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Fails with the first difference, and with how to write a generated page.
#[track_caller]
pub fn check(name: &str, page: &str, generated: &str, test: &str) {
    if page == generated {
        return;
    }
    let differing = page.lines().zip(generated.lines()).position(|(one, other)| one != other);
    let line = differing.unwrap_or_else(|| page.lines().count().min(generated.lines().count()));
    let of = |text: &str| text.lines().nth(line).unwrap_or("(end)").to_owned();
    panic!(
        "docs/{name} is out of date. Run: cargo test --workspace --bin batchai -- --ignored {test}\nline {}: {}\nnow:    {}",
        line + 1,
        of(page),
        of(generated)
    );
}

#[test]
fn the_command_reference_is_up_to_date() {
    check("commands.md", PAGE, &page(), "write_commands");
}

#[test]
#[ignore = "writes docs/commands.md"]
fn write_commands() {
    std::fs::write(file("commands.md"), page()).unwrap();
}

#[test]
fn help_fits_80_columns() {
    for line in page().lines().skip(TITLE.lines().count()).filter(|it| !it.starts_with("Also: ")) {
        // Examples are not wrapped.
        assert!(line.chars().count() <= 100, "{line}");
    }
}
