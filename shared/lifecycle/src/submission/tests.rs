//! New jobs; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::container::{ContainerSettings, ImageSourceRegistry};
use model::{FileServerState, MountPoint, WorkspaceNames};

fn new_job(spec: JobSpec) -> NewJob {
    NewJob { name: Name::new("A"), uid: uid("a"), spec }
}

/// A cluster with an idle node, an experiment and a file server.
fn fixture() -> (Fixture, FileServer) {
    let mut server = file_server(FileServerState::Ready { since: NOW });
    server.uid = uid("d");
    let fixture = Fixture::of(manual_cluster(1), vec![], vec![idle(0, NOW)]);
    fixture.create(|draft| {
        draft.writes().create(&experiment());
        draft.writes().create(&server);
    });
    (fixture, server)
}

fn container() -> ContainerSettings {
    let image_source_registry =
        ImageSourceRegistry { server_url: None, image: "ubuntu".to_owned(), credentials: None };
    ContainerSettings { image_source_registry, shm_size: None }
}

fn submitted(spec: JobSpec, idle: Vec<Node>) -> String {
    let (fixture, server) = fixture();
    let mut draft = Draft::new(fixture.now, fixture.quota);
    let (experiment, cluster) = (experiment(), fixture.cluster().unwrap());
    let job = accept(&draft, &experiment, &cluster, new_job(spec)).unwrap();
    submit(&mut draft, &experiment, &cluster, &[server], idle, job).unwrap();
    fixture.committed(draft)
}

#[test]
fn a_job_starts_or_is_queued_or_fails() {
    let spec = || testing_spec();
    let (fixture, _) = fixture();
    assert_snapshot!(submitted(spec(), fixture.nodes()), @r#"
    check exp x active { uid: "x" }
    check fs f active { uid: "d" }
    create job a: running #1 on n0 (runs)
    replace node n0: runs a#1 @60 to @3660
    delete idle n0
    notify n0
    log started a#1 n0
    "#);
    assert_snapshot!(submitted(spec(), vec![]), @r#"
    check exp x active { uid: "x" }
    check fs f active { uid: "d" }
    check cluster c activeandscheduled { uid: "c" }
    create job a: queued @60
    create queue 1 a
    hint Dispatcher c
    "#);
    let mut container = container();
    container.image_source_registry.credentials = Some(of_a_key_vault());
    let container = Some(container);
    assert_snapshot!(submitted(JobSpec { container, ..spec() }, vec![]), @r#"
    check exp x active { uid: "x" }
    create job a: failed SecretReferenceNotProvided @60-@60
    "#);
}

/// Credentials that this version cannot read.
fn of_a_key_vault() -> model::RegistryCredentials {
    let source_vault = model::ResourceId { id: "/v".into() };
    let secret_url = "https://v/s".into();
    let password = model::KeyVaultSecretReference { source_vault, secret_url };
    let password = model::SecretValue::Reference(password);
    model::RegistryCredentials { username: "u".into(), password }
}

fn testing_spec() -> JobSpec {
    job("a", 1).spec
}

#[test]
fn a_job_records_its_cluster_and_its_mounts() {
    let draft = Draft::new(LATER, Quota::DEFAULT);
    let mut cluster = manual_cluster(1);
    let accepted = |cluster: &Cluster| {
        accept(&draft, &experiment(), cluster, new_job(testing_spec())).unwrap()
    };
    let near = accepted(&cluster);
    assert_eq!((near.uid.clone(), near.version), (uid("a"), LATER.0 as u64));
    assert_eq!((near.submitted_at, near.names.operation_key()), (LATER, "s$g$w$X$A".to_owned()));
    assert_eq!((&near.cluster_names.workspace, near.cluster), (&None, cluster.reference()));
    assert_eq!(near.cluster_mounts, []);

    let elsewhere = WorkspaceNames { workspace: Name::new("v"), ..names() };
    cluster.names = elsewhere.clone();
    let mount = model::FileServerMount {
        id: String::new(),
        uid: uid("d"),
        share: model::FileShare::Directory,
        source_directory: Some("data".into()),
        relative_mount_path: "p".into(),
        mount_options: None,
    };
    cluster.spec.mounts = Some(MountVolumes { file_servers: vec![mount], ..Default::default() });
    let far = accepted(&cluster);
    assert_eq!(far.cluster_names.workspace, Some(elsewhere));
    let point = MountPoint {
        relative_mount_path: "p".into(),
        file_server: uid("d"),
        source_directory: Some("data".into()),
        kind: model::StorageKind::FileServer,
    };
    assert_eq!(far.cluster_mounts, [point]);
}

#[test]
fn a_job_without_room_for_its_history_is_refused() {
    let draft = Draft::new(LATER, Quota::DEFAULT);
    let mut cluster = manual_cluster(1);
    let mount = model::FileServerMount {
        id: String::new(),
        uid: uid("d"),
        share: model::FileShare::Directory,
        source_directory: Some("d".repeat(200 * 1024)),
        relative_mount_path: "p".into(),
        mount_options: None,
    };
    cluster.spec.mounts = Some(MountVolumes { file_servers: vec![mount], ..Default::default() });
    let accepted = |bytes| {
        let std_out_err_path_prefix = "p".repeat(bytes);
        let spec = JobSpec { std_out_err_path_prefix, ..testing_spec() };
        accept(&draft, &experiment(), &cluster, new_job(spec)).map(|_| ())
    };
    assert_eq!(accepted(150 * 1024), Ok(()));
    assert!(matches!(accepted(180 * 1024), Err(Refusal::TooLarge(_))));
}

#[test]
fn a_job_that_could_never_run_is_refused() {
    let mut cluster = manual_cluster(0);
    cluster.spec.vm_size = "STANDARD_NC6".into();
    let check = |nodes, cores| {
        let quota = Quota { cores, ..Quota::DEFAULT };
        require_possible(&cluster, nodes, 4, &quota).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(check(4, 24), Ok(()));
    assert_snapshot!(check(5, 24).unwrap_err(), @"The job needs 5 nodes at once, but this service runs at most 4; ask for fewer, or raise the limit of the service (--max-nodes)");
    assert_snapshot!(check(4, 23).unwrap_err(), @"The job needs 24 cores at once, but the quota is 23; ask for fewer nodes or smaller ones, or raise the limit of the service (--max-cores, --max-total-cores)");
}
