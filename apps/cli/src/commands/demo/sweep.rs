//! The jobs of the sweep, from `demo/sweep.json`, and their request bodies.

use crate::client::Address;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

const SWEEP: &str = include_str!("../../../demo/sweep.json");

/// The number of jobs that the help of the command states.
const JOBS: usize = 8;

/// Relative to the root of the file server.
pub const DATA_DIRECTORY: &str = "digits";
pub const OUTPUT_ID: &str = "MODEL";

pub struct JobPlan {
    pub name: String,
    /// The arguments of the training script.
    pub arguments: String,
    pub epochs: u32,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    arguments: String,
}

pub fn plans() -> Result<Vec<JobPlan>> {
    let entries: Vec<Entry> = serde_json::from_str(SWEEP).context("sweep.json is not valid")?;
    ensure!(entries.len() == JOBS, "sweep.json has {} jobs, not {JOBS}", entries.len());
    entries.into_iter().map(JobPlan::new).collect()
}

impl JobPlan {
    fn new(Entry { name, arguments }: Entry) -> Result<Self> {
        let epochs = option(&arguments, "--epochs").and_then(|text| text.parse().ok());
        let epochs = epochs.with_context(|| format!("job {name} has no --epochs in sweep.json"))?;
        Ok(Self { name, arguments, epochs })
    }

    /// The parameters in a table: "hidden 32, rate 0.05". The epochs are shown elsewhere.
    pub fn parameters(&self) -> String {
        let shortened = [("learning-rate", "rate"), ("batch-size", "batch")];
        let options = self.arguments.split("--").map(str::trim);
        let shown = options.filter(|text| !text.is_empty() && !text.starts_with("epochs "));
        let texts: Vec<_> = shown
            .map(|text| {
                shortened
                    .iter()
                    .fold(text.to_owned(), |text, (long, short)| text.replace(long, short))
            })
            .collect();
        texts.join(", ")
    }

    pub fn body(&self, cluster: &Address) -> Value {
        let root = "$AZ_BATCHAI_MOUNT_ROOT/nfs";
        let command = format!(
            "python3 \"$AZ_BATCHAI_INPUT_DATA/train.py\" --data \"$AZ_BATCHAI_INPUT_DATA\" \
             --output \"$AZ_BATCHAI_OUTPUT_{OUTPUT_ID}\" {}",
            self.arguments
        );
        json!({ "properties": {
            "cluster": { "id": cluster.to_string() },
            "nodeCount": 1,
            "customToolkitSettings": { "commandLine": command },
            "stdOutErrPathPrefix": root,
            "inputDirectories": [{ "id": "DATA", "path": format!("{root}/{DATA_DIRECTORY}") }],
            "outputDirectories": [{ "id": OUTPUT_ID, "pathPrefix": root, "pathSuffix": "model" }],
        }})
    }
}

fn option<'a>(arguments: &'a str, name: &str) -> Option<&'a str> {
    let mut words = arguments.split_whitespace();
    words.find(|word| *word == name)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweep_is_valid() {
        let plans = plans().unwrap();
        let names: std::collections::BTreeSet<_> = plans.iter().map(|plan| &plan.name).collect();
        assert_eq!(names.len(), JOBS);
        for plan in &plans {
            assert!(plan.epochs >= 3, "{} is too short to be interrupted", plan.name);
            assert!(crate::names::resource_name(&plan.name).is_ok());
        }
    }

    #[test]
    fn parameters_are_abbreviated() {
        let plan = JobPlan::new(Entry {
            name: "a".to_owned(),
            arguments: "--hidden 32 --learning-rate 0.05 --epochs 18".to_owned(),
        });
        insta::assert_snapshot!(plan.unwrap().parameters(), @"hidden 32, rate 0.05");
    }
}
