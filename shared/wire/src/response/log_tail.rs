//! The end of the output of a job whose files the service cannot read, an addition to the contract (docs/api.md, "Ends of
//! output").

#![expect(missing_docs, reason = "docs/api.md describes the fields")]

use super::parts;
use model::{LogPart, LogTail, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// The end of one output file of one node.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LogTail")]
pub struct LogTailBody {
    pub name: String,
    pub node_id: NodeId,
    pub is_master: bool,
    pub attempt: u32,
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub time: Timestamp,
    pub content_length: u64,
    pub text: String,
}

/// One entry for each file, those of the master first.
pub fn log_tails(tails: &[LogTail]) -> Vec<LogTailBody> {
    let of_part = |part: LogPart| tails.iter().filter(move |tail| tail.part == part);
    LogPart::ALL.into_iter().flat_map(of_part).flat_map(of_node).collect()
}

fn of_node(tail: &LogTail) -> impl Iterator<Item = LogTailBody> {
    tail.files.iter().map(|file| LogTailBody {
        name: file.name.clone(),
        node_id: tail.node.clone(),
        is_master: tail.part == LogPart::Master,
        attempt: tail.attempt,
        time: tail.at,
        content_length: file.length,
        text: file.text.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{JobRef, OutputTail, Uid};
    use serde_json::json;

    #[test]
    fn each_file_is_an_entry() {
        let tail = |part, node, name: &str| LogTail {
            job: JobRef {
                experiment: Uid::from_bytes([1; 16]),
                name: "j".into(),
                uid: Uid::from_bytes([2; 16]),
            },
            attempt: 2,
            node: NodeId::parse(node).unwrap(),
            part,
            at: Timestamp(0),
            files: vec![OutputTail { name: name.to_owned(), text: "t\n".to_owned(), length: 9 }],
        };
        let tails = [
            tail(LogPart::FailedMember, "n1", "stderr.txt"),
            tail(LogPart::Master, "n0", "stdout.txt"),
        ];
        let entry = |name: &str, node: &str, is_master: bool| {
            json!({ "name": name, "nodeId": node, "isMaster": is_master, "attempt": 2,
                "time": "1970-01-01T00:00:00Z", "contentLength": 9, "text": "t\n" })
        };
        let expected = [entry("stdout.txt", "n0", true), entry("stderr.txt", "n1", false)];
        assert_eq!(serde_json::to_value(log_tails(&tails)).unwrap(), json!(expected));
    }
}
