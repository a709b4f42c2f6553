//! Texts that are read outside of requests: stored records, messages between agents and the control
//! plane, sealed secrets, ids, times. A text that can be read is written and read back unchanged.

use control::keys::Keys;
use model::{AzureFileUrl, ClusterRef, NodeId, Subscription, Target, Uid, Volume, time};
use protocol::{SyncRequest, SyncResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Component, Path};

/// The first byte selects the type as which the rest is read.
pub fn check(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else { return };
    match kind {
        b'c' => read::<model::Cluster>(text),
        b'j' => read::<model::Job>(text),
        b'm' => read::<model::JobMetrics>(text),
        b'n' => read::<model::Node>(text),
        b'h' => read::<model::EndedNodes>(text),
        b'f' => read::<model::FileServer>(text),
        b'w' => read::<model::Workspace>(text),
        b'e' => read::<model::Experiment>(text),
        b'g' => read::<model::ResourceGroup>(text),
        b'o' => read::<model::Operation>(text),
        b'u' => read::<model::Account>(text),
        b'r' => read::<model::RoleAssignment>(text),
        b'k' => read::<model::AccessToken>(text),
        b's' => read::<Subscription>(text),
        b't' => read::<Target>(text),
        b'q' => read::<SyncRequest>(text),
        b'a' => read::<SyncResponse>(text),
        b'd' => duration(text),
        b'i' => ids(text),
        b'x' => sealed(text),
        b'v' => volume(text),
        _ => {}
    }
}

fn read<T: Serialize + DeserializeOwned>(text: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(text) else { return };
    let written = serde_json::to_value(&value).expect("it can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    let again: Value = serde_json::to_value(&again).expect("it can be written");
    assert_eq!(written, again);
}

fn duration(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Some(seconds) = time::parse_duration_seconds(text) {
        let written = time::format_duration_seconds(seconds);
        assert_eq!(time::parse_duration_seconds(&written), Some(seconds), "{text} {written}");
    }
}

fn ids(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    if let Some(uid) = Uid::parse(text) {
        assert_eq!(Uid::parse(uid.as_str()), Some(uid));
    }
    if let Some(node) = NodeId::parse(text) {
        let path = std::path::Path::new(node.as_str());
        assert_eq!(path.components().count(), 1, "a node's id is the name of a directory");
    }
    for parsed in
        [wire::ClusterId::parse(text).is_some(), wire::FileServerId::parse(text).is_some()]
    {
        assert!(!parsed || text.starts_with('/'), "{text}");
    }
}

/// The directory in place of a volume is below that of all volumes, and one spelling means one volume.
fn volume(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let is_below = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    if let Ok(volume) = text.parse::<Volume>() {
        assert!(is_below(&volume.directory()), "{text}");
        assert_eq!(volume.to_string().parse(), Ok(volume.clone()), "{text}");
        assert!(volume.directory().components().count() <= 4, "{text}");
    }
    if let Ok(url) = text.parse::<AzureFileUrl>() {
        assert!(is_below(&url.volume().directory()), "{text}");
        assert!(url.sub_directory.is_none_or(|below| is_below(Path::new(&below))), "{text}");
    }
}

/// Only what this service sealed is opened.
fn sealed(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let keys = Keys::derive(&[8; 32]);
    assert!(keys.open(text).is_err(), "{text}");
    let cluster = ClusterRef {
        workspace: Uid::from_bytes([1; 16]),
        name: "c".to_owned(),
        uid: Uid::from_bytes([2; 16]),
    };
    let node = NodeId::parse("tvm-1").expect("an id");
    assert!(!keys.is_node_token(&cluster, &node, text));
    let unique = Uid::from_bytes([3; 16]);
    assert_eq!(keys.open(&keys.seal(text, &unique)).ok().as_deref(), Some(text));
}
