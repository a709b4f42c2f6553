//! File servers.

use super::told;
use crate::fixtures::{self, body, file_server_body};
use crate::request::{is_same_file_server, parse_file_server_create};
use serde_json::{Value, json};

fn check(changes: Value) -> String {
    told(parse_file_server_create(&body(file_server_body(), changes)))
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
fn refused_file_servers() {
    insta::assert_snapshot!(told(parse_file_server_create(br#"{"properties":{}}"#)), @r#"
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
