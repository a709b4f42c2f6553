//! Launches, allocation and dormancy of a cluster; each case shows the resulting change.

use super::*;
use crate::testing::*;
use insta::assert_snapshot;
use model::{
    FileServerMount, LaunchRate, MountVolumes, Pool, PoolProblem, PoolRefusal, Quota, Timestamp,
    VmPriority,
};

fn with(cluster: Cluster, nodes: Vec<Node>) -> Fixture {
    Fixture::of(cluster, vec![], nodes)
}

fn launched_nodes(fixture: &Fixture, planned_nodes: u32) -> String {
    fixture.react(|draft| launch(draft, new_launch("l", node_ids([0, 1])), planned_nodes, false))
}

#[test]
fn a_launch_records_its_nodes_and_counts_them() {
    assert_snapshot!(launched_nodes(&with(manual_cluster(2), vec![]), 2), @r#"
    replace cluster c: planned 2, resizing @60
    create node n0: launching by @960
    create node n1: launching by @960
    create launch l: n0 n1
    count meter cores +2 if CountAtMost(1998)
    count meter dedicated +2 if CountAtMost(998)
    count meter dedicated D +2 if CountAtMost(998)
    launch l for c: n0 n1 as ["STANDARD_D1"] Dedicated
    log launch c l 2
    "#);
}

#[test]
fn a_launch_counts_the_largest_size_that_it_may_get() {
    let mut cluster = manual_cluster(2);
    cluster.spec.vm_size = "STANDARD_NC6".into();
    cluster.spec.vm_priority = VmPriority::LowPriority;
    cluster.spec.extensions.alternate_vm_sizes = Some(vec!["STANDARD_NC24".into()]);
    cluster.allocation = Allocation { resizing: true, since: NOW };
    assert!(is_low_priority(&cluster) && !is_low_priority(&manual_cluster(0)));
    assert_snapshot!(launched_nodes(&with(cluster, vec![]), 5), @r#"
    replace cluster c: planned 5, resizing @0
    create node n0: launching by @960
    create node n1: launching by @960
    create launch l: n0 n1
    count meter cores +48 if CountAtMost(1952)
    count meter lowpriority +48 if CountAtMost(952)
    count meter lowpriority NC +48 if CountAtMost(952)
    launch l for c: n0 n1 as ["STANDARD_NC6", "STANDARD_NC24"] LowPriority
    log launch c l 2
    "#);
}

/// Two plans made on one version of the cluster must not both grow it, even where the launch
/// changes nothing that the cluster shows.
#[test]
fn a_launch_always_writes_the_cluster() {
    let mut cluster = manual_cluster(2);
    (cluster.planned_nodes, cluster.allocation.resizing) = (2, true);
    let fixture = with(cluster, vec![]);
    let plan = |numbers: [usize; 2], id: &str| {
        let mut draft = fixture.draft();
        launch(&mut draft, new_launch(id, node_ids(numbers)), 2, false).unwrap();
        draft.finish()
    };
    let (first, second) = (plan([0, 1], "first"), plan([2, 3], "second"));
    fixture.commit(&first).unwrap();
    assert!(fixture.commit(&second).unwrap_err().is_conflict());
}

#[test]
fn a_launch_beyond_the_quota_is_a_conflict() {
    let mut fixture = with(manual_cluster(2), vec![]);
    for (cores, fits) in [(1, false), (2, true)] {
        fixture.quota = Quota { cores, ..Quota::DEFAULT };
        let mut draft = fixture.draft();
        launch(&mut draft, new_launch("l", node_ids([0, 1])), 2, false).unwrap();
        let committed = fixture.commit(&draft.finish());
        assert_eq!(committed.is_ok(), fits, "{cores}: {committed:?}");
    }
    let mut draft = fixture.draft();
    launch(&mut draft, new_launch("second", node_ids([2])), 3, false).unwrap();
    assert!(fixture.commit(&draft.finish()).unwrap_err().is_conflict(), "2 of 2 are used");
}

#[test]
fn a_repeated_launch_is_the_same_request() {
    let fixture = with(manual_cluster(2), vec![]);
    let mut draft = fixture.draft();
    launch(&mut draft, new_launch("l", node_ids([0, 1])), 2, false).unwrap();
    let change = draft.finish();
    fixture.commit(&change).unwrap();
    let mut again = fixture.draft();
    relaunch(&mut again, &uid("l"));
    let again = again.finish();
    assert_eq!(again.launches, change.launches);
    assert!(again.writes.is_empty());
}

/// What is requested is recorded: a repetition is not affected by what changes meanwhile.
#[test]
fn a_launch_avoids_the_pools_that_refused_the_one_before() {
    let mut cluster = manual_cluster(2);
    let pool = |vm_size: &str| Pool {
        vm_size: vm_size.into(),
        subnet: "s".into(),
        priority: VmPriority::Dedicated,
    };
    let refused = |vm_size, problem| PoolRefusal { pool: pool(vm_size), problem };
    let refusals =
        [refused("short", PoolProblem::NoCapacity), refused("long", PoolProblem::LimitReached)];
    cluster.avoid(&refusals, LATER);
    let mut fixture = with(cluster, vec![]);
    let mut avoided = |now: Timestamp| {
        fixture.now = now;
        let mut draft = fixture.draft();
        let subnets = vec!["s".to_owned()];
        let placement = Placement { subnets, ..Placement::default() };
        let new = NewLaunch { placement, ..new_launch("l", node_ids([0, 1])) };
        launch(&mut draft, new, 2, true).unwrap();
        let request = draft.finish().launches.remove(0);
        assert_eq!(request.placement.subnets, ["s"]);
        assert!(request.is_gang);
        request.placement.avoid
    };
    assert_eq!(avoided(LATER), [pool("short"), pool("long")]);
    assert_eq!(avoided(LATER.plus_seconds(200)), [pool("long")]);
    assert_eq!(avoided(LATER.plus_seconds(600)), []);
}

#[test]
fn launches_are_counted() {
    let fixture = with(manual_cluster(2), vec![]);
    let mut draft = fixture.draft();
    launch(&mut draft, new_launch("l", node_ids([0])), 1, false).unwrap();
    let change = draft.finish();
    fixture.commit(&change).unwrap();
    let rate = fixture.cluster().unwrap().launch_rate;
    assert_eq!(rate, LaunchRate { since: fixture.now, count: 1 });
}

#[test]
fn failures_are_listed_newest_first_without_duplicates() {
    let fixture = with(manual_cluster(0), vec![]);
    let record = |code| {
        fixture.react(|draft| {
            record_failure(draft, error(code));
            Ok(())
        })
    };
    record("A");
    record("B");
    assert_snapshot!(record("A"), @"replace cluster c: planned 0, steady @0, launch failed 3x, not before @80, errors A[] B[]");
    let show = |code| {
        fixture.react(|draft| {
            show_error(draft, error(code));
            Ok(())
        })
    };
    assert_snapshot!(show("A"), @"nothing");
    assert_snapshot!(show("B"), @"replace cluster c: planned 0, steady @0, launch failed 3x, not before @80, errors B[] A[]");
}

#[test]
fn the_allocation_state_has_the_time_of_its_change() {
    let fixture = with(manual_cluster(0), vec![]);
    let set = |resizing, nodes| {
        fixture.react(|draft| {
            set_allocation(draft, resizing, nodes);
            Ok(())
        })
    };
    assert_snapshot!(set(true, 3), @"replace cluster c: planned 3, resizing @60");
    assert_snapshot!(set(true, 3), @"nothing");
    assert_snapshot!(set(true, 2), @"replace cluster c: planned 2, resizing @60");
    assert_snapshot!(set(false, 2), @"replace cluster c: planned 2, steady @60");
}

#[test]
fn a_cluster_that_is_scheduled_is_listed() {
    let fixture = with(manual_cluster(0), vec![]);
    let set = |scheduled| {
        fixture.react(|draft| {
            set_scheduled(draft, scheduled);
            Ok(())
        })
    };
    assert_snapshot!(set(false), @"replace cluster c: planned 0, steady @0, dormant");
    assert_snapshot!(fixture.react(unschedule), @r"
    check cluster c unchanged { version: 2, seen_at: none }
    delete target c
    ");
    assert_snapshot!(set(true), @r"
    replace cluster c: planned 0, steady @0
    put target c
    ");
    assert_snapshot!(set(true), @"nothing");
}

#[test]
fn a_cluster_scheduled_meanwhile_stays_scheduled() {
    let mut dormant = manual_cluster(0);
    dormant.scheduled = false;
    let fixture = with(dormant, vec![]);
    let mut late = fixture.draft();
    unschedule(&mut late).unwrap();
    fixture.react(|draft| {
        set_scheduled(draft, true);
        Ok(())
    });
    assert!(fixture.commit(&late.finish()).unwrap_err().is_conflict());
}

#[test]
fn a_deleted_cluster_releases_everything() {
    let mut cluster = deleting(manual_cluster(0));
    let mount = |server: &str, path: &str| FileServerMount {
        id: String::new(),
        uid: uid(server),
        share: model::FileShare::Directory,
        source_directory: None,
        relative_mount_path: path.into(),
        mount_options: None,
    };
    let file_servers = vec![mount("a", "p"), mount("b", "q"), mount("a", "r")];
    cluster.spec.mounts = Some(MountVolumes { file_servers, ..MountVolumes::default() });
    let fixture = Fixture::empty();
    assert_snapshot!(
        fixture.react(|draft| {
            draft.create_cluster(cluster.clone());
            Ok(())
        }),
        @r"
    create cluster c: planned 0, steady @0, deleted by op @0
    put mount c
    put mount c
    put target c
    count meter clusters +1 if CountAtMost(199)
    "
    );
    assert_snapshot!(fixture.react(finish_deletion), @r"
    put operation op: @0 of s$g$w$c succeeded @60
    remove cluster c
    delete target c
    delete mount c
    delete mount c
    count meter clusters -1 if CountAtLeast(1)
    log deleted c
    ");
    assert_snapshot!(fixture.react(finish_deletion), @"refused: a cluster that is removed cannot change");
    assert_snapshot!(with(manual_cluster(0), vec![]).react(finish_deletion), @"nothing");
}

#[test]
fn nothing_changes_without_the_cluster() {
    let fixture = Fixture::empty();
    assert_snapshot!(launched_nodes(&fixture, 2), @"refused: a cluster that is removed cannot change");
    assert_snapshot!(fixture.react(unschedule), @"refused: a cluster that is removed cannot change");
    let nothing = fixture.react(|draft| {
        record_failure(draft, error("A"));
        show_error(draft, error("A"));
        set_allocation(draft, true, 1);
        set_scheduled(draft, true);
        relaunch(draft, &uid("l"));
        Ok(())
    });
    assert_snapshot!(nothing, @"nothing");
}
