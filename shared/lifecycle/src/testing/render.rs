//! Changes as short lines. Times are seconds after the builders' `NOW`, as `@60`; ids are the
//! names they were made from.

use super::{NOW, uid};
use crate::{Change, Event};
use model::{
    Attempt, AttemptPhase, AttemptRef, Backoff, Claim, Cluster, EndReason, EndedNodes, FileServer,
    FileServerState, Job, JobState, Launch, Lifecycle, MemberProgress, Node, NodeId, NodeState,
    Operation, OperationState, ResourceError, Target, Timestamp,
};
use std::fmt::Debug;
use table::{Body, Condition, Item, Write, WriteKind};

pub fn outcome<T: Debug>(value: &T, change: &Change) -> String {
    let mut lines = Vec::new();
    let value = format!("{value:?}");
    if value != "()" {
        lines.push(format!("answers {value}"));
    }
    lines.extend(change.writes.clone().into_vec().iter().map(write));
    for (function, target) in &change.hints {
        lines.push(format!("hint {function:?} {}", target.uid()));
    }
    if !change.notify.is_empty() {
        lines.push(format!("notify {}", list(&change.notify)));
    }
    for request in &change.launches {
        let sizes = std::iter::once(&request.vm_size).chain(&request.alternate_vm_sizes);
        let sizes: Vec<&str> = sizes.map(String::as_str).collect();
        let (launch, nodes) = (&request.launch, list(&request.nodes));
        let (cluster, priority) = (&request.cluster.name, request.priority);
        lines.push(format!("launch {launch} for {cluster}: {nodes} as {sizes:?} {priority:?}"));
    }
    lines.extend(change.events.iter().map(event));
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    readable(&lines.join("\n"))
}

/// Records and operations, one line each.
pub fn items(items: &[Item]) -> String {
    let known = |item: &&Item| !described(&item.body).is_empty();
    let line = |item: &Item| format!("{}{}", place(&item.key), described(&item.body));
    let mut lines: Vec<String> = items.iter().filter(known).map(line).collect();
    lines.sort_unstable();
    readable(&lines.join("\n"))
}

/// Replaces ids by the names from which tests made them.
fn readable(text: &str) -> String {
    let mut text = text.to_owned();
    for name in ["a", "b", "c", "d", "w", "x", "l", "g", "s", "first", "second", "op", "e"] {
        text = text.replace(uid(name).as_str(), name);
    }
    text.replace("Uid(\"", "").replace("\")", "")
}

fn write(write: &Write) -> String {
    let place = place(&write.key);
    match (&write.kind, &write.condition) {
        (WriteKind::Put { body, .. }, condition) => {
            let verb = match condition {
                Condition::Absent => "create",
                Condition::Unchanged { .. } => "replace",
                Condition::Always => "put",
                other => panic!("a put under {other:?}"),
            };
            format!("{verb} {place}{}", described(body))
        }
        (WriteKind::Delete, Condition::Always) => format!("delete {place}"),
        (WriteKind::Delete, Condition::Present) => format!("delete {place}, which exists"),
        (WriteKind::Delete, Condition::Unchanged { .. }) => format!("remove {place}"),
        (WriteKind::Add(more), condition) => format!("count {place} {more:+} if {condition:?}"),
        (WriteKind::SetSeenAt(time), _) => format!("seen {place} {}", at(Timestamp(*time))),
        (kind, condition) => format!("{kind:?} {place} {condition:?}").to_lowercase(),
    }
}

fn place(key: &table::Key) -> String {
    match key.sk.split('#').collect::<Vec<_>>().as_slice() {
        ["queue", rank, _, job] => format!("queue {rank} {job}"),
        ["ended", _, id] => format!("ended {id}"),
        ["op"] | ["node"] => key.pk.replacen("op#", "operation ", 1).replacen('#', " ", 1),
        parts => parts.join(" "),
    }
}

fn described(body: &Body) -> String {
    let state = body.read::<Job>().map(|it| job(&it));
    let state = state.or_else(|_| body.read::<Node>().map(|it| node(&it)));
    let state = state.or_else(|_| body.read::<Cluster>().map(|it| cluster(&it)));
    let state = state.or_else(|_| body.read::<Launch>().map(|it| launch(&it)));
    let state = state.or_else(|_| body.read::<EndedNodes>().map(|it| ended(&it)));
    let state = state.or_else(|_| body.read::<Operation>().map(|it| operation(&it)));
    let state = state.or_else(|_| body.read::<FileServer>().map(|it| file_server(&it)));
    if let Ok(Target::RemovedFileServer { not_before, .. }) = body.read() {
        return format!(": a removed file server, from {}", at(not_before));
    }
    state.map_or_else(|_| String::new(), |state| format!(": {state}"))
}

fn ended(ended: &EndedNodes) -> String {
    let ready = ended.ready_at.map_or_else(|| "never".to_owned(), at);
    let code = ended.end.error_code().map_or(String::new(), |code| format!(" {code}"));
    let (created, name) = (at(ended.created_at), ended.end.name());
    format!("{name}{code}: {} requested {created} ready {ready}", list(&ended.ids))
}

fn file_server(server: &FileServer) -> String {
    match &server.state {
        FileServerState::Creating { operation, since } => {
            format!("creating for {operation} {}", at(*since))
        }
        FileServerState::Ready { since } => format!("ready {}", at(*since)),
        FileServerState::Failed { since } => format!("failed {}", at(*since)),
        FileServerState::Deleting { operation, since } => {
            format!("deleting for {operation} {}", at(*since))
        }
    }
}

fn job(job: &Job) -> String {
    let mut text = match &job.state {
        JobState::Queued { since } => format!("queued {}", at(*since)),
        JobState::Running { attempt: it } => format!("running {}", attempt(it)),
        JobState::Terminating { since, attempt: it, operation } => {
            let operation = operation.as_ref().map_or("-", |operation| operation.as_str());
            format!("terminating {} for {operation} {}", at(*since), attempt(it))
        }
        JobState::Succeeded { started_at, ended_at } => {
            format!("succeeded {}-{}", at(*started_at), at(*ended_at))
        }
        JobState::Failed { started_at, ended_at, exit_code, error } => {
            let code = exit_code.map_or(String::new(), |code| format!(" with {code}"));
            format!("failed{code} {} {}-{}", error.code, at(*started_at), at(*ended_at))
        }
    };
    for record in &job.attempts {
        let end = record
            .ended
            .as_ref()
            .map(|end| format!("{} {}", end_reason(&end.end_reason), at(end.at)));
        text +=
            &format!("; #{} {} {}", record.number, list(&record.nodes), end.unwrap_or_default());
    }
    if let Some(deletion) = &job.deletion {
        text += &format!("; deleted by {} {}", deletion.operation, at(deletion.since));
    }
    text
}

fn launch(launch: &Launch) -> String {
    let claim = |(node, claim): (&NodeId, &Claim)| match claim {
        Claim::Waiting => node.to_string(),
        Claim::Bound { instance } => format!("{node}={instance}"),
        Claim::Withdrawn => format!("{node}-"),
    };
    let claims = launch.request.nodes.iter().zip(&launch.claims).map(claim);
    claims.collect::<Vec<_>>().join(" ")
}

fn attempt(attempt: &Attempt) -> String {
    let member = |member: &model::Member| match member.progress {
        MemberProgress::Assigned => member.node.to_string(),
        MemberProgress::Prepared => format!("{}+", member.node),
        MemberProgress::Ended => format!("{}-", member.node),
        MemberProgress::Succeeded => format!("{}=", member.node),
    };
    let members: Vec<String> = attempt.members.iter().map(member).collect();
    let phase = match &attempt.phase {
        AttemptPhase::Preparing => "preparing".to_owned(),
        AttemptPhase::Running => "runs".to_owned(),
        AttemptPhase::Ending { end_reason: reason, since, grace_seconds } => {
            format!("ending {} {} in {grace_seconds} s", end_reason(reason), at(*since))
        }
    };
    format!("#{} on {} ({phase})", attempt.number, members.join(" "))
}

fn end_reason(end_reason: &EndReason) -> String {
    match end_reason {
        EndReason::Exited { exit_code } => format!("Exited {exit_code}"),
        EndReason::PreparationFailed { exit_code } => format!("PreparationFailed {exit_code}"),
        EndReason::NotProvided { error } => format!("NotProvided {}", error.code),
        EndReason::NodeFailed { node, error } => format!("NodeFailed {node} {}", error.code),
        EndReason::WallClockExceeded => "WallClockExceeded".to_owned(),
        EndReason::Terminated => "Terminated".to_owned(),
        EndReason::StoppedEarly { reason } => format!("StoppedEarly ({reason})"),
        EndReason::ClusterDeleted => "ClusterDeleted".to_owned(),
        EndReason::DeallocatedTerminate { node } => format!("DeallocatedTerminate {node}"),
        EndReason::DeallocatedRequeue { node } => format!("DeallocatedRequeue {node}"),
        EndReason::Interrupted { node } => format!("Interrupted {node}"),
        EndReason::NodeLost { node, reason } => format!("NodeLost {node} ({reason})"),
    }
}

fn node(node: &Node) -> String {
    let state = match &node.state {
        NodeState::Launching { deadline } => format!("launching by {}", at(*deadline)),
        NodeState::Preparing { instance, deadline } => {
            format!("preparing {} by {}", instance.id, at(*deadline))
        }
        NodeState::Idle { since, .. } => format!("idle {}", at(*since)),
        NodeState::Running { attempt, since, ends_by, .. } => {
            format!("runs {} {} to {}", run(attempt), at(*since), at(*ends_by))
        }
        NodeState::Leaving { attempt, reason, deadline, .. } => {
            let attempt = attempt.as_ref().map_or(String::new(), |it| format!(" with {}", run(it)));
            format!("leaving {reason:?} by {}{attempt}", at(*deadline))
        }
        NodeState::Unusable { since, error, .. } => {
            format!("unusable {} {}", error_text(error), at(*since))
        }
    };
    format!("{state}{}", backoff("removal", &node.removal))
}

fn cluster(cluster: &Cluster) -> String {
    let mut text = format!("planned {}", cluster.planned_nodes);
    text += if cluster.allocation.resizing { ", resizing " } else { ", steady " };
    text += &at(cluster.allocation.since);
    text += if cluster.scheduled { "" } else { ", dormant" };
    text += &backoff("launch", &cluster.health);
    let errors: Vec<String> = cluster.errors.iter().map(error_text).collect();
    if !errors.is_empty() {
        text += &format!(", errors {}", errors.join(" "));
    }
    if let Lifecycle::Deleting { operation, since } = &cluster.state {
        text += &format!(", deleted by {operation} {}", at(*since));
    }
    text
}

fn error_text(error: &ResourceError) -> String {
    let details: Vec<&str> = error.details.iter().map(|(_, value)| value.as_str()).collect();
    format!("{}[{}]", error.code, details.join(","))
}

fn backoff(what: &str, backoff: &Backoff) -> String {
    match backoff.failures {
        0 => String::new(),
        failures => format!(", {what} failed {failures}x, not before {}", at(backoff.not_before)),
    }
}

fn operation(operation: &Operation) -> String {
    let state = match &operation.state {
        OperationState::InProgress => "in progress".to_owned(),
        OperationState::Succeeded { ended_at } => format!("succeeded {}", at(*ended_at)),
        OperationState::Failed { ended_at, error } => {
            format!("failed {} {}", error.code, at(*ended_at))
        }
    };
    format!("{} of {} {state}", at(operation.started_at), operation.resource)
}

fn event(event: &Event) -> String {
    match event {
        Event::JobStarted { attempt, nodes, waited: _ } => {
            format!("log started {} {}", run(attempt), list(nodes))
        }
        Event::AttemptEnding { attempt, end_reason: reason } => {
            format!("log ending {} {}", run(attempt), end_reason(reason))
        }
        Event::MemberEnded { attempt, node } => format!("log member ended {} {node}", run(attempt)),
        Event::JobEnded { attempt, state } => format!("log attempt ended {} {state}", run(attempt)),
        Event::Launching { cluster, launch, count } => {
            format!("log launch {cluster} {launch} {count}")
        }
        Event::NodeIdle { node } => format!("log idle {node}"),
        Event::NodeFailed { node, error } => format!("log failed {node} {}", error_text(error)),
        Event::RebalanceRecommended { node } => format!("log rebalance recommended {node}"),
        Event::NodeLeaving { node, reason } => format!("log leaving {node} {reason:?}"),
        Event::NodeRemoved { node } => format!("log removed {node}"),
        Event::ClusterDeleted { cluster } => format!("log deleted {cluster}"),
    }
}

fn run(attempt: &AttemptRef) -> String {
    format!("{}#{}", attempt.job.name, attempt.number)
}

fn list<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    nodes.into_iter().map(NodeId::as_str).collect::<Vec<_>>().join(" ")
}

fn at(time: Timestamp) -> String {
    format!("@{}", (time.0 - NOW.0) / 1000)
}
