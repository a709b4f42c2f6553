//! Records of the resources for which `scheduler` has no builders.

use super::{NOW, names, uid};
use model::*;

pub fn resource_group() -> ResourceGroup {
    ResourceGroup {
        subscription: Name::new("S"),
        name: Name::new("G"),
        uid: uid("g"),
        version: 1,
        location: "here".into(),
        tags: None,
        created_at: NOW,
        lifecycle: Lifecycle::Active,
    }
}

pub fn workspace() -> Workspace {
    Workspace {
        names: names(),
        uid: uid("w"),
        version: 1,
        location: "here".into(),
        tags: None,
        created_at: NOW,
        etag: uid("e"),
        modified_at: NOW,
        lifecycle: Lifecycle::Active,
    }
}

pub fn experiment() -> Experiment {
    Experiment {
        workspace: uid("w"),
        names: names(),
        name: Name::new("X"),
        uid: uid("x"),
        version: 1,
        created_at: NOW,
        etag: uid("e"),
        modified_at: NOW,
        lifecycle: Lifecycle::Active,
    }
}

pub fn file_server(state: FileServerState) -> FileServer {
    FileServer {
        workspace: uid("w"),
        names: names(),
        name: Name::new("F"),
        uid: uid("d"),
        version: 1,
        spec: FileServerSpec {
            vm_size: "STANDARD_D1".into(),
            public_ips_to_allow: None,
            user_account: UserAccount {
                admin_user_name: "u".into(),
                admin_user_ssh_public_key: None,
            },
            disk_size_in_gb: 1,
            disk_count: 1,
            caching_type: "none".into(),
            storage_account_type: "Standard_LRS".into(),
            subnet_id: None,
            data_retention: model::DataRetention::Delete,
        },
        created_at: NOW,
        etag: uid("e"),
        modified_at: NOW,
        state,
        share: model::FileShare::Directory,
        removal: Backoff::CLEAR,
        error: None,
    }
}
