//! File servers.

use super::violations_of;
use crate::fixtures::{self, body, file_server_body};
use crate::request::{is_same_file_server, parse_file_server_create};
use model::DataRetention;
use serde_json::{Value, json};

fn check(changes: Value) -> String {
    violations_of(parse_file_server_create(&body(file_server_body(), changes)))
}

#[test]
fn a_request_becomes_a_file_server() {
    let spec = parse_file_server_create(&body(file_server_body(), json!({})));
    assert_eq!(spec.as_ref(), Ok(&fixtures::file_server().spec));
}

#[test]
fn the_same_request_again_is_the_same_file_server() {
    let mut existing = fixtures::file_server();
    let mut requested = existing.spec.clone();
    existing.spec.subnet_id = Some("filled in by the service".to_owned());
    assert!(is_same_file_server(&requested, &existing));
    requested.disk_count = 9;
    assert!(!is_same_file_server(&requested, &existing));
}

#[test]
fn the_files_of_a_deleted_file_server_are_kept_if_the_request_says_so() {
    let parse = |retention: &str| {
        let extensions = json!({ "extensions": { "dataRetention": retention } });
        parse_file_server_create(&body(file_server_body(), extensions))
    };
    let existing = fixtures::file_server();
    assert_eq!(existing.spec.data_retention, DataRetention::Delete);
    assert!(is_same_file_server(&parse("delete").unwrap(), &existing), "the default");
    let kept = parse("Keep").unwrap();
    assert_eq!(kept.data_retention, DataRetention::Keep);
    assert!(!is_same_file_server(&kept, &existing));
    assert!(violations_of(parse("forever")).contains("properties.extensions.dataRetention"));
}

#[test]
fn who_may_reach_a_file_server() {
    let ranges = |ranges: Value| json!({ "sshConfiguration.publicIPsToAllow": ranges });
    let spec = parse_file_server_create(&body(file_server_body(), ranges(json!(["*"])))).unwrap();
    assert_eq!(spec.public_ips_to_allow, Some(vec!["*".to_owned()]));
    assert!(!is_same_file_server(&spec, &fixtures::file_server()));
    insta::assert_snapshot!(check(ranges(json!(["10.0.0.0/8", "10.0.0.0/40", "all"]))), @r#"
    properties.sshConfiguration.publicIPsToAllow[1] must be an IPv4 address or range, such as 203.0.113.7 or 203.0.113.0/24, or * for all, but is "10.0.0.0/40"
    properties.sshConfiguration.publicIPsToAllow[2] must be an IPv4 address or range, such as 203.0.113.7 or 203.0.113.0/24, or * for all, but is "all"
    "#);
    insta::assert_snapshot!(check(ranges(json!(vec!["10.0.0.4"; 401]))), @"properties.sshConfiguration.publicIPsToAllow must have at most 400 entries, but has 401");
}

#[test]
fn refused_file_servers() {
    insta::assert_snapshot!(violations_of(parse_file_server_create(br#"{"properties":{}}"#)), @r#"
    properties.vmSize is required
    properties.sshConfiguration is required
    properties.dataDisks is required
    "#);
    insta::assert_snapshot!(check(json!({
        "sshConfiguration.publicIPsToAllow": ["10.0.0.0/8", 7],
        "dataDisks": { "diskSizeInGB": 0, "diskCount": 3_000_000_000_u32,
                       "cachingType": "some", "storageAccountType": "fast" },
        "subnet": "default",
    })), @r#"
    properties.sshConfiguration.publicIPsToAllow[1] must be a string, but is a number
    properties.dataDisks.diskSizeInGB must be a whole number from 1 to 2147483647, but is 0
    properties.dataDisks.diskCount must be a whole number from 1 to 2147483647, but is 3000000000
    properties.dataDisks.cachingType must be one of none, readonly, readwrite, but is "some"
    properties.dataDisks.storageAccountType must be one of Standard_LRS, Premium_LRS, but is "fast"
    properties.subnet must be an object, but is a string
    "#);
    insta::assert_snapshot!(check(json!({
        "dataDisks.cachingType": "ReadWrite", "dataDisks.storageAccountType": "premium_lrs",
    })), @"ok");
}
