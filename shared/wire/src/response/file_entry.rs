//! Entries of `listOutputFiles` and `listRemoteLoginInformation` (docs/contract.md, "Output files"
//! and "Remote login").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts;
use model::{GpuMetrics, Node, NodeId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// `File` of the contract. A directory has neither a link nor properties.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "File")]
pub struct FileEntry {
    pub name: String,
    #[schemars(extend("enum" = ["file", "directory"]))]
    pub file_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<FileProperties>,
}

/// `FileProperties` of the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileProperties {
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub last_modified: Timestamp,
    /// Bytes.
    pub content_length: u64,
}

impl FileEntry {
    /// The entry of a directory.
    pub fn directory(name: String) -> Self {
        Self { name, file_type: "directory", download_url: None, properties: None }
    }

    /// Listings show whole seconds.
    pub fn file(
        name: String,
        download_url: String,
        last_modified: Timestamp,
        content_length: u64,
    ) -> Self {
        let last_modified = last_modified.to_whole_seconds();
        Self {
            name,
            file_type: "file",
            download_url: Some(download_url),
            properties: Some(FileProperties { last_modified, content_length }),
        }
    }
}

/// Where a file is to be uploaded. An addition to the contract.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileUpload {
    /// As in the request.
    pub path: String,
    /// Needs no token.
    pub upload_url: String,
}

/// `RemoteLoginInformation` of the contract: where SSH reaches a node.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RemoteLoginInformation")]
pub struct RemoteLogin {
    pub node_id: NodeId,
    pub ip_address: String,
    pub port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<NodeExtensions>,
}

/// What the agent of the node measured last, where it did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeExtensions {
    /// When the agent last reported.
    #[serde(serialize_with = "parts::instant")]
    #[schemars(schema_with = "parts::date_time")]
    pub last_seen_time: Timestamp,
    /// The load average of the last minute.
    pub load: f64,
    /// Memory that is not available for further processes, in MiB.
    pub memory_used_mib: u32,
    /// Memory of the machine, in MiB.
    pub memory_total_mib: u32,
    /// The GPUs of the node, in the order of `nvidia-smi`.
    pub gpus: Vec<GpuEntry>,
}

/// What the driver of a GPU measures.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "GpuMetrics")]
pub struct GpuEntry {
    /// Percent of the time in which the GPU was busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<u32>,
    /// Memory in use, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used_mib: Option<u32>,
    /// Memory of the GPU, in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_mib: Option<u32>,
}

impl RemoteLogin {
    /// The entry of a node; none until its agent accepts logins.
    pub fn of(node: &Node) -> Option<Self> {
        Some(Self {
            node_id: node.id.clone(),
            ip_address: node.instance()?.address.clone(),
            port: node.login_port?,
            extensions: NodeExtensions::of(node),
        })
    }
}

impl NodeExtensions {
    /// What the agent of a node measured last; none before its first report.
    pub(super) fn of(node: &Node) -> Option<Self> {
        let metrics = node.metrics.as_ref()?;
        let gpu = |gpu: &GpuMetrics| GpuEntry {
            utilization_percent: gpu.utilization_percent,
            memory_used_mib: gpu.memory_used_mib,
            memory_total_mib: gpu.memory_total_mib,
        };
        Some(Self {
            last_seen_time: node.seen_at,
            load: f64::from(metrics.load_percent) / 100.0,
            memory_used_mib: metrics.memory_used_mib,
            memory_total_mib: metrics.memory_total_mib,
            gpus: metrics.gpus.iter().map(gpu).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, instance, node, pretty};
    use crate::list;
    use model::{NodeMetrics, NodeState};

    #[test]
    fn files() {
        let entries = vec![
            FileEntry::directory("checkpoints".to_owned()),
            FileEntry::file("stdout.txt".to_owned(), "http://x/y?sig=z".to_owned(), at(0), 3),
        ];
        insta::assert_snapshot!(pretty(&list(entries, None)), @r#"
        {
          "value": [
            {
              "name": "checkpoints",
              "fileType": "directory"
            },
            {
              "name": "stdout.txt",
              "fileType": "file",
              "downloadUrl": "http://x/y?sig=z",
              "properties": {
                "lastModified": "2018-06-06T20:46:53Z",
                "contentLength": 3
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn remote_logins_show_what_was_measured() {
        let idle = NodeState::Idle { instance: instance(), since: at(0) };
        let silent = Node { login_port: Some(50_000), ..node(1, idle) };
        let measured = |utilization_percent| GpuMetrics {
            utilization_percent,
            memory_used_mib: Some(12_345),
            memory_total_mib: Some(81_559),
        };
        let metrics = NodeMetrics {
            load_percent: 125,
            memory_used_mib: 4111,
            memory_total_mib: 24_111,
            gpus: vec![measured(Some(87)), measured(None)],
        };
        let node = Node { metrics: Some(metrics), seen_at: at(8), ..silent.clone() };
        let entries = [&silent, &node].map(|node| RemoteLogin::of(node).unwrap());
        insta::assert_snapshot!(pretty(&list(entries.to_vec(), None)), @r#"
        {
          "value": [
            {
              "nodeId": "tvm-0101010101014101",
              "ipAddress": "10.0.0.4",
              "port": 50000
            },
            {
              "nodeId": "tvm-0101010101014101",
              "ipAddress": "10.0.0.4",
              "port": 50000,
              "extensions": {
                "lastSeenTime": "2018-06-06T20:47:01.03Z",
                "load": 1.25,
                "memoryUsedMib": 4111,
                "memoryTotalMib": 24111,
                "gpus": [
                  {
                    "utilizationPercent": 87,
                    "memoryUsedMib": 12345,
                    "memoryTotalMib": 81559
                  },
                  {
                    "memoryUsedMib": 12345,
                    "memoryTotalMib": 81559
                  }
                ]
              }
            }
          ]
        }
        "#);
        assert!(RemoteLogin::of(&Node { login_port: None, ..silent }).is_none());
    }
}
