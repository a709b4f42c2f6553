//! Short descriptions of writes and answers, for the trace.

use crate::trace::{key, short};
use crate::watch::Record;
use model::{Cluster, Job, JobState, Node, NodeState, Operation};
use protocol::{Desired, Progress, SyncRequest};
use table::{Write, WriteKind};

pub fn write(write: &Write) -> Option<String> {
    let item = key(&write.key);
    let sk = write.key.sk.as_str();
    Some(match &write.kind {
        WriteKind::Check => return None,
        WriteKind::Delete => format!("-{item}"),
        WriteKind::Add(more) => format!("{item}{more:+}"),
        WriteKind::SetSeenAt(_) => format!("{item} seen"),
        WriteKind::Put { .. } if sk.starts_with("node#") => {
            format!(
                "{item} = {}",
                Record::<Node>::put(&write.kind).map_or_else(String::new, |it| node(&it))
            )
        }
        WriteKind::Put { .. } if sk.starts_with("job#") => {
            format!(
                "{item} = {}",
                Record::<Job>::put(&write.kind).map_or_else(String::new, |it| job(&it))
            )
        }
        WriteKind::Put { .. } if sk.starts_with("cluster#") => {
            let text =
                Record::<Cluster>::put(&write.kind).map_or_else(String::new, |it| cluster(&it));
            format!("{item} = {text}")
        }
        WriteKind::Put { .. } if sk == "op" => {
            let state = Record::<Operation>::put(&write.kind).map(|it| format!("{:?}", it.state));
            format!("{item} = {}", state.unwrap_or_default().split(' ').next().unwrap_or_default())
        }
        WriteKind::Put { .. } => format!("+{item}"),
    })
}

fn node(node: &Node) -> String {
    let attempt = node.attempt().map(|it| format!(" {}#{}", it.job.name, it.number));
    let reason = if let NodeState::Leaving { reason, .. } = &node.state {
        format!(" {reason:?}")
    } else {
        String::new()
    };
    format!("{}{}{reason}", node.state.name(), attempt.unwrap_or_default())
}

fn job(job: &Job) -> String {
    let attempt = job.state.attempt().map(|it| {
        let members: Vec<String> = it
            .members
            .iter()
            .map(|member| format!("{}:{:?}", member.node, member.progress))
            .collect();
        format!(" #{} {:?} {members:?}", it.number, it.phase)
    });
    let last = job
        .attempts
        .last()
        .and_then(|it| it.ended.as_ref())
        .map(|it| format!("{:?}", it.end_reason));
    let ended = if let JobState::Failed { exit_code, error, .. } = &job.state {
        format!(" {exit_code:?} {}", error.code)
    } else {
        String::new()
    };
    format!(
        "{}{ended}{} last {} deletion {}",
        job.state.name(),
        attempt.unwrap_or_default(),
        last.unwrap_or_default(),
        job.deletion.is_some()
    )
}

fn cluster(it: &Cluster) -> String {
    format!(
        "{:?} planned {} resizing {} scheduled {} failures {} deleting {}",
        it.scale,
        it.planned_nodes,
        it.allocation.resizing,
        it.scheduled,
        it.health.failures,
        it.is_deleting()
    )
}

pub fn request(request: &SyncRequest) -> String {
    let attempt = request.attempt.as_ref().map(|it| {
        let progress = match &it.progress {
            Progress::Ended { end } => format!("{end:?}"),
            other => format!("{other:?}"),
        };
        format!(" {}#{} {progress}", it.key.job_name, it.key.number)
    });
    let notice = request.interruption_notice_seconds.map(|it| format!(" notice {it}"));
    let phase = format!("{:?}", request.phase);
    let phase = phase.split(' ').next().unwrap_or_default().to_owned();
    phase + &attempt.unwrap_or_default() + &notice.unwrap_or_default()
}

pub fn desired(desired: &Desired) -> String {
    match desired {
        Desired::Run { key, start, assignment } => {
            let with = if assignment.is_some() { " with assignment" } else { "" };
            format!("run {}#{} start {start}{with}", key.job_name, key.number)
        }
        Desired::Stop { key, grace_seconds } => {
            format!("stop {}#{} within {grace_seconds}", key.job_name, key.number)
        }
        Desired::Prepare { .. } => "prepare".to_owned(),
        other => short(&format!("{other:?}")),
    }
}

pub fn target(target: &model::Target) -> String {
    use model::Target;
    match target {
        Target::Cluster { cluster } => format!("cluster {}", cluster.name),
        Target::FileServer { name, .. } => format!("file server {name}"),
        Target::RemovedFileServer { uid, .. } => format!("removed file server {uid}"),
        Target::Experiment { name, .. } => format!("experiment {name}"),
        Target::Workspace { name, .. } => format!("workspace {name}"),
        Target::ResourceGroup { name, .. } => format!("group {name}"),
    }
}
