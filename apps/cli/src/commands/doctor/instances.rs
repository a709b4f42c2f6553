//! Instances of the stack, compared with the nodes that the service knows.

use super::aws::Aws;
use super::check::Check;
use super::resources::Inventory;
use super::stack::{text, unchecked};
use jiff::{SignedDuration, Timestamp};
use resources::time;
use serde_json::Value;

const NAME: &str = "instances";

/// How long an instance may boot before its node has its address. The alarm for leaked instances
/// waits as long.
const BOOT: SignedDuration = SignedDuration::from_mins(15);

/// Instances named in the result.
const SHOWN: usize = 5;

/// Compares the instances with the tag of the stack.
pub async fn check(aws: &Aws, stack: &str, inventory: Option<&Inventory>, now: Timestamp) -> Check {
    let tag = format!("Name=tag:batchai:stack,Values={stack}");
    let alive = "Name=instance-state-name,Values=pending,running,stopping,stopped";
    match aws.call(&["ec2", "describe-instances", "--filters", &tag, alive]).await {
        Ok(answer) => compare(&answer, inventory, now),
        Err(error) => unchecked(NAME, error),
    }
}

fn compare(answer: &Value, inventory: Option<&Inventory>, now: Timestamp) -> Check {
    let reservations = answer["Reservations"].as_array().into_iter().flatten();
    let instances: Vec<_> =
        reservations.flat_map(|it| it["Instances"].as_array().into_iter().flatten()).collect();
    let count = instances.len();
    let Some(inventory) = inventory else {
        let found = format!("{count} exist; the nodes of the service could not be read");
        return Check::skipped(NAME, found, "Sign in as an owner of the stack");
    };
    let is_known = |it: &Value| {
        let addresses = [&it["PrivateIpAddress"], &it["PublicIpAddress"]].map(text);
        addresses.iter().any(|address| inventory.addresses.contains(address))
    };
    let unknown: Vec<_> = instances.into_iter().filter(|it| !is_known(it)).collect();
    let (old, young): (Vec<_>, Vec<_>) = unknown.into_iter().partition(|it| is_old(it, now));
    if !inventory.is_complete && !old.is_empty() {
        let found = format!("{} belong to no workspace that you may read", old.len());
        return Check::skipped(NAME, found, "Sign in as an owner of the stack");
    }
    if old.is_empty() {
        let starting = young.len();
        return Check::ok(NAME, format!("{count} exist, {starting} of them are starting"));
    }
    let named: Vec<_> = old.iter().take(SHOWN).map(|it| describe(it, now)).collect();
    let ids: Vec<_> = old.iter().take(SHOWN).map(|it| text(&it["InstanceId"])).collect();
    Check::problem(
        NAME,
        format!("{} of {count} have no node: {}", old.len(), named.join(", ")),
        format!(
            "Recovery terminates them within minutes. If they stay, read its log, then: aws ec2 \
             terminate-instances --instance-ids {}",
            ids.join(" ")
        ),
    )
}

fn is_old(instance: &Value, now: Timestamp) -> bool {
    let launched = time::parse(&text(&instance["LaunchTime"]));
    launched.is_none_or(|launched| now.duration_since(launched) > BOOT)
}

/// Such as `i-1 of cluster gpu (running, 3h)`.
fn describe(instance: &Value, now: Timestamp) -> String {
    let mut tags = instance["Tags"].as_array().into_iter().flatten();
    let cluster = tags.find(|it| it["Key"] == "batchai:cluster").map(|it| text(&it["Value"]));
    // Workspace uid, name, cluster uid.
    let name = cluster.and_then(|it| it.split('/').nth(1).map(str::to_owned));
    let of = name.map_or(String::new(), |name| format!(" of cluster {name}"));
    let launched = time::parse(&text(&instance["LaunchTime"]));
    let age =
        launched.map_or(String::new(), |it| format!(", {}", time::format(time::elapsed(it, now))));
    let (id, state) = (text(&instance["InstanceId"]), text(&instance["State"]["Name"]));
    format!("{id}{of} ({state}{age})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check::Status;
    use serde_json::json;

    fn instance(id: &str, address: &str, launched: &str) -> Value {
        json!({
            "InstanceId": id, "PrivateIpAddress": address, "LaunchTime": launched,
            "State": { "Name": "running" },
            "Tags": [{ "Key": "batchai:cluster", "Value": "w-uid/gpu/c-uid" }],
        })
    }

    #[test]
    fn an_instance_without_a_node_is_found_after_its_boot() {
        let now = time::parse("2026-01-01T02:00:00Z").unwrap();
        let answer = json!({ "Reservations": [
            { "Instances": [
                instance("i-node", "10.0.0.1", "2026-01-01T00:00:00+00:00"),
                instance("i-new", "10.0.0.2", "2026-01-01T01:50:00+00:00"),
            ]},
            { "Instances": [instance("i-leaked", "10.0.0.3", "2026-01-01T00:00:00+00:00")] },
        ]});
        let mut inventory =
            Inventory { addresses: ["10.0.0.1".to_owned()].into(), is_complete: true };
        let check = compare(&answer, Some(&inventory), now);
        assert_eq!(check.status, Status::Problem);
        insta::assert_snapshot!(check.detail, @"1 of 3 have no node: i-leaked of cluster gpu (running, 2h)");
        inventory.addresses.insert("10.0.0.3".to_owned());
        let check = compare(&answer, Some(&inventory), now);
        insta::assert_snapshot!(check.detail, @"3 exist, 1 of them are starting");
        let part = Inventory { is_complete: false, ..Inventory::default() };
        assert_eq!(compare(&answer, Some(&part), now).status, Status::Skipped);
        assert_eq!(compare(&answer, None, now).status, Status::Skipped);
    }
}
