//! The contract suite for every implementation of [`Storage`]: the meaning of commits, conditions
//! and
//! ranges, the limits, the charged units, and what concurrent callers may observe.
//!
//! A case uses only its own partition, so the suite can run on a table in use. The cases run one
//! after
//! another, as some measure the consumed units.

mod commits;
mod concurrency;
mod conditions;
mod effects;
mod fixture;
#[cfg(feature = "histories")]
pub mod histories;
mod limits;
mod range_pages;
mod ranges;
mod reads;
mod units;

use crate::Storage;
use fixture::Fixture;
use std::pin::Pin;
use std::sync::Arc;

/// A case that an implementation is known to fail, and why that is acceptable.
#[derive(Clone, Copy, Debug)]
pub struct Deviation {
    /// Name of the case.
    pub case: &'static str,
    /// Why the deviation is acceptable.
    pub reason: &'static str,
}

struct Case {
    name: &'static str,
    run: fn(Fixture) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        [$($(Case {
            name: concat!(stringify!($module), "::", stringify!($case)),
            run: |fixture| Box::pin($module::$case(fixture)),
        }),+),+]
    };
}

/// Runs every case on `storage`, which needs a runtime with several threads. `run` distinguishes
/// this run from others on the same table.
///
/// # Panics
/// When a case fails that is not listed as a deviation, or when a listed one passes.
pub async fn run_all(storage: Arc<dyn Storage>, run: &str, deviations: &[Deviation]) {
    let cases = cases! {
        conditions: mean_the_same_everywhere;
        effects: each_kind_under_each_condition, seen_keeps_body_and_version,
            put_planned_before_a_heartbeat_conflicts, counter_has_no_body;
        commits: failed_positions_are_all_listed_in_order, all_or_nothing,
            empty_commit_does_nothing, every_attribute_is_read_back, partitions_are_independent;
        limits: number_of_writes, one_write_of_each_item, size_of_an_item, size_of_a_commit,
            keys_of_a_read, length_of_a_key;
        reads: missing_items_are_left_out, keys_of_any_language, more_than_one_answer_holds;
        ranges: every_prefix_start_and_limit, order_is_by_bytes, other_partitions_are_left_out;
        range_pages: items_of_several_pages, limit_within_pages;
        units: single_writes, transactions, larger_of_before_and_after, reads_of_items,
            ranges_by_total_bytes, refused_calls_are_free;
        concurrency: counters_keep_their_bounds, exactly_one_of_conflicting_commits_wins,
            time_last_seen_never_goes_back, transfers_keep_the_sum;
    };
    let mut wrong = Vec::new();
    for case in &cases {
        let fixture = Fixture::new(Arc::clone(&storage), format!("{run}/{}", case.name));
        let passed = tokio::spawn((case.run)(fixture)).await.is_ok();
        let deviation = deviations.iter().find(|deviation| deviation.case == case.name);
        match (passed, deviation) {
            (true, None) => {}
            (true, Some(_)) => wrong.push(format!("{} passes but is excused", case.name)),
            (false, None) => wrong.push(format!("{} failed", case.name)),
            (false, Some(known)) => println!("{} failed, as known: {}", known.case, known.reason),
        }
    }
    let known = |deviation: &&Deviation| cases.iter().any(|case| case.name == deviation.case);
    let unknown = deviations.iter().filter(|deviation| !known(deviation));
    wrong.extend(unknown.map(|deviation| format!("no case is named {}", deviation.case)));
    assert!(wrong.is_empty(), "the contract of storage is broken: {wrong:#?}");
}
