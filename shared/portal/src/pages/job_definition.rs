//! What a job was asked to do, read from the body of its resource: command lines, variables, directories, mounts. Also the
//! body of a request for another job like it.

use serde_json::{Map, Value};

/// What the page of a job shows of its definition.
#[derive(Debug, Default)]
pub(crate) struct Definition {
    /// Command lines and other settings of the toolkit, the preparation and the container.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) secrets: Vec<String>,
    pub(crate) inputs: Vec<(String, String)>,
    pub(crate) outputs: Vec<(String, String)>,
    /// Kind, path below the mount root, source.
    pub(crate) mounts: Vec<[String; 3]>,
}

/// The properties that a request for a job has; the others are answers of the service.
const REQUESTED: [&str; 12] = [
    "cluster",
    "schedulingPriority",
    "nodeCount",
    "containerSettings",
    "jobPreparation",
    "stdOutErrPathPrefix",
    "mountVolumes",
    "inputDirectories",
    "outputDirectories",
    "environmentVariables",
    "secrets",
    "constraints",
];
/// Not `sweep`: a copy is no run of the sweep, though it has the parameters of one as variables.
const REQUESTED_EXTENSIONS: [&str; 1] = ["maxRetries"];

/// The fields of a mount that are shown by themselves.
const MOUNT_PATH: &str = "relativeMountPath";

impl Definition {
    pub(crate) fn of(job: &Value) -> Self {
        let properties = &job["properties"];
        let pairs = |list: &str, name: &str, value: fn(&Value) -> String| -> Vec<_> {
            entries(&properties[list]).map(|entry| (text(&entry[name]), value(entry))).collect()
        };
        let path = |entry: &Value| match &entry["pathSuffix"] {
            Value::String(suffix) => format!("{}/…/{suffix}", text(&entry["pathPrefix"])),
            _ => text(&entry["pathPrefix"]),
        };
        Self {
            settings: settings(properties),
            variables: pairs("environmentVariables", "name", |entry| text(&entry["value"])),
            secrets: entries(&properties["secrets"]).map(|entry| text(&entry["name"])).collect(),
            inputs: pairs("inputDirectories", "id", |entry| text(&entry["path"])),
            outputs: pairs("outputDirectories", "id", path),
            mounts: mounts(&properties["mountVolumes"]),
        }
    }
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// A value as a person reads it: a text without quotes.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn settings(properties: &Value) -> Vec<(String, String)> {
    let mut found = vec![("Toolkit".to_owned(), text(&properties["toolType"]))];
    for (key, value) in properties.as_object().into_iter().flatten() {
        if is_toolkit(key) {
            leaves("", value, &mut found);
        }
    }
    leaves("Preparation:", &properties["jobPreparation"], &mut found);
    leaves("Container:", &properties["containerSettings"], &mut found);
    found.retain(|(_, value)| !value.is_empty());
    found
}

fn is_toolkit(key: &str) -> bool {
    key.ends_with("Settings") && key != "containerSettings"
}

/// All texts and numbers of a value, with their names in words.
fn leaves(prefix: &str, value: &Value, found: &mut Vec<(String, String)>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => leaves(prefix, value, found),
            value => {
                let name = words(key);
                let name = match prefix {
                    "" => name,
                    prefix => format!("{prefix} {}", name.to_lowercase()),
                };
                found.push((name, text(value)));
            }
        }
    }
}

/// "Command line" for `commandLine`.
fn words(key: &str) -> String {
    let mut words = String::new();
    for (at, letter) in key.chars().enumerate() {
        match letter.is_ascii_uppercase() {
            _ if at == 0 => words.extend(letter.to_uppercase()),
            true => words.extend([' ', letter.to_ascii_lowercase()]),
            false => words.push(letter),
        }
    }
    words
}

fn mounts(volumes: &Value) -> Vec<[String; 3]> {
    let mut found = Vec::new();
    for (kind, list) in volumes.as_object().into_iter().flatten() {
        for mount in entries(list) {
            let mut rest = Vec::new();
            leaves("", mount, &mut rest);
            let path = words(MOUNT_PATH);
            rest.retain(|(name, value)| *name != path && !value.is_empty());
            let source: Vec<String> =
                rest.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
            found.push([words(kind), text(&mount[MOUNT_PATH]), source.join(", ")]);
        }
        if list.is_object() {
            found.extend(mounts(list));
        }
    }
    found
}

/// The body of a request for the same job again.
pub(crate) fn request(job: &Value) -> Value {
    let asked = |(key, _): &(&String, &Value)| REQUESTED.contains(&key.as_str()) || is_toolkit(key);
    let owned = |(key, value): (&String, &Value)| (key.clone(), value.clone());
    let properties = job["properties"].as_object().into_iter().flatten();
    let mut properties: Map<String, Value> = properties.filter(asked).map(owned).collect();
    let extensions = job["properties"]["extensions"].as_object().into_iter().flatten();
    let extensions: Map<String, Value> = extensions
        .filter(|(key, _)| REQUESTED_EXTENSIONS.contains(&key.as_str()))
        .map(owned)
        .collect();
    if !extensions.is_empty() {
        properties.insert("extensions".to_owned(), extensions.into());
    }
    serde_json::json!({ "properties": properties })
}

/// What of a request the service does not tell anybody: a copy would lack it.
pub(crate) fn hidden(request: &Value) -> Vec<String> {
    let properties = &request["properties"];
    let secret = |entry: &Value| format!("the secret {}", text(&entry["name"]));
    let mut hidden: Vec<String> = entries(&properties["secrets"]).map(secret).collect();
    let registry = &properties["containerSettings"]["imageSourceRegistry"]["credentials"];
    if registry.is_object() && registry["passwordSecretReference"].is_null() {
        hidden.push("the password of the container registry".to_owned());
    }
    let volumes = properties["mountVolumes"].as_object().into_iter().flatten();
    let has_credentials = |list: &Value| entries(list).any(|it| it["credentials"].is_object());
    hidden.extend(
        volumes
            .filter(|(_, list)| has_credentials(list))
            .map(|(kind, _)| format!("the credentials of {}", words(kind).to_lowercase())),
    );
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job() -> Value {
        json!({ "id": "/x", "name": "train", "properties": {
            "nodeCount": 2, "cluster": { "id": "/c" }, "toolType": "pytorch",
            "pyTorchSettings": { "pythonScriptFilePath": "train.py", "processCount": 2 },
            "jobPreparation": { "commandLine": "pip install torch" },
            "containerSettings": { "imageSourceRegistry": { "image": "ubuntu", "credentials": { "username": "me" } } },
            "environmentVariables": [{ "name": "A", "value": "<b>" }],
            "secrets": [{ "name": "KEY" }],
            "inputDirectories": [{ "id": "DATA", "path": "/data" }],
            "outputDirectories": [{ "id": "MODEL", "pathPrefix": "/nfs", "pathSuffix": "m" }],
            "mountVolumes": {
                "azureFileShares": [{ "relativeMountPath": "afs", "accountName": "a", "credentials": {} }],
                "extensions": { "s3Buckets": [{ "relativeMountPath": "s3", "bucket": "b" }] } },
            "executionState": "failed", "creationTime": "2018-06-06T20:46:53.03Z",
            "extensions": { "maxRetries": 1, "attempts": [], "sweep": { "name": "s", "parameters": [{ "name": "A", "value": "<b>" }] } },
        }})
    }

    #[test]
    fn a_definition_has_everything_but_values_of_secrets() {
        let Definition { settings, variables, secrets, inputs, outputs, mounts } =
            Definition::of(&job());
        let settings: Vec<String> =
            settings.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        insta::assert_snapshot!(settings.join("\n"), @"
        Toolkit = pytorch
        Process count = 2
        Python script file path = train.py
        Preparation: command line = pip install torch
        Container: username = me
        Container: image = ubuntu
        ");
        let pair = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        assert_eq!(variables, pair("A", "<b>"));
        assert_eq!(secrets, ["KEY"]);
        assert_eq!(inputs, pair("DATA", "/data"));
        assert_eq!(outputs, pair("MODEL", "/nfs/…/m"));
        let [share, bucket] = mounts.try_into().unwrap();
        assert_eq!(share, ["Azure file shares", "afs", "Account name: a"]);
        assert_eq!(bucket, ["S3 buckets", "s3", "Bucket: b"]);
    }

    #[test]
    fn a_request_has_no_answers() {
        let request = request(&job());
        let keys: Vec<&str> =
            request["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        insta::assert_snapshot!(keys.join(" "), @"cluster containerSettings environmentVariables extensions inputDirectories jobPreparation mountVolumes nodeCount outputDirectories pyTorchSettings secrets");
        assert_eq!(request["properties"]["extensions"], json!({ "maxRetries": 1 }));
        insta::assert_snapshot!(hidden(&request).join(", "), @"the secret KEY, the password of the container registry, the credentials of azure file shares");
        assert!(hidden(&json!({ "properties": { "nodeCount": 1 } })).is_empty());
    }
}
