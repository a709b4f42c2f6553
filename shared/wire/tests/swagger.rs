//! The bodies and schemas of this crate against the contract itself: its examples and definitions.
//!
//! Skipped where there is no reference material beside the workspace.

mod kept;

use kept::{has_null, uid};
use serde_json::{Map, Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wire::{FileServerView, NodeCounts};

const CLUSTER: &str =
    "/subscriptions/0/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c";
const SERVER: &str =
    "/subscriptions/0/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/fileservers/f";

/// What no answer shows: secrets, and where the recordings show names only, references to them.
const WRITE_ONLY: [&str; 7] = [
    "adminUserPassword",
    "credentials.accountKey",
    "credentials.accountKeySecretReference",
    "credentials.password",
    "secrets[].value",
    "secrets[].valueSecretReference",
    "appInsightsReference.instrumentationKey",
];

/// Fields of which an object has only one; a test body has the first ones or the second ones.
const ALTERNATIVES: [(&str, &str); 7] = [
    ("accountKey", "accountKeySecretReference"),
    ("password", "passwordSecretReference"),
    ("value", "valueSecretReference"),
    ("instrumentationKey", "instrumentationKeySecretReference"),
    ("manual", "autoScale"),
    ("configFilePath", "pythonScriptFilePath"),
    ("configFilePath", "pythonInterpreterPath"),
];

const TOOLKITS: [&str; 9] = [
    "cntkSettings",
    "pyTorchSettings",
    "tensorFlowSettings",
    "caffeSettings",
    "caffe2Settings",
    "chainerSettings",
    "customToolkitSettings",
    "customMpiSettings",
    "horovodSettings",
];

/// The contract; `None` if it is not there.
struct Contract {
    directory: PathBuf,
    definitions: Value,
}

impl Contract {
    fn read() -> Option<Self> {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/reference/swagger/2018-05-01");
        let Ok(text) = std::fs::read(directory.join("BatchAI.json")) else {
            eprintln!("skipped: there is no reference material at {}", directory.display());
            return None;
        };
        let swagger: Value = serde_json::from_slice(&text).expect("the contract is JSON");
        Some(Self { directory, definitions: swagger["definitions"].clone() })
    }

    /// What the definition, or the part of one, has: followed through references and `allOf`.
    fn properties(&self, schema: &Value) -> Map<String, Value> {
        let mut found = Map::new();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            found.extend(self.properties(part));
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().expect("a reference has a name");
            found.extend(self.properties(&self.definitions[name]));
        }
        found.extend(schema["properties"].as_object().cloned().unwrap_or_default());
        found
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some(name) => &self.definitions[name],
            None => schema,
        }
    }

    /// The bodies of the examples whose names begin so.
    fn examples(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let directory = self.directory.join("examples");
        let mut examples = Vec::new();
        for entry in std::fs::read_dir(&directory).expect("the examples can be listed") {
            let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) {
                let text = std::fs::read(directory.join(&name)).expect("the example can be read");
                let example: Value = serde_json::from_slice(&text).expect("the example is JSON");
                let body = example["parameters"]["parameters"].to_string();
                examples.push((name, body.into_bytes()));
            }
        }
        examples
    }
}

/// Makes bodies with everything that a request can say.
struct Everything<'a> {
    contract: &'a Contract,
    toolkit: &'a str,
    /// Which ones of [`ALTERNATIVES`].
    second: bool,
    /// Names must differ from each other.
    names: Cell<u32>,
}

impl Everything<'_> {
    fn body(&self, definition: &str) -> Value {
        self.value("", &json!({ "$ref": format!("#/definitions/{definition}") }))
    }

    fn value(&self, name: &str, schema: &Value) -> Value {
        match name {
            "cluster" => return json!({ "id": CLUSTER }),
            "fileServer" => return json!({ "id": SERVER }),
            "tags" => return json!({ "a": "b" }),
            _ => {}
        }
        if let Some(items) = schema.get("items") {
            return json!([self.value(name, items)]);
        }
        let properties = self.contract.properties(schema);
        if properties.is_empty() {
            return self.leaf(name, self.contract.resolved(schema));
        }
        let is_left_out = |property: &str| {
            let toolkit = TOOLKITS.contains(&property) && property != self.toolkit;
            toolkit
                || properties[property]["readOnly"] == json!(true)
                || ALTERNATIVES.iter().any(|(one, other)| {
                    let both = properties.contains_key(*one) && properties.contains_key(*other);
                    both && property == if self.second { *one } else { *other }
                })
        };
        let said = properties.iter().filter(|(property, _)| !is_left_out(property));
        said.map(|(property, schema)| (property.clone(), self.value(property, schema))).collect()
    }

    fn leaf(&self, name: &str, schema: &Value) -> Value {
        if let Some(words) = schema["enum"].as_array() {
            return words[0].clone();
        }
        if schema["type"] == "integer" {
            return json!(1);
        }
        assert_eq!(schema["type"], "string", "{name}");
        match name {
            "languageType" if self.second => json!("Python"),
            "languageType" => json!("BrainScript"),
            "communicationBackend" => json!("Gloo"),
            "vmSize" => json!("STANDARD_NC6"),
            "fileMode" | "directoryMode" => json!("0755"),
            "azureFileUrl" => json!("https://account.file.core.windows.net/share"),
            "secretUrl" => json!("https://vault.vault.azure.net/secrets/a"),
            "shmSize" => json!("64M"),
            "maxWallClockTime" => json!("PT1H"),
            "publicIPsToAllow" => json!("203.0.113.0/24"),
            _ => {
                self.names.set(self.names.get() + 1);
                json!(format!("{name}{}", self.names.get()))
            }
        }
    }
}

/// One body per toolkit and choice.
fn each_body(contract: &Contract, definition: &str, check: impl Fn(&Value)) {
    for toolkit in TOOLKITS {
        for second in [false, true] {
            let names = Cell::new(0);
            check(&Everything { contract, toolkit, second, names }.body(definition));
        }
    }
}

/// The paths of what was said and is not answered, or differently.
fn lost(said: &Value, answered: &Value, path: &str, found: &mut BTreeSet<String>) {
    match (said, answered) {
        (Value::Object(said), Value::Object(answered)) => {
            for (name, said) in said {
                let path = format!("{path}.{name}");
                match answered.get(name) {
                    Some(answered) => lost(said, answered, &path, found),
                    None => drop(found.insert(path)),
                }
            }
        }
        (Value::Array(said), Value::Array(answered)) if said.len() == answered.len() => {
            for (said, answered) in said.iter().zip(answered) {
                lost(said, answered, &format!("{path}[]"), found);
            }
        }
        (said, answered) if said == answered => {}
        (said, answered) => drop(found.insert(format!("{path}: {said} became {answered}"))),
    }
}

/// Everything that was said comes back, but for what is write-only; and nothing is `null`.
#[track_caller]
fn check_answer(said: &Value, answered: impl serde::Serialize) {
    let answered = serde_json::to_value(answered).expect("bodies serialize");
    assert!(!has_null(&answered), "{answered}");
    let mut found = BTreeSet::new();
    lost(said, &answered, "", &mut found);
    found.retain(|path| !is_write_only(path));
    assert!(found.is_empty(), "lost of {said}: {found:#?}");
}

fn is_write_only(path: &str) -> bool {
    WRITE_ONLY.iter().any(|suffix| path.ends_with(suffix))
}

/// What is the matter with a refused body.
fn accepted<T>(parsed: Result<T, wire::Violations>, body: &Value) -> T {
    parsed.unwrap_or_else(|violations| panic!("{violations}: {body:#}"))
}

#[test]
fn every_example_is_accepted() {
    let Some(contract) = Contract::read() else { return };
    for (name, body) in [contract.examples("Put"), contract.examples("Patch")].concat() {
        let refused = match name.as_str() {
            "PutWorkspace.json" => wire::parse_workspace_create(&body).err(),
            "PatchWorkspace.json" => wire::parse_workspace_update(&body).err(),
            "PutCluster.json" => wire::parse_cluster_create(&body).err(),
            "PatchCluster.json" => wire::parse_cluster_update(&body).err(),
            "PutFileServer.json" => wire::parse_file_server_create(&body).err(),
            "PutJob.json" => wire::parse_job_create(&body).err(),
            // Its body is ignored.
            "PutExperiment.json" => None,
            other => panic!("{other} is new: say here what reads it"),
        };
        assert_eq!(refused, None, "{name}");
    }
}

#[test]
fn a_cluster_answers_everything() {
    let Some(contract) = Contract::read() else { return };
    each_body(&contract, "ClusterCreateParameters", |body| {
        let request = accepted(wire::parse_cluster_create(body.to_string().as_bytes()), body);
        let again = request.clone();
        let seal = |_: &str| "sealed".to_owned();
        let made = request.into_spec(seal, None, |_| Some(uid()), String::new());
        let (spec, scale) = made.expect("all file servers are there");
        let cluster = kept::cluster(spec, scale);
        assert!(again.is_same_as(&cluster));
        check_answer(body, wire::cluster(&cluster, &NodeCounts::default()));
    });
}

#[test]
fn a_job_answers_everything() {
    let Some(contract) = Contract::read() else { return };
    each_body(&contract, "JobCreateParameters", |body| {
        let request = accepted(wire::parse_job_create(body.to_string().as_bytes()), body);
        let again = request.clone();
        let made = request.into_spec(|_| "sealed".to_owned(), |_| Some(uid()));
        let spec = made.expect("all file servers are there");
        let job = kept::job(spec, again.cluster.clone());
        assert!(again.is_same_as(&job));
        check_answer(body, wire::job(&job, None, model::Timestamp(0)));
    });
}

#[test]
fn a_file_server_answers_everything() {
    let Some(contract) = Contract::read() else { return };
    each_body(&contract, "FileServerCreateParameters", |body| {
        let spec = accepted(wire::parse_file_server_create(body.to_string().as_bytes()), body);
        let server = kept::file_server(spec);
        let view = FileServerView {
            mount_point: "/data".to_owned(),
            public_ip: "127.0.0.1".to_owned(),
            internal_ip: "10.0.0.4".to_owned(),
            local_path: None,
        };
        check_answer(body, wire::file_server(&server, &view));
    });
}

#[test]
fn a_workspace_answers_everything() {
    let Some(contract) = Contract::read() else { return };
    each_body(&contract, "WorkspaceCreateParameters", |body| {
        let request = accepted(wire::parse_workspace_create(body.to_string().as_bytes()), body);
        let workspace = kept::workspace(request.location, request.tags);
        check_answer(body, wire::workspace(&workspace));
    });
}

/// What a schema of ours has: followed through references and all kinds of combination.
fn our_properties(ours: &Value, components: &BTreeMap<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    for combined in ["allOf", "anyOf", "oneOf"] {
        for part in ours[combined].as_array().into_iter().flatten() {
            found.extend(our_properties(part, components));
        }
    }
    if let Some(name) =
        ours["$ref"].as_str().and_then(|it| it.strip_prefix("#/components/schemas/"))
    {
        let component = components.get(name);
        found.extend(our_properties(component.unwrap_or_else(|| panic!("no {name}")), components));
    }
    found.extend(ours["properties"].as_object().cloned().unwrap_or_default());
    found
}

/// Properties of a definition of the contract, and words that they may have, that our schema does
/// not have.
struct Comparison<'a> {
    contract: &'a Contract,
    components: BTreeMap<String, Value>,
    /// Requests have no use for what is read-only.
    is_request: bool,
    missing: BTreeSet<String>,
}

impl Comparison<'_> {
    fn compare(&mut self, definition: &str) {
        let theirs = json!({ "$ref": format!("#/definitions/{definition}") });
        let Some(ours) = self.components.get(definition).cloned() else {
            self.missing.insert(definition.to_owned());
            return;
        };
        self.compare_schema(&theirs, &ours, definition);
    }

    fn compare_schema(&mut self, theirs: &Value, ours: &Value, path: &str) {
        // An error has details that are errors.
        if path.matches("details").count() > 1 {
            return;
        }
        let words = &self.contract.resolved(theirs)["enum"];
        for word in words.as_array().into_iter().flatten() {
            if !allowed_values(ours).contains(&word) {
                self.missing.insert(format!("{path} = {word}"));
            }
        }
        if let Some(items) = theirs.get("items") {
            return self.compare_schema(items, &ours["items"], &format!("{path}[]"));
        }
        let our_properties = our_properties(ours, &self.components);
        for (name, theirs) in self.contract.properties(theirs) {
            let path = format!("{path}.{name}");
            if self.is_request && theirs["readOnly"] == json!(true) {
                continue;
            }
            match our_properties.get(&name) {
                Some(ours) => self.compare_schema(&theirs, ours, &path),
                None if !self.is_request && is_write_only(&path) => {}
                None => drop(self.missing.insert(path)),
            }
        }
    }
}

/// The values of an enumeration. One with a description per value is a list of constants.
fn allowed_values(schema: &Value) -> Vec<&Value> {
    let list = |name: &str| schema[name].as_array().into_iter().flatten();
    list("enum").chain(list("oneOf").map(|value| &value["const"])).collect()
}

#[test]
fn the_schemas_of_responses_have_all_properties() {
    let Some(contract) = Contract::read() else { return };
    let (components, missing) = (wire::schema::responses(), BTreeSet::new());
    let mut comparison = Comparison { contract: &contract, components, is_request: false, missing };
    for definition in [
        "WorkspaceListResult",
        "Workspace",
        "ExperimentListResult",
        "Experiment",
        "ClusterListResult",
        "Cluster",
        "FileServerListResult",
        "FileServer",
        "JobListResult",
        "Job",
        "RemoteLoginInformationListResult",
        "FileListResult",
        "CloudError",
    ] {
        comparison.compare(definition);
    }
    assert!(comparison.missing.is_empty(), "{:#?}", comparison.missing);
}

#[test]
fn the_schemas_of_requests_have_all_properties() {
    let Some(contract) = Contract::read() else { return };
    let requests = wire::schema::requests().into_iter();
    let components = requests.map(|(name, schema)| (name.to_owned(), schema)).collect();
    let missing = BTreeSet::new();
    let mut comparison = Comparison { contract: &contract, components, is_request: true, missing };
    for definition in wire::schema::requests().into_keys() {
        comparison.compare(definition);
    }
    assert!(comparison.missing.is_empty(), "{:#?}", comparison.missing);
}
