//! Lines of the execution log about signals and ends.

use protocol::End;

use super::Outcome;
use crate::system::run_control::StopCause;
use crate::system::watchdog::Signal;

pub fn describe(signal: Signal, cause: StopCause, what: &str) -> String {
    let signal = match signal {
        Signal::Terminate => "SIGTERM",
        Signal::Kill => "SIGKILL",
    };
    let reason = match cause {
        StopCause::Stopped => "it was asked to stop",
        StopCause::Interrupted => "this machine is being interrupted",
        StopCause::WallClockExceeded => "it ran longer than maxWallClockTime allows",
        StopCause::Fenced => "the job no longer has this node",
    };
    format!("Sending {signal} to every process of the {what}: {reason}")
}

pub fn summary(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Dropped => "the job no longer has this node".into(),
        Outcome::Ended(End::Exited { exit_code }) => format!("exit code {exit_code}"),
        Outcome::Ended(End::PreparationFailed { exit_code }) => {
            format!("the job preparation failed with exit code {exit_code}")
        }
        Outcome::Ended(End::NotProvided { problem } | End::NodeFailed { problem }) => {
            let reasons = problem.details.iter().map(|(_, value)| format!(": {value}"));
            format!("{}{}", problem.message, reasons.collect::<String>())
        }
        Outcome::Ended(End::WallClockExceeded) => "it ran for too long".into(),
        Outcome::Ended(End::Stopped) => "stopped".into(),
        Outcome::Ended(End::Interrupted) => "interrupted".into(),
        Outcome::Ended(End::Lost { reason }) => format!("lost, {reason}"),
    }
}
