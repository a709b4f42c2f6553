//! Entries of `listOutputFiles` and `listRemoteLoginInformation` (docs/contract.md, "Output files"
//! and "Remote login").

#![expect(missing_docs, reason = "fields of bodies are those of the contract's definitions")]

use super::parts;
use model::{NodeId, Timestamp};
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, pretty, uid};
    use crate::list;

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
    fn remote_login() {
        let entry = RemoteLogin {
            node_id: NodeId::new(&uid(1), true),
            ip_address: "203.0.113.7".to_owned(),
            port: 50_000,
        };
        insta::assert_snapshot!(pretty(&list(vec![entry], None)), @r#"
        {
          "value": [
            {
              "nodeId": "tvm-0101010101014101-p",
              "ipAddress": "203.0.113.7",
              "port": 50000
            }
          ]
        }
        "#);
    }
}
