//! The job of a run, as its job.json.

use super::Arguments;
use super::resources::Resources;
use super::snapshot::{OBJECTS, OUTPUTS, Snapshot, quoted};
use crate::client::Scope;
use anyhow::Result;
use serde_json::{Value, json};

/// Where the job mounts its file server.
const FILES: &str = "$AZ_BATCHAI_JOB_MOUNT_ROOT/files";

/// The copy of the directory, on each node.
const CODE: &str = "$AZ_BATCHAI_JOB_TEMP/code";

/// Id of the output directory, which the job has as `$AZ_BATCHAI_OUTPUT_OUT`.
pub const OUT: &str = "OUT";

pub struct Description<'a> {
    arguments: &'a Arguments,
    snapshot: String,
    /// For bash, in the directory.
    pub command: String,
}

impl<'a> Description<'a> {
    pub fn of(arguments: &'a Arguments, snapshot: &Snapshot) -> Self {
        let command = command_line(&arguments.command);
        Self { arguments, snapshot: snapshot.path(), command }
    }

    pub fn body(&self, scope: &Scope, resources: &Resources) -> Result<Value> {
        let Arguments { nodes, mpi, processes, image, env, .. } = self.arguments;
        let id = |address: crate::client::Address| json!({ "id": address.to_string() });
        let mut properties = json!({
            "cluster": id(scope.clusters()?.join(&[&resources.cluster])),
            "nodeCount": nodes,
            "mountVolumes": { "fileServers": [{
                "fileServer": id(scope.file_servers()?.join(&[&resources.file_server])),
                "relativeMountPath": "files",
            }] },
            "stdOutErrPathPrefix": FILES,
            "outputDirectories": [{ "id": OUT, "pathPrefix": FILES }],
            "jobPreparation": { "commandLine": self.preparation() },
        });
        let command = format!("cd \"{CODE}\" && {}", self.command);
        if *mpi {
            properties["customMpiSettings"] = json!({ "commandLine": command });
            if let Some(processes) = processes {
                properties["customMpiSettings"]["processCount"] = json!(processes);
            }
        } else {
            properties["customToolkitSettings"] = json!({ "commandLine": command });
        }
        if let Some(image) = image {
            properties["containerSettings"] = json!({ "imageSourceRegistry": { "image": image } });
        }
        if !env.is_empty() {
            let variables = env.iter().map(|(name, value)| json!({ "name": name, "value": value }));
            properties["environmentVariables"] = variables.collect();
        }
        Ok(json!({ "properties": properties }))
    }

    /// Copies the directory, on each node.
    fn preparation(&self) -> String {
        let snapshot = &self.snapshot;
        format!(
            "bash \"{FILES}/{snapshot}\" \"{FILES}/{OBJECTS}\" \"{CODE}\" && ln -sfn \"$AZ_BATCHAI_OUTPUT_{OUT}\" \"{CODE}/{OUTPUTS}\""
        )
    }
}

/// Several words are a program and its arguments; one alone is a command line.
fn command_line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| word_of_bash(word)).collect::<Vec<_>>().join(" "),
    }
}

fn word_of_bash(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => quoted(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_program_as_they_were_given() {
        let line = |words: &[&str]| {
            command_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(line(&["make data && ./train"]), "make data && ./train");
        assert_eq!(line(&["python3", "train.py", "--lr=0.1"]), "python3 train.py --lr=0.1");
        let words = ["printf", "%s|", "a b", "it's", "$HOME", "", "*", "x;y"];
        let output =
            std::process::Command::new("bash").args(["-c", &line(&words)]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "a b|it's|$HOME||*|x;y|");
    }
}
