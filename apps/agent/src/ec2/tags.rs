//! Which launch of which cluster an instance belongs to, from its tags. The user data cannot tell: it
//! is the same for all instances of a stack.

use super::metadata::{Metadata, MetadataError};
use crate::link::Backoff;
use crate::options::ClusterName;
use tokio::time::sleep;

/// `{workspace uid}/{cluster name}/{cluster uid}`.
const CLUSTER: &str = "batchai:cluster";
/// The id of the launch.
const LAUNCH: &str = "batchai:launch";

/// The launch of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub cluster: ClusterName,
    pub launch: String,
}

/// Reads the tags of this instance; tries until they are there. An instance that never has them is
/// terminated by the control plane, because it does not sign in.
pub async fn membership(metadata: &mut Metadata) -> Membership {
    let mut backoff = Backoff::default();
    loop {
        match read(metadata).await {
            Ok(membership) => return membership,
            Err(error) => sleep(backoff.failed(&error)).await,
        }
    }
}

async fn read(metadata: &mut Metadata) -> Result<Membership, MetadataError> {
    let missing = MetadataError::Unusable;
    let cluster = tag(metadata, CLUSTER).await?.ok_or(missing("tag batchai:cluster"))?;
    let launch = tag(metadata, LAUNCH).await?.ok_or(missing("tag batchai:launch"))?;
    let cluster = parse(&cluster).ok_or(missing("tag batchai:cluster"))?;
    Ok(Membership { cluster, launch })
}

async fn tag(metadata: &mut Metadata, key: &str) -> Result<Option<String>, MetadataError> {
    let value = metadata.get(&format!("tags/instance/{key}")).await?;
    Ok(value.map(|value| value.text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn parse(text: &str) -> Option<ClusterName> {
    let words: Vec<&str> = text.split('/').collect();
    match words[..] {
        [workspace_uid, name, uid] if words.iter().all(|word| !word.is_empty()) => {
            Some(ClusterName {
                workspace_uid: workspace_uid.to_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_names_workspace_and_cluster() {
        let cluster = parse("w-uid/gpu-cluster/c-uid").unwrap();
        assert_eq!(
            (cluster.workspace_uid.as_str(), cluster.name.as_str()),
            ("w-uid", "gpu-cluster")
        );
        assert_eq!(cluster.uid, "c-uid");
        for wrong in ["", "a/b", "a//c", "a/b/c/d"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
