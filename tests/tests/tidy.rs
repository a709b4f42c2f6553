//! Rules for the sources of this repository that no other tool checks.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member").to_owned()
}

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("readable");
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for part in ["apps", "functions", "shared", "tests"] {
        walk(&root().join(part), &mut found);
    }
    assert!(found.len() > 100, "the sources were not found");
    found
}

fn check(rule: &str, find_violation: impl Fn(&Path, &str) -> Option<String>) {
    let violations: Vec<String> = sources()
        .iter()
        .filter_map(|(path, text)| {
            let why = find_violation(path, text)?;
            Some(format!("{}: {why}", path.strip_prefix(root()).unwrap_or(path).display()))
        })
        .collect();
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

#[test]
fn every_file_has_a_header() {
    check("a file starts with //!", |_, text| {
        (!text.starts_with("//!")).then(|| "has no header".to_owned())
    });
}

#[test]
fn files_are_short() {
    check("a file has at most 500 lines", |_, text| {
        let lines = text.lines().count();
        (lines > 500).then(|| format!("{lines} lines"))
    });
}

#[test]
fn mains_of_functions_are_short() {
    check("main.rs of a function has at most 40 lines", |path, text| {
        let function = path.components().any(|part| part.as_os_str() == "functions");
        let lines = text.lines().count();
        (function && lines > 40).then(|| format!("{lines} lines"))
    });
}

#[test]
fn no_file_has_marks_of_unfinished_work() {
    // Each is split in two, so that this file does not have it.
    let marks =
        [concat!("FIX", "ME"), concat!("XX", "X"), concat!("to", "do!("), concat!("dbg", "!(")];
    check("no marks of unfinished work", |_, text| {
        marks.iter().find(|mark| text.contains(**mark)).map(|mark| format!("says {mark}"))
    });
}

#[test]
fn crates_have_no_forbidden_dependencies() {
    for (name, forbidden) in [
        ("model", &["tokio", "aws", "dynamo", "control"][..]),
        ("scheduler", &["tokio", "aws", "table", "control", "serde"][..]),
        ("lifecycle", &["tokio", "aws", "dynamo", "sqlite", "control", "wire"][..]),
        ("table", &["aws", "dynamo", "sqlite", "control", "rusqlite"][..]),
        ("local", &["aws", "dynamo", "lambda"][..]),
        ("control", &["aws", "dynamo", "sqlite", "lambda"][..]),
        ("protocol", &["tokio", "aws", "model"][..]),
        ("wire", &["tokio", "aws", "dynamo", "axum", "control"][..]),
    ] {
        let manifest = root().join("shared").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        let dependencies = text.split("[dependencies]").nth(1).unwrap();
        let dependencies = dependencies.split("\n[").next().unwrap();
        for crate_name in forbidden {
            let known = dependencies.lines().any(|line| line.starts_with(crate_name));
            assert!(!known, "{name} depends on {crate_name}");
        }
    }
}
