//! Extensions of clusters.

use super::cluster::{check, everything, parse};
use model::ClusterExtensions;
use serde_json::json;

#[test]
fn extensions() {
    let request = parse(everything()).unwrap();
    let expected = ClusterExtensions {
        idle_seconds_before_scale_down: Some(60),
        alternate_vm_sizes: Some(vec!["g5.xlarge".to_owned()]),
        security_groups: Some(vec!["sg-0123456789abcdef0".to_owned()]),
        capacity_reservation: Some("cr-0123456789abcdef0".to_owned()),
        replace_on_rebalance: Some(true),
    };
    assert_eq!(request.extensions, expected);
    let sizes: Vec<String> = (0..11).map(|number| format!("g{number}.xlarge")).collect();
    insta::assert_snapshot!(
        check(json!({ "extensions": { "idleSecondsBeforeScaleDown": 86401, "alternateVmSizes": sizes } })), @r"
        properties.extensions.idleSecondsBeforeScaleDown must be a whole number from 0 to 86400, but is 86401
        properties.extensions.alternateVmSizes must have at most 10 entries, but has 11
        ");
    insta::assert_snapshot!(
        check(json!({ "extensions.alternateVmSizes": ["g5.xlarge", "STANDARD_DS1", "G5.xlarge", 1, "g5.xlrage"] })), @r#"
        properties.extensions.alternateVmSizes[1] must not be STANDARD_A0 or a size with premium storage (STANDARD_DS, STANDARD_GS), but is STANDARD_DS1; a cluster can have any other size
        properties.extensions.alternateVmSizes[3] must be a string, but is a number
        properties.extensions.alternateVmSizes[4] must be a VM size of Azure or an instance type of EC2, such as STANDARD_NC6 or g5.xlarge, but is "g5.xlrage"; did you mean g5.xlarge?
        "#);
    insta::assert_snapshot!(
        check(json!({ "extensions.alternateVmSizes": ["g5.xlarge", "G5.xlarge"] })), @"properties.extensions.alternateVmSizes must not have G5.xlarge a second time");
}

#[test]
fn extensions_of_ec2() {
    let group = |number: usize| format!("sg-0000000{number}");
    let groups: Vec<String> = (0..5).map(group).collect();
    assert_eq!(check(json!({ "extensions.securityGroups": groups[..4] })), "ok");
    insta::assert_snapshot!(check(json!({ "extensions.securityGroups": groups })), @"properties.extensions.securityGroups must have at most 4 entries, but has 5");
    insta::assert_snapshot!(
        check(json!({ "extensions.securityGroups": [group(1), "default", group(1)] })), @r#"properties.extensions.securityGroups[1] must be the id of a security group of EC2, such as sg-0123456789abcdef0, but is "default""#);
    insta::assert_snapshot!(check(json!({ "extensions.securityGroups": [group(1), group(1)] })), @"properties.extensions.securityGroups must not have sg-00000001 a second time");
    insta::assert_snapshot!(check(json!({ "extensions.capacityReservation": "gpu" })), @"properties.extensions.capacityReservation must be the id of a capacity reservation of EC2, such as cr-0123456789abcdef0, or the ARN of a resource group of reservations, but is \"gpu\"");
}
