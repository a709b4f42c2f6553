//! Requests of users about clusters; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{
    FileServerMount, FileServerState, KeyVaultSecretReference, MountVolumes, ResourceId,
    SecretValue, SecretVariable, SetupTask,
};

fn server(name: &str, subnet: &str) -> FileServer {
    let mut server = file_server(FileServerState::Ready { since: NOW });
    (server.uid, server.name) = (uid(name), Name::new(name));
    server.spec.subnet_id = Some(subnet.to_owned());
    server
}

fn mounting(server: &FileServer) -> MountVolumes {
    let mount = FileServerMount {
        id: String::new(),
        uid: server.uid.clone(),
        share: model::FileShare::Directory,
        source_directory: None,
        relative_mount_path: "p".into(),
        mount_options: None,
    };
    MountVolumes { file_servers: vec![mount], ..MountVolumes::default() }
}

/// The change, and the cluster after it.
fn created(spec: ClusterSpec, servers: &[FileServer]) -> (String, Option<Cluster>) {
    let fixture = Fixture::empty();
    let workspace = Workspace { uid: uid("w"), ..workspace() };
    fixture.create(|draft| {
        draft.writes().create(&workspace);
        servers.iter().for_each(|server| draft.writes().create(server));
    });
    let new = NewCluster { name: Name::new("C"), spec, scale: manual_cluster(2).scale };
    let ids = NewIds { uid: uid("c"), etag: uid("e") };
    let change = fixture.request(|draft| create(draft, &workspace, servers, new, ids));
    (change, fixture.cluster())
}

#[test]
fn a_cluster_is_created_with_what_it_mounts() {
    let spec = manual_cluster(0).spec;
    let (change, cluster) = created(spec.clone(), &[]);
    assert_snapshot!(change, @r#"
    check ws g w active { uid: "w" }
    create cluster c: planned 0, resizing @60
    put target c
    count meter clusters +1 if CountAtMost(199)
    hint Autoscaler c
    "#);
    let cluster = cluster.unwrap();
    assert_eq!((cluster.version, &cluster.spec), (LATER.0 as u64, &spec));
    assert_eq!((cluster.created_at, cluster.modified_at), (LATER, LATER));

    let (first, second) = (server("a", "/subnet/a"), server("b", "/subnet/b"));
    let mounts = Some(mounting(&first));
    let (change, cluster) = created(ClusterSpec { mounts, ..spec }, &[first, second]);
    assert_snapshot!(change, @r#"
    check ws g w active { uid: "w" }
    replace fs a: ready @0
    replace fs b: ready @0
    create cluster c: planned 0, resizing @60
    put mount c
    put target c
    count meter clusters +1 if CountAtMost(199)
    hint Autoscaler c
    "#);
    assert_eq!(cluster.unwrap().spec.subnet_id.as_deref(), Some("/subnet/a"));
}

#[test]
fn a_cluster_keeps_its_own_subnet() {
    let spec = ClusterSpec { subnet_id: Some("/own".into()), ..manual_cluster(0).spec };
    let (_, cluster) = created(spec, &[server("a", "/subnet/a")]);
    assert_eq!(cluster.unwrap().spec.subnet_id.as_deref(), Some("/own"));
}

#[test]
fn an_unsupported_cluster_shows_the_reason() {
    let reference = KeyVaultSecretReference {
        source_vault: ResourceId { id: "/v".into() },
        secret_url: "https://v/secrets/s".into(),
    };
    let secret = SecretVariable { name: "S".into(), value: SecretValue::Reference(reference) };
    let task = SetupTask {
        command_line: "true".into(),
        environment: Vec::new(),
        secrets: vec![secret],
        std_out_err_path_prefix: "/p".into(),
        std_out_err_path_suffix: "s".into(),
    };
    let spec = ClusterSpec { setup_task: Some(task), ..manual_cluster(0).spec };
    assert_snapshot!(created(spec, &[]).0, @r#"
    check ws g w active { uid: "w" }
    create cluster c: planned 0, resizing @60, errors SecretReferenceNotProvided[]
    put target c
    count meter clusters +1 if CountAtMost(199)
    hint Autoscaler c
    "#);
}

#[test]
fn a_cluster_without_room_to_grow_is_refused() {
    let mut spec = manual_cluster(0).spec;
    spec.subnet_id = Some("s".repeat(390 * 1024));
    let (change, cluster) = created(spec, &[]);
    assert!(change.starts_with("refused: The cluster takes 400"), "{change}");
    assert_eq!(cluster, None);
}

#[test]
fn unreachable_scale_settings_are_refused() {
    let scale = auto_cluster(0, 4).scale;
    assert_eq!(require_reachable(scale, 4), Ok(()));
    assert_snapshot!(require_reachable(scale, 3).unwrap_err(), @"The cluster may have up to 4 nodes, but this service runs at most 3; ask for fewer, or raise the limit of the service (--max-nodes)");
    let quota = Quota { clusters: 2, cores: 0, total_cores: 0 };
    let workspace = workspace();
    assert_eq!(require_one_more(1, &quota, &workspace), Ok(()));
    assert_snapshot!(require_one_more(2, &quota, &workspace).unwrap_err(), @"There are 2 clusters in here, which is the most there can be; delete one first, or raise the limit of the service (--max-clusters)");
}

fn updated(cluster: Cluster, count: u32, staying: usize) -> String {
    let nodes: Vec<Node> = (0..staying).map(|number| idle(number, NOW)).collect();
    let fixture = Fixture::of(cluster, vec![], nodes.clone());
    let update = Update { scale: Some(manual_cluster(count).scale), ..Update::default() };
    fixture.request(|draft| super::update(draft, update, &nodes, uid("second")))
}

#[test]
fn a_new_size_is_tried_at_once() {
    let mut cluster = manual_cluster(0);
    cluster.health = Backoff::CLEAR.failed(NOW);
    cluster.scheduled = false;
    assert_snapshot!(updated(cluster, 2, 0), @r"
    replace cluster c: planned 0, resizing @60
    put target c
    hint Dispatcher c
    hint Autoscaler c
    ");
    assert_snapshot!(updated(manual_cluster(2), 2, 2), @r"
    replace cluster c: planned 0, steady @0
    hint Dispatcher c
    hint Autoscaler c
    ");
    assert_snapshot!(updated(manual_cluster(2), 1, 2), @r"
    replace cluster c: planned 0, resizing @60
    hint Dispatcher c
    hint Autoscaler c
    ");
    let mut resizing = manual_cluster(2);
    resizing.allocation.resizing = true;
    assert_snapshot!(updated(resizing, 1, 2), @r"
    replace cluster c: planned 0, resizing @0
    hint Dispatcher c
    hint Autoscaler c
    ");
    assert_snapshot!(updated(deleting(manual_cluster(2)), 1, 2), @"refused: The specified cluster c is being deleted; wait until that is done");
}

#[test]
fn only_the_given_parts_are_replaced() {
    let sizes = |size: &str| ClusterExtensions {
        alternate_vm_sizes: Some(vec![size.into()]),
        ..ClusterExtensions::default()
    };
    let mut cluster = manual_cluster(2);
    cluster.spec.extensions = sizes("old");
    let fixture = Fixture::of(cluster.clone(), vec![], vec![]);
    let update = |update: Update, etag| {
        fixture.request(|draft| super::update(draft, update, &[], uid(etag)));
        fixture.cluster().unwrap()
    };
    let scale = Some(manual_cluster(1).scale);
    let after = update(Update { scale, extensions: None }, "first");
    assert_eq!((after.scale.ceiling(), after.spec.extensions), (1, sizes("old")));
    assert_eq!((after.etag, after.modified_at), (uid("first"), LATER));
    let after = update(Update { scale: None, extensions: Some(sizes("new")) }, "second");
    assert_eq!((after.scale.ceiling(), after.spec.extensions), (1, sizes("new")));
    assert_eq!(after.etag, uid("second"));
}

#[test]
fn any_number_of_nodes_within_the_settings_is_steady() {
    let leaving = idle(9, NOW).leave(model::LeaveReason::Shrink, NOW).unwrap();
    for (staying, settled) in [(0, false), (1, true), (2, true), (3, true), (4, false)] {
        let mut nodes: Vec<Node> = (0..staying).map(|number| idle(number, NOW)).collect();
        nodes.push(leaving.clone());
        let fixture = Fixture::of(auto_cluster(0, 0), vec![], nodes.clone());
        let scale = ScaleSettings::AutoScale {
            minimum_node_count: 1,
            maximum_node_count: 3,
            initial_node_count: 0,
        };
        let update = Update { scale: Some(scale), ..Update::default() };
        fixture.request(|draft| super::update(draft, update, &nodes, uid("second")));
        let cluster = fixture.cluster().unwrap();
        assert_eq!(!cluster.allocation.resizing, settled, "{staying}");
    }
}

#[test]
fn an_update_needs_the_cluster() {
    let fixture = Fixture::empty();
    let update = |draft: &mut Draft| super::update(draft, Update::default(), &[], uid("e"));
    assert_snapshot!(fixture.request(update), @"refused: a cluster that is removed cannot change");
}
