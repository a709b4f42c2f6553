//! Requests of users about groups, workspaces and experiments; each case shows the resulting
//! change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;

fn deleted() -> Lifecycle {
    Lifecycle::Deleting { operation: uid("op"), since: NOW }
}

fn tags(text: &str) -> Tags {
    Some([("k".to_owned(), text.to_owned())].into())
}

fn ids() -> NewIds {
    NewIds { uid: uid("first"), etag: uid("e") }
}

fn with(create: impl FnOnce(&mut Draft)) -> Fixture {
    let fixture = Fixture::empty();
    fixture.create(create);
    fixture
}

fn put_group_in(location: &str, tags: Tags, found: Option<ResourceGroup>) -> String {
    let fixture = with(|it| found.iter().for_each(|group| it.writes().create(group)));
    let (subscription, name) = (Name::new("S"), Name::new("G"));
    let new = NewGroup { subscription, name, location: location.into(), tags };
    fixture.request(|draft| {
        let group = put_group(draft, found, new, uid("first"))?;
        Ok((group.uid, group.tags, group.version))
    })
}

#[test]
fn a_resource_group_is_created_or_tagged() {
    assert_snapshot!(put_group_in("there", tags("v"), None), @r#"
    answers (first, Some({"k": "v"}), 1000060000)
    create rg g
    put sub s
    "#);
    let found = || Some(resource_group());
    assert_snapshot!(put_group_in("HERE", tags("v"), found()), @r#"
    answers (g, Some({"k": "v"}), 1)
    replace rg g
    "#);
    assert_snapshot!(put_group_in("here", None, found()), @"answers (g, None, 1)");
    assert_snapshot!(put_group_in("there", None, found()), @"refused: The resource group G is in here and cannot move to there; use another name, or delete it first");
    let deleting = ResourceGroup { lifecycle: deleted(), ..resource_group() };
    assert_snapshot!(put_group_in("here", None, Some(deleting)), @"refused: The specified resource group G is being deleted; wait until that is done");
}

#[test]
fn tags_are_replaced_if_there_are_any() {
    let group = || ResourceGroup { tags: tags("v"), ..resource_group() };
    let tag = |found: ResourceGroup, tags: Tags| {
        let fixture = with(|it| it.writes().create(&found));
        fixture.request(|draft| Ok(tag_group(draft, found, tags)?.tags))
    };
    assert_snapshot!(tag(group(), tags("new")), @r#"
    answers Some({"k": "new"})
    replace rg g
    "#);
    assert_snapshot!(tag(group(), tags("v")), @r#"
    answers Some({"k": "v"})
    "#);
    assert_snapshot!(tag(group(), None), @r#"
    answers Some({"k": "v"})
    "#);
    assert_snapshot!(tag(ResourceGroup { lifecycle: deleted(), ..group() }, None), @"refused: The specified resource group G is being deleted; wait until that is done");

    let workspace = || Workspace { tags: tags("v"), ..workspace() };
    let tag = |found: Workspace, tags: Tags| {
        let fixture = with(|it| it.writes().create(&found));
        fixture.request(|draft| {
            let tagged = tag_workspace(draft, &found, tags, uid("second"))?;
            Ok((tagged.tags, tagged.etag, tagged.modified_at))
        })
    };
    assert_snapshot!(tag(workspace(), tags("new")), @r#"
    answers (Some({"k": "new"}), second, Timestamp(1000060000))
    replace ws g w
    "#);
    assert_snapshot!(tag(workspace(), None), @r#"
    answers (Some({"k": "v"}), second, Timestamp(1000060000))
    replace ws g w
    "#);
    assert_snapshot!(tag(Workspace { lifecycle: deleted(), ..workspace() }, None), @"refused: The specified workspace w is being deleted; wait until that is done");
}

fn put_workspace_in(found: Option<Workspace>, group: Option<ResourceGroup>) -> String {
    let fixture = with(|it| {
        found.iter().for_each(|found| it.writes().create(found));
        group.iter().for_each(|group| it.writes().create(group));
    });
    let new = NewWorkspace { names: names(), location: "here".into(), tags: tags("v") };
    fixture.request(|draft| {
        let workspace = put_workspace(draft, found, group, new, ids(), uid("second"))?;
        Ok((workspace.uid, workspace.tags, workspace.version))
    })
}

#[test]
fn a_workspace_is_created_with_its_group() {
    let group = |lifecycle| ResourceGroup { lifecycle, ..resource_group() };
    assert_snapshot!(put_workspace_in(None, None), @r#"
    answers (first, Some({"k": "v"}), 1000060000)
    create rg g
    put sub s
    create ws g w
    "#);
    assert_snapshot!(put_workspace_in(None, Some(group(Lifecycle::Active))), @r#"
    answers (first, Some({"k": "v"}), 1000060000)
    check rg g active { uid: "g" }
    create ws g w
    "#);
    assert_snapshot!(put_workspace_in(None, Some(group(deleted()))), @"refused: The specified resource group G is being deleted; wait until that is done");
    assert_snapshot!(put_workspace_in(Some(workspace()), None), @"answers (w, None, 1)");
    let deleting = Workspace { lifecycle: deleted(), ..workspace() };
    assert_snapshot!(put_workspace_in(Some(deleting), None), @"refused: The specified workspace w is being deleted; wait until that is done");
}

#[test]
fn an_experiment_is_created_in_an_active_workspace() {
    let put = |workspace: Workspace, found: Option<Experiment>| {
        let fixture = with(|it| {
            it.writes().create(&workspace);
            found.iter().for_each(|found| it.writes().create(found));
        });
        fixture.request(|draft| {
            let it = put_experiment(draft, &workspace, found, &Name::new("X"), ids())?;
            Ok((it.uid, it.workspace, it.version))
        })
    };
    assert_snapshot!(put(workspace(), None), @r#"
    answers (first, w, 1000060000)
    check ws g w active { uid: "w" }
    create exp x
    "#);
    assert_snapshot!(put(workspace(), Some(experiment())), @"answers (x, w, 1)");
    let deleting = Experiment { lifecycle: deleted(), ..experiment() };
    assert_snapshot!(put(workspace(), Some(deleting)), @"refused: The specified experiment X is being deleted; wait until that is done");
    let deleting = || Workspace { lifecycle: deleted(), ..workspace() };
    assert_snapshot!(put(deleting(), None), @"refused: The specified workspace w is being deleted; wait until that is done");
    assert_snapshot!(put(deleting(), Some(experiment())), @"refused: The specified workspace w is being deleted; wait until that is done");
}
