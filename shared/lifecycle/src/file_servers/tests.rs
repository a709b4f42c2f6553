//! Events of file servers; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{Lifecycle, Timestamp};

fn creating() -> FileServerState {
    FileServerState::Creating { operation: uid("op"), since: NOW }
}

fn failed() -> FileServerState {
    FileServerState::Failed { since: NOW }
}

fn deleted() -> FileServerState {
    FileServerState::Deleting { operation: uid("op"), since: NOW }
}

fn put_in(workspace: &Workspace, found: Option<FileServer>, is_same: bool) -> String {
    let fixture = Fixture::empty();
    fixture.create(|draft| {
        draft.writes().create(workspace);
        found.iter().for_each(|found| draft.writes().create(found));
    });
    let new = NewFileServer { name: Name::new("F"), spec: file_server(creating()).spec };
    let ids = NewIds { uid: uid("first"), etag: uid("e") };
    fixture.request(|draft| {
        let what = put(draft, workspace, (found, is_same), new, ids, uid("second"))?;
        Ok(match what {
            PutResult::Provisioning(operation) => format!("provisioning {operation}"),
            PutResult::Unchanged(found) => format!("unchanged {}", found.uid),
        })
    })
}

#[test]
fn a_file_server_is_created_once() {
    let put = |found: Option<FileServer>, is_same| put_in(&workspace(), found, is_same);
    let ready = || file_server(FileServerState::Ready { since: NOW });
    assert_snapshot!(put(None, false), @r#"
    answers "provisioning second"
    check ws g w active { uid: "w" }
    create fs f: creating for second @60
    put operation second: @60 of s$g$w$F in progress
    put target first
    hint Provisioner first
    "#);
    assert_snapshot!(put(Some(ready()), true), @r#"
    answers "unchanged d"
    "#);
    assert_snapshot!(put(Some(ready()), false), @"refused: The specified file server F exists already with other properties; delete it first or choose another name");
    assert_snapshot!(put(Some(file_server(creating())), true), @r#"
    answers "unchanged d"
    "#);
    assert_snapshot!(put(Some(file_server(deleted())), true), @"refused: The specified file server F is being deleted; wait until that is done");
    // An earlier try of this request.
    let own = |state| Some(FileServer { uid: uid("first"), ..file_server(state) });
    assert_snapshot!(put(own(creating()), false), @r#"
    answers "provisioning op"
    "#);
    assert_snapshot!(put(own(failed()), false), @r#"
    answers "unchanged first"
    "#);
    let lifecycle = Lifecycle::Deleting { operation: uid("op"), since: NOW };
    let deleting = Workspace { lifecycle, ..workspace() };
    assert_snapshot!(put_in(&deleting, Some(ready()), true), @"refused: The specified workspace w is being deleted; wait until that is done");
}

#[test]
fn a_failed_file_server_is_tried_again() {
    let again = put_in(&workspace(), Some(file_server(failed())), true);
    assert_snapshot!(again, @r#"
    answers "provisioning second"
    replace fs f: creating for second @60
    put operation second: @60 of s$g$w$F in progress
    put target d
    hint Provisioner d
    "#);
    let other = put_in(&workspace(), Some(file_server(failed())), false);
    assert_snapshot!(other, @"refused: The specified file server F exists already with other properties; delete it first or choose another name");
}

#[test]
fn a_creation_fails_only_after_its_deadline() {
    let provision = |state, seconds, is_made: bool| {
        let server = file_server(state);
        let mut fixture = Fixture::empty();
        fixture.create(|draft| draft.writes().create(&server));
        fixture.now = Timestamp(NOW.0 + 1000 * seconds);
        fixture.request(|draft| {
            Ok(provisioned(draft, &server, is_made.then_some(model::FileShare::Directory)))
        })
    };
    let deadline = limits::FILE_SERVER_DEADLINE_SECONDS as i64;
    assert_snapshot!(provision(creating(), 1, true), @r"
    answers true
    replace fs f: ready @1
    put operation op: @0 of s$g$w$F succeeded @1
    delete target d
    ");
    assert_snapshot!(provision(creating(), deadline - 1, false), @"answers false");
    assert_snapshot!(provision(creating(), deadline, false), @r"
    answers true
    replace fs f: failed @60
    put operation op: @0 of s$g$w$F failed FileServerProvisioningFailed @60
    delete target d
    ");
    assert_snapshot!(provision(creating(), deadline, true), @r"
    answers true
    replace fs f: ready @60
    put operation op: @0 of s$g$w$F succeeded @60
    delete target d
    ");
    assert_snapshot!(provision(failed(), deadline, true), @"answers true");
}

#[test]
fn only_a_ready_file_server_is_mounted() {
    let check = |state| match require_ready(&file_server(state)) {
        Ok(()) => "ready".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(check(FileServerState::Ready { since: NOW }), "ready");
    assert_snapshot!(check(creating()), @"The specified file server F is still being created");
    assert_snapshot!(check(failed()), @"The specified file server F could not be provisioned; create it again, or delete it");
    assert_snapshot!(check(deleted()), @"The specified file server F is being deleted; wait until that is done");
}

#[test]
fn a_failed_removal_is_shown_and_backed_off() {
    let deleting = file_server(deleted());
    let fixture = Fixture::empty();
    fixture.create(|draft| draft.writes().create(&deleting));
    let fail = |error: ResourceError| {
        fixture.request(|draft| {
            removal_failed(draft, &deleting, error);
            Ok(())
        })
    };
    assert_eq!(fail(error("Denied")), "replace fs f: deleting for op @0");
    let mut draft = fixture.draft();
    removal_failed(&mut draft, &deleting, ResourceError::new("C", "m".repeat(1_000_000)));
    let writes = draft.finish().writes.into_vec();
    let table::WriteKind::Put { body, .. } = &writes[0].kind else { panic!("{writes:?}") };
    let after: FileServer = body.read().unwrap();
    assert_eq!(after.removal, Backoff::CLEAR.failed(LATER));
    assert_eq!(after.error.map(|error| error.message.len() < limits::MAX_ERROR_BYTES), Some(true));
}

#[test]
fn a_deletion_that_begins_meanwhile_stays_scheduled() {
    let server = file_server(failed());
    let fixture = Fixture::empty();
    fixture.create(|draft| {
        draft.writes().create(&server);
        draft.writes().schedule(&server.target());
    });
    let mut late = fixture.draft();
    settled(&mut late, &server);
    fixture.react(|draft| Ok(crate::resources::begin_deletion(draft, &server, uid("op"))));
    assert!(fixture.commit(&late.finish()).unwrap_err().is_conflict());
}
