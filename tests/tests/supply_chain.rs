//! What this project takes from others: from where, under which licences, and nothing that it does
//! not use. All of it is read from `cargo metadata` and `cargo tree`, which resolve the lock file.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Licences that ask for no more than to be named.
const LICENCES: &[&str] =
    &["Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Where every dependency comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that must not be linked, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl-sys", "TLS is rustls: no C library to install or to update"),
    ("native-tls", "TLS is rustls"),
];

struct Metadata {
    packages: Vec<Value>,
    resolved: Vec<Value>,
}

fn metadata() -> Metadata {
    // Of other platforms nothing was downloaded.
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let filter = ["--filter-platform", host];
    let options = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let metadata: Value =
        serde_json::from_str(&cargo(&[&options[..], &filter].concat())).expect("JSON");
    let list = |value: &Value| value.as_array().expect("a list").clone();
    Metadata {
        packages: list(&metadata["packages"]),
        resolved: list(&metadata["resolve"]["nodes"]),
    }
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}:\n{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Names of the packages that a binary is built from. Asked for this package alone: in the graph of the
/// workspace it has the features that other members ask for.
fn built_from(package: &str) -> BTreeSet<String> {
    let options = ["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"];
    let tree = cargo(&[&options[..], &["--package", package, "--format", "{p}"]].concat());
    tree.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn every_dependency_comes_from_the_registry_and_may_be_used() {
    let metadata = metadata();
    let mut problems = Vec::new();
    for package in metadata.packages.iter().filter(|package| !package["source"].is_null()) {
        let name = text(&package["name"]);
        if text(&package["source"]) != REGISTRY {
            problems.push(format!("{name} comes from {}", package["source"]));
        }
        let licence = text(&package["license"]);
        match spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX) {
            Ok(expression) if expression.evaluate(is_allowed) => {}
            Ok(_) => problems.push(format!("{name} has the licence {licence}")),
            Err(_) => problems.push(format!("the licence of {name} cannot be read: {licence:?}")),
        }
        if let Some((_, why)) = BANNED.iter().find(|(banned, _)| *banned == name) {
            problems.push(format!("{name} is banned: {why}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn is_allowed(requirement: &spdx::LicenseReq) -> bool {
    requirement.license.id().is_some_and(|id| LICENCES.contains(&id.name))
}

/// Neither its clients nor what they are made of, such as `aws-sigv4` and `aws-lc-rs`.
#[test]
fn command_line_and_agent_are_built_without_an_aws_sdk() {
    for (package, known) in [("cli", "rusqlite"), ("agent", "ring")] {
        let built_from = built_from(package);
        let sdk: Vec<_> = built_from.iter().filter(|name| name.starts_with("aws-")).collect();
        assert!(sdk.is_empty(), "{package}: {sdk:?}");
        assert!(built_from.contains(known), "the graph was not read: {built_from:?}");
    }
}

#[test]
fn every_dependency_is_used() {
    let metadata = metadata();
    let mut unused = Vec::new();
    for member in metadata.packages.iter().filter(|package| package["source"].is_null()) {
        let manifest = Path::new(text(&member["manifest_path"]));
        let sources = sources(manifest.parent().expect("a directory"));
        let node = metadata.resolved.iter().find(|node| node["id"] == member["id"]);
        for dependency in node.expect("it is resolved")["deps"].as_array().expect("a list") {
            // As it is written in Rust, which may differ from the name of the package.
            let name = text(&dependency["name"]);
            if !sources.iter().any(|source| mentions(source, name)) {
                unused.push(format!("{} does not use {name}", text(&member["name"])));
            }
        }
    }
    assert!(unused.is_empty(), "{}", unused.join("\n"));
}

/// As a word: `http` is not in `https`.
fn mentions(source: &str, name: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    source.match_indices(name).any(|(start, _)| {
        !source[..start].ends_with(is_word) && !source[start + name.len()..].starts_with(is_word)
    })
}

/// The text of all Rust files below, without comments.
fn sources(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("readable");
            let is_code = |line: &&str| !line.trim_start().starts_with("//");
            found.push(text.lines().filter(is_code).collect::<Vec<_>>().join("\n"));
        }
    }
    found
}
