//! The deletion of every kind of resource; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{FileServerMount, MountVolumes};

fn ready() -> FileServer {
    file_server(FileServerState::Ready { since: NOW })
}

/// Stores the record, begins its deletion twice and finishes it. Returns the first and the last
/// change.
fn deletion<R: Resource + std::fmt::Debug>(resource: &R) -> String {
    let fixture = Fixture::empty();
    fixture.create(|draft| draft.writes().create(resource));
    deletion_from(&fixture, resource)
}

fn deletion_from<R: Resource + std::fmt::Debug>(fixture: &Fixture, resource: &R) -> String {
    let mut deleting = resource.clone();
    deleting.mark_deleting(uid("first"), LATER);
    let begun = fixture.react(|draft| Ok(begin_deletion(draft, resource, uid("first"))));
    let deleting = deleting.at_version(resource.version() + 1);
    let again = fixture.react(|draft| Ok(begin_deletion(draft, &deleting, uid("second"))));
    assert_eq!(again, "answers first", "a repetition joins the first");
    let finish = |resource: &R| {
        fixture.react(|draft| {
            finish_deletion(draft, resource);
            Ok(())
        })
    };
    assert_eq!(finish(resource), "nothing", "it is not being deleted");
    format!("{begun}\n-\n{}", finish(&deleting))
}

#[test]
fn resource_groups() {
    assert_snapshot!(deletion(&resource_group()), @r"
    answers first
    replace rg g
    put target g
    put operation first: @60 of S$G in progress
    hint Provisioner g
    -
    put operation first: @60 of S$G succeeded @60
    remove rg g
    delete target g
    ");
}

#[test]
fn workspaces() {
    assert_snapshot!(deletion(&workspace()), @r"
    answers first
    replace ws g w
    put target w
    put operation first: @60 of s$g$w in progress
    hint Provisioner w
    -
    put operation first: @60 of s$g$w succeeded @60
    remove ws g w
    delete target w
    ");
}

#[test]
fn experiments() {
    assert_snapshot!(deletion(&experiment()), @r"
    answers first
    replace exp x
    put target x
    put operation first: @60 of s$g$w$X in progress
    hint Provisioner x
    -
    put operation first: @60 of s$g$w$X succeeded @60
    remove exp x
    delete target x
    ");
}

#[test]
fn file_servers() {
    assert_snapshot!(deletion(&ready()), @r"
    answers first
    replace fs f: deleting for first @60
    put target d
    put operation first: @60 of s$g$w$F in progress
    hint Provisioner d
    -
    put operation first: @60 of s$g$w$F succeeded @60
    remove fs f
    put target d: a removed file server, from @180
    ");
    let failed = file_server(FileServerState::Failed { since: NOW });
    assert_eq!(deletion(&failed), deletion(&ready()));
}

/// A client that waits for the creation sees it fail.
#[test]
fn deleting_a_file_server_fails_its_creation() {
    let creating = FileServerState::Creating { operation: uid("op"), since: NOW };
    assert_snapshot!(deletion(&file_server(creating)), @r"
    answers first
    replace fs f: deleting for first @60
    put target d
    put operation first: @60 of s$g$w$F in progress
    put operation op: @0 of s$g$w$F failed Canceled @60
    hint Provisioner d
    -
    put operation first: @60 of s$g$w$F succeeded @60
    remove fs f
    put target d: a removed file server, from @180
    ");
}

/// Everything that is derived from a cluster is removed with it, whichever way the deletion begins
/// and finishes.
#[test]
fn clusters() {
    let mut cluster = manual_cluster(0);
    let mount = FileServerMount {
        id: String::new(),
        uid: uid("d"),
        share: model::FileShare::Directory,
        source_directory: None,
        relative_mount_path: "p".into(),
        mount_options: None,
    };
    let file_servers = vec![mount];
    cluster.spec.mounts = Some(MountVolumes { file_servers, ..MountVolumes::default() });
    let fixture = Fixture::of(cluster.clone(), vec![], vec![]);
    assert_snapshot!(deletion_from(&fixture, &cluster), @r"
    answers first
    put operation first: @60 of s$g$w$c in progress
    replace cluster c: planned 0, steady @0, deleted by first @60
    hint Dispatcher c
    hint Autoscaler c
    -
    put operation first: @60 of s$g$w$c succeeded @60
    remove cluster c
    delete target c
    delete mount c
    count meter clusters -1 if CountAtLeast(1)
    log deleted c
    ");
    cluster.scheduled = false;
    let dormant = Fixture::of(cluster.clone(), vec![], vec![]);
    let begun = dormant.react(|draft| Ok(begin_deletion(draft, &cluster, uid("first"))));
    assert_snapshot!(begun, @r"
    answers first
    put operation first: @60 of s$g$w$c in progress
    replace cluster c: planned 0, steady @0, deleted by first @60
    put target c
    hint Dispatcher c
    hint Autoscaler c
    ");
}

#[test]
fn nothing_is_created_below_a_resource_being_deleted() {
    let fixture = Fixture::empty();
    let (group, workspace, experiment, server) =
        (resource_group(), workspace(), experiment(), ready());
    let requires = [
        |draft: &mut Draft| draft.writes().require_resource_group(&resource_group()),
        |draft: &mut Draft| draft.writes().require_workspace(&super::tests::workspace()),
        |draft: &mut Draft| draft.writes().require_experiment(&super::tests::experiment()),
        |draft: &mut Draft| draft.writes().require_file_server(&ready()),
    ];
    let held = || {
        requires.map(|require| {
            let mut draft = fixture.draft();
            require(&mut draft);
            fixture.commit(&draft.finish()).is_ok()
        })
    };
    assert_eq!(held(), [false; 4], "they do not exist");
    fixture.create(|draft| {
        draft.writes().create(&group);
        draft.writes().create(&workspace);
        draft.writes().create(&experiment);
        draft.writes().create(&server);
    });
    assert_eq!(held(), [true; 4]);
    fixture.react(|draft| Ok(begin_deletion(draft, &group, uid("first"))));
    fixture.react(|draft| Ok(begin_deletion(draft, &workspace, uid("first"))));
    fixture.react(|draft| Ok(begin_deletion(draft, &experiment, uid("first"))));
    fixture.react(|draft| Ok(begin_deletion(draft, &server, uid("first"))));
    assert_eq!(held(), [false; 4]);
}
