//! Grants and tokens; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{Lifecycle, Name, Role, Scope, Uid};

fn assignment(id: &str, principal: &str, role: Role) -> RoleAssignment {
    RoleAssignment {
        id: uid(id),
        scope: Scope::subscription(Name::new("s")),
        principal: uid(principal),
        role,
        created_at: NOW,
    }
}

fn granted(known: &[RoleAssignment], place: Option<ScopeResource>, new: RoleAssignment) -> String {
    let fixture = Fixture::empty();
    fixture.create(|draft| match &place {
        Some(ScopeResource::Workspace(workspace)) => draft.writes().create(workspace),
        Some(ScopeResource::ResourceGroup(group)) => draft.writes().create(group),
        None => {}
    });
    fixture.request(|draft| {
        let it = grant(draft, known, place.as_ref(), new)?;
        Ok((it.id, it.role))
    })
}

#[test]
fn a_role_is_granted_once() {
    let new = || assignment("a", "w", Role::Reader);
    assert_snapshot!(granted(&[], None, new()), @r"
    answers (a, Reader)
    create role / a
    put role s / a
    ");
    assert_snapshot!(granted(&[new()], None, new()), @"answers (a, Reader)");
    let known = [assignment("a", "w", Role::Owner)];
    assert_snapshot!(granted(&known, None, new()), @"refused: A role assignment cannot be changed; delete it and create another one");
    let known = [assignment("b", "w", Role::Reader)];
    assert_snapshot!(granted(&known, None, new()), @"refused: The principal has this role in this scope already, by the assignment 62000000-0000-4000-8000-000000000000");
    let others =
        [assignment("b", "w", Role::Owner), assignment("c", "x", Role::Reader), elsewhere(new())];
    assert!(granted(&others, None, new()).starts_with("answers (a, Reader)\ncreate"));
    let full = vec![elsewhere(new()); limits::MAX_ROLE_ASSIGNMENTS];
    assert!(granted(&full[1..], None, new()).starts_with("answers (a, Reader)\ncreate"));
    assert_snapshot!(granted(&full, None, new()), @"refused: The subscription has 2000 role assignments, which is the most there can be; delete some first");
}

fn elsewhere(it: RoleAssignment) -> RoleAssignment {
    let scope = Scope::resource_group(Name::new("s"), Name::new("h"));
    RoleAssignment { scope, ..it }
}

#[test]
fn nothing_is_granted_on_a_resource_being_deleted() {
    let new = || assignment("a", "w", Role::Reader);
    let lifecycle = || Lifecycle::Deleting { operation: uid("op"), since: NOW };
    let place = ScopeResource::Workspace(workspace());
    assert_snapshot!(granted(&[], Some(place), new()), @r#"
    answers (a, Reader)
    check ws g w active { uid: "w" }
    create role / a
    put role s / a
    "#);
    let place = ScopeResource::Workspace(Workspace { lifecycle: lifecycle(), ..workspace() });
    assert_snapshot!(granted(&[], Some(place), new()), @"refused: The specified workspace w is being deleted; wait until that is done");
    let place = ScopeResource::ResourceGroup(resource_group());
    assert_snapshot!(granted(&[], Some(place), new()), @r#"
    answers (a, Reader)
    check rg g active { uid: "g" }
    create role / a
    put role s / a
    "#);
    let place =
        ScopeResource::ResourceGroup(ResourceGroup { lifecycle: lifecycle(), ..resource_group() });
    assert_snapshot!(granted(&[], Some(place), new()), @"refused: The specified resource group G is being deleted; wait until that is done");
}

#[test]
fn a_token_has_a_unique_name() {
    let token = |number: usize| AccessToken {
        digest: format!("digest {number}"),
        principal: Uid::from_bytes([1; 16]),
        name: format!("t{number}"),
        created_at: NOW,
        expires_at: None,
    };
    let give = |known: &[AccessToken]| {
        Fixture::empty().request(|draft| issue_token(draft, known, &token(0)))
    };
    let known: Vec<AccessToken> = (1..=limits::MAX_TOKENS).map(token).collect();
    assert_snapshot!(give(&known[1..]), @"create token digest 0");
    assert_snapshot!(give(&known), @"refused: There are 1000 tokens, which is the most there can be; revoke some first");
    assert_snapshot!(give(&[token(0)]), @"refused: There is a token named t0 already; revoke it or use another name");
}
