//! All keys of the table. Names are in lower case, as ARM names are compared without regard to
//! case.
//!
//! | item | pk | sk |
//! | --- | --- | --- |
//! | subscription | `subs` | `sub#{subscription}` |
//! | resource group, workspace | `sub#{subscription}` | `rg#{group}`, `ws#{group}#{name}` |
//! | role assignment | `sub#{subscription}` | `role#{group}/{workspace}#{id}` |
//! | the same, by principal | `principal#{uid}` | `role#{subscription}#{group}/{workspace}#{id}` |
//! | access token | `tokens` | `token#{digest}` |
//! | usage | `usage#{subscription}#{region}` | `meter#{meter}` |
//! | cores of all subscriptions | `usage` | `meter#cores` |
//! | cluster, file server, experiment | `ws#{workspace uid}` | `cluster#{name}`, `fs#{name}`, `exp#{name}` |
//! | cluster that mounts a file server | `fs#{file server uid}` | `mount#{cluster uid}` |
//! | job, its metrics | `exp#{experiment uid}` | `job#{name}`, `metrics#{name}` |
//! | end of the output of a job, by part | `exp#{experiment uid}` | `log#{job uid}#{part}` |
//! | queue entry | `cl#{cluster uid}` | `queue#{rank}#{time}#{job uid}` |
//! | node, idle marker | `cl#{cluster uid}` | `node#{id}`, `idle#{id}` |
//! | launch with waiting nodes | `cl#{cluster uid}` | `launch#{id}` |
//! | ended nodes, the newest first | `ended#{cluster uid}` | `ended#{time}#{id}` |
//! | instance → node | `inst#{instance}` | `node` |
//! | operation | `op#{id}` | `op` |
//! | target of the schedule | `scheduled` | `target#{uid}` |

use crate::item::Key;
use model::{
    Account, EndedNodes, JobRef, LaunchId, LogPart, Meter, Name, NodeId, QueueEntry,
    RoleAssignment, Scope, Uid, VmPriority, Zone,
};
use serde::{Deserialize, Serialize};

/// Marks an idle node, so that dispatch finds one without reading the busy ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleMarker {
    /// The node.
    pub node: NodeId,
    /// The zone of its instance.
    #[serde(default, skip_serializing_if = "Zone::is_only")]
    pub zone: Zone,
}

pub(crate) fn subscription_partition(subscription: &Name) -> String {
    format!("sub#{}", subscription.key())
}

pub(crate) const SUBSCRIPTIONS_PARTITION: &str = "subs";

pub(crate) fn subscription(id: &Name) -> Key {
    Key { pk: SUBSCRIPTIONS_PARTITION.to_owned(), sk: format!("sub#{}", id.key()) }
}

pub(crate) fn resource_group(subscription: &Name, name: &Name) -> Key {
    Key { pk: subscription_partition(subscription), sk: format!("rg#{}", name.key()) }
}

pub(crate) fn role_assignment(scope: &Scope, id: &Uid) -> Key {
    Key {
        pk: subscription_partition(&scope.subscription),
        sk: format!("{}{id}", role_assignments_at(scope)),
    }
}

pub(crate) fn role_assignments_at(scope: &Scope) -> String {
    format!("role#{}#", scope.key())
}

pub(crate) fn principal_partition(principal: &Uid) -> String {
    format!("principal#{principal}")
}

pub(crate) fn principal_role(assignment: &RoleAssignment) -> Key {
    let RoleAssignment { id, scope, principal, .. } = assignment;
    Key {
        pk: principal_partition(principal),
        sk: format!("{}{}#{id}", principal_roles_in(&scope.subscription), scope.key()),
    }
}

pub(crate) fn principal_roles_in(subscription: &Name) -> String {
    format!("role#{}#", subscription.key())
}

pub(crate) const TOKENS_PARTITION: &str = "tokens";

pub(crate) fn token(digest: &str) -> Key {
    Key { pk: TOKENS_PARTITION.to_owned(), sk: format!("token#{digest}") }
}

pub(crate) fn usage_partition(account: &Account) -> String {
    format!("usage#{}#{}", account.subscription.key(), account.location.key())
}

pub(crate) fn usage(account: &Account, meter: Meter) -> Key {
    Key { pk: usage_partition(account), sk: format!("meter#{}", meter_name(meter)) }
}

/// The cores of the whole service. Only commits that add or remove nodes write it.
pub(crate) fn total_cores() -> Key {
    Key { pk: "usage".to_owned(), sk: "meter#cores".to_owned() }
}

pub(crate) fn meter_name(meter: Meter) -> String {
    let of = |priority| match priority {
        VmPriority::Dedicated => "dedicated",
        VmPriority::LowPriority => "lowpriority",
    };
    match meter {
        Meter::Clusters => "clusters".to_owned(),
        Meter::Cores(priority) => of(priority).to_owned(),
        Meter::FamilyCores(priority, family) => format!("{}#{}", of(priority), family.name()),
    }
}

pub(crate) fn workspace(subscription: &Name, group: &Name, name: &Name) -> Key {
    Key {
        pk: subscription_partition(subscription),
        sk: format!("ws#{}#{}", group.key(), name.key()),
    }
}

pub(crate) fn workspace_partition(workspace: &Uid) -> String {
    format!("ws#{workspace}")
}

pub(crate) fn child(workspace: &Uid, kind: &str, name: &str) -> Key {
    Key { pk: workspace_partition(workspace), sk: format!("{kind}#{}", name.to_ascii_lowercase()) }
}

pub(crate) fn file_server_partition(file_server: &Uid) -> String {
    format!("fs#{file_server}")
}

pub(crate) fn file_server_user(file_server: &Uid, cluster: &Uid) -> Key {
    Key { pk: file_server_partition(file_server), sk: format!("mount#{cluster}") }
}

pub(crate) fn experiment_partition(experiment: &Uid) -> String {
    format!("exp#{experiment}")
}

pub(crate) fn job(experiment: &Uid, name: &str) -> Key {
    Key { pk: experiment_partition(experiment), sk: format!("job#{}", name.to_ascii_lowercase()) }
}

pub(crate) fn job_metrics(experiment: &Uid, name: &str) -> Key {
    let sk = format!("{JOB_METRICS}{}", name.to_ascii_lowercase());
    Key { pk: experiment_partition(experiment), sk }
}

pub(crate) const JOB_METRICS: &str = "metrics#";
pub(crate) fn log_tail(job: &JobRef, part: LogPart) -> Key {
    let part = match part {
        LogPart::Master => "master",
        LogPart::FailedMember => "member",
    };
    let sk = format!("{}{part}", log_tails_of(&job.uid));
    Key { pk: experiment_partition(&job.experiment), sk }
}

pub(crate) fn log_tails_of(job: &Uid) -> String {
    format!("log#{job}#")
}

pub(crate) fn cluster_partition(cluster: &Uid) -> String {
    format!("cl#{cluster}")
}

/// Rank, then time of submission (13 digits of milliseconds last until the year 2286).
pub(crate) fn queue_entry(cluster: &Uid, entry: &QueueEntry) -> Key {
    let time = entry.submitted_at.0.max(0);
    Key {
        pk: cluster_partition(cluster),
        sk: format!("queue#{}#{time:013}#{}", entry.rank, entry.job.uid),
    }
}

pub(crate) fn node(cluster: &Uid, node: &NodeId) -> Key {
    Key { pk: cluster_partition(cluster), sk: format!("node#{node}") }
}

pub(crate) fn idle(cluster: &Uid, node: &NodeId) -> Key {
    Key { pk: cluster_partition(cluster), sk: format!("idle#{node}") }
}

pub(crate) fn launch(cluster: &Uid, launch: &LaunchId) -> Key {
    Key { pk: cluster_partition(cluster), sk: format!("launch#{launch}") }
}

/// A partition of its own: it is read alone, and what a deleted cluster leaves there expires.
pub(crate) fn ended_nodes_partition(cluster: &Uid) -> String {
    format!("ended#{cluster}")
}

/// Millis until a time that is never reached, so that the newest are first. A commit has several of these
/// records only with different nodes.
pub(crate) fn ended_nodes(ended: &EndedNodes) -> Key {
    let until = MAX_KEY_MILLIS - ended.removed_at.0.clamp(0, MAX_KEY_MILLIS);
    let first = ended.ids.first().map_or("", NodeId::as_str);
    Key { pk: ended_nodes_partition(&ended.cluster.uid), sk: format!("ended#{until:013}#{first}") }
}

/// The largest time that takes 13 digits: the year 2286.
const MAX_KEY_MILLIS: i64 = 9_999_999_999_999;

pub(crate) fn instance(instance: &str) -> Key {
    Key { pk: format!("inst#{instance}"), sk: "node".to_owned() }
}

pub(crate) fn operation(id: &Uid) -> Key {
    Key { pk: format!("op#{id}"), sk: "op".to_owned() }
}

/// The key of the whole service.
pub(crate) fn service_key() -> Key {
    Key { pk: "service".to_owned(), sk: "key".to_owned() }
}

pub(crate) const SCHEDULED_PARTITION: &str = "scheduled";

pub(crate) fn scheduled(uid: &Uid) -> Key {
    Key { pk: SCHEDULED_PARTITION.to_owned(), sk: format!("target#{uid}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn uid(number: u8) -> Uid {
        Uid::from_bytes([number; 16])
    }

    /// The order of sort keys is that of the queue: rank, then time of submission.
    #[test]
    fn queue_keys_are_in_queue_order() {
        let place = |rank, time, job| {
            let entry = QueueEntry {
                job: JobRef { experiment: uid(1), name: "j".into(), uid: uid(job) },
                rank,
                submitted_at: Timestamp(time),
                node_count: 1,
                max_wall_clock_seconds: 1,
                sweep: None,
            };
            queue_entry(&uid(2), &entry).sk
        };
        let in_order = [
            place(0, 1_528_318_013_000, 1),
            place(1, -5, 1),
            place(1, 999, 9),
            place(1, 1_528_318_013_000, 1),
            place(1, 1_528_318_013_000, 2),
            place(1, 9_999_999_999_999, 1),
            place(2, 0, 1),
        ];
        assert!(in_order.is_sorted(), "{in_order:?}");
        let mut unique = in_order.to_vec();
        unique.dedup();
        assert_eq!(unique.len(), in_order.len());
    }

    #[test]
    fn keys_ignore_the_case_of_names() {
        let name = Name::new;
        assert_eq!(workspace(&name("S"), &name("G"), &name("W")).sk, "ws#g#w");
        assert_eq!(resource_group(&name("S"), &name("G")).pk, "sub#s");
        assert_eq!(child(&uid(1), "cluster", "C").sk, "cluster#c");
        assert_eq!(job(&uid(1), "J").sk, "job#j");
        let meters: std::collections::BTreeSet<String> = Meter::all().map(meter_name).collect();
        assert_eq!(meters.len(), Meter::all().count(), "each has a key of its own");
    }
}
