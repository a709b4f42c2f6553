//! The tags of an instance: its stack, cluster and launch. The keys are legal in the instance metadata,
//! where the agent reads the launch: letters, digits and `+ - = . , _ : @`.

use aws_sdk_ec2::types::{Filter, Instance, Tag};
use model::{ClusterRef, LaunchId, LaunchRequest, Uid};

const STACK: &str = "batchai:stack";
const CLUSTER: &str = "batchai:cluster";
const LAUNCH: &str = "batchai:launch";

/// The tags of the instances of a launch.
pub(crate) fn of_launch(stack: &str, request: &LaunchRequest) -> Vec<Tag> {
    vec![
        tag(STACK, stack),
        tag(CLUSTER, &cluster_value(&request.cluster)),
        tag(LAUNCH, request.launch.as_str()),
    ]
}

/// The tag of everything that belongs to a stack.
pub(crate) fn of_stack(stack: &str) -> Tag {
    tag(STACK, stack)
}

/// The instances of a stack.
pub(crate) fn in_stack(stack: &str) -> Filter {
    filter(&format!("tag:{STACK}"), [stack.to_owned()])
}

/// The instances of a cluster.
pub(crate) fn in_cluster(cluster: &ClusterRef) -> Filter {
    filter(&format!("tag:{CLUSTER}"), [cluster_value(cluster)])
}

/// The instances of a launch.
pub(crate) fn in_launch(launch: &LaunchId) -> Filter {
    filter(&format!("tag:{LAUNCH}"), [launch.to_string()])
}

pub(crate) fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    let values: Vec<String> = values.into_iter().collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The cluster of an instance.
pub(crate) fn cluster(instance: &Instance) -> Option<ClusterRef> {
    parse_cluster(value(instance, CLUSTER)?)
}

/// The launch of an instance.
pub(crate) fn launch(instance: &Instance) -> Option<LaunchId> {
    Uid::parse(value(instance, LAUNCH)?)
}

fn value<'a>(instance: &'a Instance, key: &str) -> Option<&'a str> {
    instance.tags().iter().find(|tag| tag.key() == Some(key))?.value()
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// `{uid of the workspace}/{name}/{uid}`.
fn cluster_value(cluster: &ClusterRef) -> String {
    format!("{}/{}/{}", cluster.workspace, cluster.name, cluster.uid)
}

fn parse_cluster(value: &str) -> Option<ClusterRef> {
    let (workspace, rest) = value.split_once('/')?;
    let (name, uid) = rest.split_once('/')?;
    let (workspace, uid) = (Uid::parse(workspace)?, Uid::parse(uid)?);
    (!name.is_empty()).then(|| ClusterRef { workspace, name: name.to_owned(), uid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_cluster() {
        let uid = |byte| Uid::from_bytes([byte; 16]);
        let cluster = ClusterRef { workspace: uid(1), name: "gpu-1_a".into(), uid: uid(2) };
        let value = cluster_value(&cluster);
        assert_eq!(parse_cluster(&value), Some(cluster));
        for invalid in ["", "a/b", "a/b/c", &value[1..], &format!("{}//{}", uid(1), uid(2))] {
            assert_eq!(parse_cluster(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn keys_are_legal_in_the_instance_metadata() {
        let legal = |it: u8| it.is_ascii_alphanumeric() || b"+-=.,_:@".contains(&it);
        assert!([STACK, CLUSTER, LAUNCH].iter().all(|key| key.bytes().all(legal)));
    }
}
