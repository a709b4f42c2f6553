//! From what is desired to steps: a pure function of the situation of the node.
//!
//! Acknowledgement: an attempt that was reported as ended and is not in the response can be forgotten. Fencing: an
//! attempt that runs and is not in the response no longer belongs here; it is killed at once and not reported.

use protocol::{Assignment, AttemptKey, Desired, NodeSetup};

/// The node as it was reported in the request of this response.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub setup: Setup,
    pub attempt: Option<(&'a AttemptKey, AttemptPhase)>,
    /// The attempt was started by an earlier agent process and needs its assignment to continue.
    pub needs_assignment: bool,
    pub departing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    NotBegun,
    Busy,
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptPhase {
    Live,
    /// Being killed without a report.
    Fenced,
    /// Reported as ended.
    Ended,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    BeginSetup(Box<NodeSetup>),
    Begin {
        assignment: Box<Assignment>,
        start: bool,
    },
    /// The current attempt can continue.
    Supply(Box<Assignment>),
    /// The gang is complete.
    Start,
    Stop {
        grace_seconds: u64,
    },
    Fence,
    Forget,
    /// Report an attempt that never ran here as stopped.
    ReportStopped(AttemptKey),
    Leave {
        grace_seconds: u64,
    },
}

pub fn plan(situation: Situation<'_>, desired: Desired) -> Vec<Step> {
    let mut steps = Vec::new();
    let mentioned = match &desired {
        Desired::Run { key, .. } | Desired::Stop { key, .. } => Some(key),
        Desired::Prepare { .. } | Desired::Idle | Desired::Leave { .. } => None,
    };
    // When the node is to leave, the attempt is stopped with the grace period, not fenced.
    let leaves = matches!(desired, Desired::Leave { .. });
    let mut current = situation.attempt;
    if let Some((key, phase)) = situation.attempt
        && mentioned != Some(key)
    {
        match phase {
            AttemptPhase::Ended => {
                steps.push(Step::Forget);
                current = None;
            }
            AttemptPhase::Live if !leaves => steps.push(Step::Fence),
            AttemptPhase::Live | AttemptPhase::Fenced => {}
        }
    }
    if situation.departing {
        return steps;
    }
    let same = current.is_some_and(|(key, _)| mentioned == Some(key));
    let live = same && current.is_some_and(|(_, phase)| phase == AttemptPhase::Live);
    match desired {
        Desired::Prepare { setup } if situation.setup == Setup::NotBegun => {
            steps.push(Step::BeginSetup(setup));
        }
        Desired::Prepare { .. } | Desired::Idle => {}
        Desired::Run { start, assignment, .. } if live => {
            steps.extend(assignment.filter(|_| situation.needs_assignment).map(Step::Supply));
            if start {
                steps.push(Step::Start);
            }
        }
        Desired::Run { key, start, assignment: Some(assignment) }
            if current.is_none() && situation.setup == Setup::Done && assignment.key == key =>
        {
            steps.push(Step::Begin { assignment, start });
        }
        // Already here, or sent again when the current attempt has ended.
        Desired::Run { .. } => {}
        Desired::Stop { grace_seconds, .. } if live => steps.push(Step::Stop { grace_seconds }),
        Desired::Stop { key, .. } if current.is_none() => steps.push(Step::ReportStopped(key)),
        Desired::Stop { .. } => {}
        Desired::Leave { grace_seconds } => steps.push(Step::Leave { grace_seconds }),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> AttemptKey {
        AttemptKey {
            experiment_uid: "e".into(),
            job_name: name.into(),
            job_uid: name.into(),
            number: 1,
        }
    }

    fn run(name: &str, start: bool, with_assignment: bool) -> Desired {
        let assignment = with_assignment.then(|| Box::new(assignment(name)));
        Desired::Run { key: key(name), start, assignment }
    }

    fn assignment(name: &str) -> Assignment {
        let text = serde_json::json!({
            "key": key(name), "nodeId": "n", "workspace": "w", "experiment": "e", "job": name,
            "hosts": ["127.0.0.1"], "rank": 0, "outputPathSegment": "s",
            "stdOutErrPathPrefix": "/p", "commandLine": "true", "mounts": [],
            "inputDirectories": [], "outputDirectories": [], "environment": [], "secrets": [],
            "maxWallClockSeconds": 1, "stopGraceSeconds": 1
        });
        serde_json::from_value(text).unwrap()
    }

    fn stop(name: &str) -> Desired {
        Desired::Stop { key: key(name), grace_seconds: 7 }
    }

    /// The steps of a node that is set up and has `attempt`, in one word each.
    fn check(attempt: Option<(&str, AttemptPhase)>, desired: Desired, expected: &[&str]) {
        let key = attempt.map(|(name, _)| key(name));
        let attempt = key.as_ref().zip(attempt).map(|(key, (_, phase))| (key, phase));
        assert_eq!(words(&plan(situation(Setup::Done, attempt), desired)), expected);
    }

    fn situation<'a>(
        setup: Setup,
        attempt: Option<(&'a AttemptKey, AttemptPhase)>,
    ) -> Situation<'a> {
        Situation { setup, attempt, needs_assignment: false, departing: false }
    }

    fn words(steps: &[Step]) -> Vec<String> {
        let word = |step: &Step| match step {
            Step::BeginSetup(_) => "setup".into(),
            Step::Begin { assignment, start } => format!("begin {} {start}", assignment.job),
            Step::Supply(assignment) => format!("supply {}", assignment.job),
            Step::Start => "start".into(),
            Step::Stop { grace_seconds } => format!("stop {grace_seconds}"),
            Step::Fence => "fence".into(),
            Step::Forget => "forget".into(),
            Step::ReportStopped(key) => format!("stopped {}", key.job_name),
            Step::Leave { grace_seconds } => format!("leave {grace_seconds}"),
        };
        steps.iter().map(word).collect()
    }

    #[test]
    fn an_assignment_begins_once() {
        check(None, run("a", true, true), &["begin a true"]);
        check(None, run("a", false, true), &["begin a false"]);
        check(None, run("a", true, false), &[]);
        check(Some(("a", AttemptPhase::Live)), run("a", false, true), &[]);
        check(Some(("a", AttemptPhase::Live)), run("a", true, false), &["start"]);
        check(Some(("a", AttemptPhase::Ended)), run("a", true, false), &[]);
    }

    #[test]
    fn only_what_cannot_go_on_without_its_assignment_is_handed_it_again() {
        let key = key("a");
        let steps = |phase, start| {
            let attempt = Some((&key, phase));
            let needy = Situation { needs_assignment: true, ..situation(Setup::Done, attempt) };
            words(&plan(needy, run("a", start, true)))
        };
        assert_eq!(steps(AttemptPhase::Live, false), ["supply a"]);
        assert_eq!(steps(AttemptPhase::Live, true), ["supply a", "start"]);
        assert_eq!(steps(AttemptPhase::Ended, true), Vec::<String>::new());
        check(Some(("a", AttemptPhase::Live)), run("a", true, true), &["start"]);
    }

    #[test]
    fn not_mentioned_means_acknowledged_or_fenced() {
        check(Some(("a", AttemptPhase::Ended)), Desired::Idle, &["forget"]);
        check(Some(("a", AttemptPhase::Live)), Desired::Idle, &["fence"]);
        check(Some(("a", AttemptPhase::Fenced)), Desired::Idle, &[]);
        check(Some(("a", AttemptPhase::Ended)), run("b", true, true), &["forget", "begin b true"]);
        check(Some(("a", AttemptPhase::Live)), run("b", true, true), &["fence"]);
        check(Some(("a", AttemptPhase::Fenced)), run("b", true, true), &[]);
    }

    #[test]
    fn a_stop_is_answered_whether_or_not_the_attempt_was_here() {
        check(Some(("a", AttemptPhase::Live)), stop("a"), &["stop 7"]);
        check(Some(("a", AttemptPhase::Ended)), stop("a"), &[]);
        check(None, stop("a"), &["stopped a"]);
        check(Some(("b", AttemptPhase::Ended)), stop("a"), &["forget", "stopped a"]);
        check(Some(("b", AttemptPhase::Live)), stop("a"), &["fence"]);
    }

    #[test]
    fn leaving_stops_with_grace_and_cannot_be_taken_back() {
        let leave = || Desired::Leave { grace_seconds: 5 };
        check(Some(("a", AttemptPhase::Live)), leave(), &["leave 5"]);
        check(Some(("a", AttemptPhase::Ended)), leave(), &["forget", "leave 5"]);
        let key = key("a");
        let departing = |phase, desired| {
            let attempt = Some((&key, phase));
            let situation = Situation { departing: true, ..situation(Setup::Done, attempt) };
            words(&plan(situation, desired))
        };
        assert_eq!(departing(AttemptPhase::Live, leave()), Vec::<String>::new());
        // It may run elsewhere already: a node that is being interrupted is fenced like any other.
        assert_eq!(departing(AttemptPhase::Live, Desired::Idle), ["fence"]);
        assert_eq!(departing(AttemptPhase::Ended, run("b", true, true)), ["forget"]);
        assert_eq!(departing(AttemptPhase::Ended, leave()), ["forget"]);
    }

    #[test]
    fn setup_comes_first_and_once() {
        let prepare = || Desired::Prepare { setup: Box::default() };
        let steps = |setup, desired| words(&plan(situation(setup, None), desired));
        assert_eq!(steps(Setup::NotBegun, prepare()), ["setup"]);
        for setup in [Setup::Busy, Setup::Done, Setup::Failed] {
            assert_eq!(steps(setup, prepare()), Vec::<String>::new());
        }
        for setup in [Setup::NotBegun, Setup::Busy, Setup::Failed] {
            assert_eq!(steps(setup, run("a", true, true)), Vec::<String>::new());
        }
    }
}
