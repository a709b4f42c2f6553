//! Files that describe a resource, `{"properties": {…}}`, as in the recipes of Azure Batch AI.
//!
//! They are checked against the schemas and the rules of the service before anything is sent, so that
//! errors name the line of the file.

mod positions;
mod unknown;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use positions::Positions;
use serde_json::Value;
use std::path::{Path, PathBuf};
use unknown::Schemas;

/// What a file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Job,
    Cluster,
    FileServer,
}

/// Whether files are checked.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct CheckArguments {
    /// Send the file without checking it first; the service ignores fields that it does not know
    #[arg(long)]
    no_check: bool,
}

/// A file that was read.
#[derive(Debug)]
pub struct Description {
    file: PathBuf,
    text: String,
    kind: Kind,
    is_checked: bool,
    /// `{"properties": {…}}`, without other fields.
    pub body: Value,
}

/// Beside `properties`: fields of resources and of templates. The service does not accept them there.
const ENVELOPE: [&str; 9] =
    ["$schema", "apiVersion", "comments", "etag", "id", "location", "name", "tags", "type"];

/// How many errors of a file are listed.
const MAX_LISTED: usize = 20;

impl Description {
    /// Reads a file, and checks that the service knows its fields.
    ///
    /// # Errors
    /// When it cannot be read, is not JSON, or has unknown fields.
    pub fn read(file: &Path, kind: Kind, check: CheckArguments) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(file, text, kind, !check.no_check)
    }

    fn parse(file: &Path, text: String, kind: Kind, is_checked: bool) -> Result<Self> {
        let shown = file.display();
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let mut value: Value = serde_json::from_str(&text).map_err(|error| {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or(&reason);
            anyhow!("{shown}:{}:{}: not JSON: {reason}", error.line(), error.column())
        })?;
        let properties = value.get_mut("properties").map(Value::take);
        let Some(properties) = properties.filter(Value::is_object) else {
            bail!("{shown} does not have the form {{\"properties\": {{…}}}}");
        };
        let description = Self {
            file: file.to_owned(),
            text,
            kind,
            is_checked,
            body: serde_json::json!({ "properties": properties }),
        };
        if is_checked {
            description.check_fields(&value)?;
        }
        Ok(description)
    }

    /// Checks a body that was made of the file against all rules of the service.
    ///
    /// # Errors
    /// Every rule that it breaks, with the place in the file.
    pub fn check(&self, body: &Value) -> Result<()> {
        if !self.is_checked {
            return Ok(());
        }
        let bytes = body.to_string();
        let refused = match self.kind {
            Kind::Job => wire::parse_job_create(bytes.as_bytes()).map(drop),
            Kind::Cluster => wire::parse_cluster_create(bytes.as_bytes()).map(drop),
            Kind::FileServer => wire::parse_file_server_create(bytes.as_bytes()).map(drop),
        };
        let Err(violations) = refused else { return Ok(()) };
        let found = violations.iter().map(|it| (it.target.clone(), it.message.clone()));
        self.refuse(found.collect())
    }

    fn check_fields(&self, envelope: &Value) -> Result<()> {
        let schemas = self.kind.schemas();
        let mut found = Vec::new();
        let beside = envelope.as_object().into_iter().flatten().map(|(name, _)| name);
        for name in beside.filter(|name| *name != "properties") {
            if schemas.is_property(name) {
                found.push((name.clone(), format!("{name} belongs in properties")));
            } else if !ENVELOPE.contains(&name.as_str()) {
                found.push((name.clone(), format!("unknown field {name}")));
            }
        }
        for field in schemas.unknown_fields(&self.body["properties"]) {
            let similar = field.similar.map(|name| format!("; did you mean {name}?"));
            let message = format!("unknown field {}{}", field.path, similar.unwrap_or_default());
            found.push((field.path, message));
        }
        self.refuse(found)
    }

    /// Fails with these messages, each with the place of its path.
    fn refuse(&self, found: Vec<(String, String)>) -> Result<()> {
        if found.is_empty() {
            return Ok(());
        }
        let positions = Positions::of(&self.text);
        let file = self.file.display();
        let count = found.len();
        let mut found: Vec<_> =
            found.into_iter().map(|(path, message)| (positions.of_path(&path), message)).collect();
        found.sort_by_key(|(position, _)| *position);
        let mut lines: Vec<_> = found
            .into_iter()
            .take(MAX_LISTED)
            .map(|(position, message)| match position {
                Some(position) => format!("{file}:{position}: {message}"),
                None => format!("{file}: {message}"),
            })
            .collect();
        if count > MAX_LISTED {
            lines.push(format!("and {} more", count - MAX_LISTED));
        }
        bail!("the file is not valid, and nothing was sent:\n  {}", lines.join("\n  "))
    }
}

impl Kind {
    fn schemas(self) -> Schemas {
        let (request, response) = match self {
            Self::Job => ("JobCreateParameters", "Job"),
            Self::Cluster => ("ClusterCreateParameters", "Cluster"),
            Self::FileServer => ("FileServerCreateParameters", "FileServer"),
        };
        let mut requests = wire::schema::requests();
        let definitions = wire::schema::responses();
        let properties = |schema: Option<Value>| {
            schema.map(|mut schema| schema["properties"]["properties"].take()).unwrap_or_default()
        };
        Schemas {
            request: properties(requests.remove(request)),
            response: properties(definitions.get(response).cloned()),
            definitions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: Kind, text: &str) -> Result<Description> {
        Description::parse(Path::new("job.json"), text.to_owned(), kind, true)
    }

    fn refusal(kind: Kind, text: &str) -> String {
        let checked = read(kind, text).and_then(|description| {
            let mut body = description.body.clone();
            if kind == Kind::Job {
                let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.BatchAI/workspaces/w/clusters/c";
                body["properties"]["cluster"] = json!({ "id": id });
            }
            description.check(&body)
        });
        format!("{:#}", checked.unwrap_err())
    }

    #[test]
    fn unknown_fields_have_a_place_and_a_proposal() {
        let text = r#"{
  "$schema": "https://example.org",
  "nodeCount": 1,
  "propertis": {},
  "properties": {
    "nodeCont": 2,
    "customToolkitSettings": {"commandline": "true"},
    "stdOutErrPathPrefix": "/tmp",
    "colour": "red",
    "outputDirectories": [{"id": "A", "pathPrefix": "/tmp"}, {"ID": "B", "pathPrefix": "/tmp"}]
  }
}"#;
        insta::assert_snapshot!(refusal(Kind::Job, text), @"
        the file is not valid, and nothing was sent:
          job.json:3:3: nodeCount belongs in properties
          job.json:4:3: unknown field propertis
          job.json:6:5: unknown field properties.nodeCont; did you mean nodeCount?
          job.json:7:31: unknown field properties.customToolkitSettings.commandline; did you mean commandLine?
          job.json:9:5: unknown field properties.colour
          job.json:10:63: unknown field properties.outputDirectories[1].ID; did you mean id?
        ");
    }

    #[test]
    fn broken_rules_have_a_place() {
        let text = r#"{"properties": {
  "nodeCount": "2",
  "customToolkitSettings": {"commandLine": "true"},
  "stdOutErrPathPrefix": 7,
  "outputDirectories": [{"id": "A"}]
}}"#;
        insta::assert_snapshot!(refusal(Kind::Job, text), @"
        the file is not valid, and nothing was sent:
          job.json:2:3: properties.nodeCount must be a whole number from 1 to 48, but is a string
          job.json:4:3: properties.stdOutErrPathPrefix must be a string, but is a number
          job.json:5:25: properties.outputDirectories[0].pathPrefix is required
        ");
        insta::assert_snapshot!(refusal(Kind::Job, "{\n \"properties\": {,}}"), @"job.json:2:17: not JSON: key must be a string");
        insta::assert_snapshot!(refusal(Kind::Job, r#"{"nodeCount": 1}"#), @r#"job.json does not have the form {"properties": {…}}"#);
        let cluster = r#"{"properties": {"vmSize": "STANDARD_D1", "scaleSetings": {}}}"#;
        insta::assert_snapshot!(refusal(Kind::Cluster, cluster), @"
        the file is not valid, and nothing was sent:
          job.json:1:42: unknown field properties.scaleSetings; did you mean scaleSettings?
        ");
        let server = r#"{"properties": {"vmSize": "STANDARD_D1", "datadisks": {}}}"#;
        insta::assert_snapshot!(refusal(Kind::FileServer, server), @"
        the file is not valid, and nothing was sent:
          job.json:1:42: unknown field properties.datadisks; did you mean dataDisks?
        ");
    }

    /// A job as the service answers it, with what only the service sets.
    #[test]
    fn an_answer_of_the_service_is_a_description() {
        let text = json!({ "id": "/x", "name": "a", "type": "t", "properties": {
            "nodeCount": 1, "executionState": "failed", "provisioningState": "succeeded",
            "executionInfo": { "startTime": "x", "errors": [{ "code": "a", "message": "b" }] },
            "customToolkitSettings": { "commandLine": "true" }, "stdOutErrPathPrefix": "/tmp",
            "jobOutputDirectoryPathSegment": "s/g/w",
            "extensions": { "maxRetries": 1, "attempts": [{ "number": 1 }] },
        }})
        .to_string();
        read(Kind::Job, &text).unwrap();
    }

    #[test]
    fn a_check_can_be_left_out() {
        let text = r#"{"properties": {"nodeCont": 1}}"#.to_owned();
        let description =
            Description::parse(Path::new("job.json"), text, Kind::Job, false).unwrap();
        description.check(&description.body).unwrap();
        assert_eq!(description.body["properties"]["nodeCont"], 1);
    }
}
