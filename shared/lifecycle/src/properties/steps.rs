//! The steps of a random history, with their frequencies.

use crate::testing::*;
use model::LeaveReason;
use proptest::prelude::*;
use protocol::{End, NodePhase, Progress};

/// One step. Numbers choose among the existing records.
#[derive(Clone, Debug)]
pub enum Step {
    Submit {
        width: u32,
        retries: u32,
        at_once: bool,
    },
    Terminate(usize),
    Delete(usize),
    Report {
        node: usize,
        phase: NodePhase,
        progress: Option<Progress>,
        notice: Option<u64>,
    },
    Interrupt(usize, u64),
    Leave(usize, LeaveReason, Option<usize>),
    EndAttempt(usize, usize),
    Remove(usize),
    RemovalFailed(usize),
    Launch(u32),
    /// This many nodes of each launch get instances, the others are refused.
    Answer(usize),
    /// The agent of an instance signs in.
    SignIn(usize),
    Dispatch,
    Capacity,
    /// The cloud reports the instance of this node as ended.
    Recover(Option<usize>),
    Resize(u32),
    DeleteCluster,
    Wait(u64),
}

pub fn step() -> impl Strategy<Value = Step> {
    let which = 0usize..6;
    let submit = (1u32..4, 0u32..2, any::<bool>())
        .prop_map(|(width, retries, at_once)| Step::Submit { width, retries, at_once });
    let report = (which.clone(), phase(), proptest::option::of(progress()), notice());
    let report = report.prop_map(|(node, phase, progress, notice)| Step::Report {
        node,
        phase,
        progress,
        notice,
    });
    let leave = (which.clone(), reason(), proptest::option::of(0usize..12));
    prop_oneof![
        4 => submit,
        1 => which.clone().prop_map(Step::Terminate),
        1 => which.clone().prop_map(Step::Delete),
        12 => report,
        1 => (which.clone(), 0u64..130).prop_map(|(node, seconds)| Step::Interrupt(node, seconds)),
        2 => leave.prop_map(|(node, reason, end_reason)| Step::Leave(node, reason, end_reason)),
        1 => (which.clone(), 0usize..12).prop_map(|(job, end_reason)| Step::EndAttempt(job, end_reason)),
        1 => which.clone().prop_map(Step::Remove),
        1 => which.clone().prop_map(Step::RemovalFailed),
        2 => (1u32..4).prop_map(Step::Launch),
        2 => which.clone().prop_map(Step::Answer),
        3 => which.prop_map(Step::SignIn),
        4 => Just(Step::Dispatch),
        2 => Just(Step::Capacity),
        2 => proptest::option::of(0usize..6).prop_map(Step::Recover),
        1 => (0u32..5).prop_map(Step::Resize),
        1 => proptest::bool::weighted(0.2).prop_map(delete_or_dispatch),
        2 => (1u64..400).prop_map(Step::Wait),
    ]
}

fn delete_or_dispatch(delete: bool) -> Step {
    if delete { Step::DeleteCluster } else { Step::Dispatch }
}

fn phase() -> impl Strategy<Value = NodePhase> {
    prop_oneof![
        2 => Just(NodePhase::Preparing),
        8 => Just(NodePhase::Ready),
        1 => Just(NodePhase::Failed { problem: problem() }),
        1 => Just(NodePhase::Left),
    ]
}

fn progress() -> impl Strategy<Value = Progress> {
    prop_oneof![
        Just(Progress::Prepared),
        Just(Progress::Running),
        prop_oneof![
            Just(End::Exited { exit_code: 0 }),
            Just(End::Exited { exit_code: 1 }),
            Just(End::PreparationFailed { exit_code: 1 }),
            Just(End::NotProvided { problem: problem() }),
            Just(End::NodeFailed { problem: problem() }),
            Just(End::WallClockExceeded),
            Just(End::Stopped),
            Just(End::Interrupted),
            Just(End::Lost { reason: "r".into() }),
        ]
        .prop_map(has_ended),
    ]
}

fn notice() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![9 => Just(None), 1 => (0u64..130).prop_map(Some)]
}

fn reason() -> impl Strategy<Value = LeaveReason> {
    prop_oneof![
        Just(LeaveReason::Shrink),
        Just(LeaveReason::ShrinkWhenDone),
        Just(LeaveReason::AtRisk),
        Just(LeaveReason::Interrupted),
        Just(LeaveReason::Lost),
        Just(LeaveReason::TooSlow),
        Just(LeaveReason::ClusterDeleted),
    ]
}
