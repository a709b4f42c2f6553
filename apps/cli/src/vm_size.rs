//! Sizes of nodes on the command line: `--vm-size SIZE`, checked as by the service, and `--vm-size '?'`, which
//! lists the table of sizes.

use crate::exit::Exit;
use crate::json::Json;
use crate::output::{Column, Output, View};
use anyhow::Result;
use jiff::Timestamp;
use model::vm_size::{InvalidVmSize, check_cluster_size};
use model::{VmSize, ec2};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;

/// The value that asks for the table of sizes.
const ASKS: &str = "?";

/// Checks the value of `--vm-size`. The question mark is accepted, so that the rest of the line can be read.
pub fn parse_or_ask(text: &str) -> Result<String, String> {
    if text == ASKS { Ok(text.to_owned()) } else { parse(text) }
}

/// Checks a size of the command line.
pub fn parse(text: &str) -> Result<String, String> {
    match check_cluster_size(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error @ InvalidVmSize::NotForClusters(_)) => Err(error.to_string()),
        Err(error @ InvalidVmSize::Unknown { .. }) => {
            Err(format!("{error} (--vm-size '?' lists the sizes)"))
        }
    }
}

/// Whether a command line of `cluster create` or `run` asks for the sizes. An argument behind `--` belongs to
/// another program.
pub fn is_asked_for(arguments: &[OsString]) -> bool {
    let words = arguments.iter().map_while(|word| word.to_str().filter(|word| *word != "--"));
    let words: Vec<_> = words.collect();
    let is_create = words.contains(&"cluster") && words.contains(&"create");
    let has_sizes = is_create || words.contains(&"run");
    has_sizes
        && (words.windows(2).any(|pair| ["-s", "--vm-size"].contains(&pair[0]) && pair[1] == ASKS)
            || words.iter().any(|word| ["-s?", "--vm-size=?"].contains(word)))
}

/// A size, and what a node of it has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Size {
    name: String,
    cores: u32,
    gpus: u32,
    /// The type of its instances on AWS.
    instance_type: String,
}

impl View for Size {
    fn name(&self) -> &str {
        &self.name
    }

    fn columns(&self, _now: Timestamp) -> Vec<Column> {
        vec![
            Column::new("size", &self.name).key(),
            Column::new("cores", self.cores.to_string()),
            Column::new("gpus", self.gpus.to_string()),
            Column::new("type on AWS", &self.instance_type),
        ]
    }
}

/// Prints the table of sizes.
pub fn list(output: &Output) -> Result<Exit> {
    output.list::<Size>(sizes()?, "")?;
    output.message(
        "Every instance type of EC2 is a size too, such as g5.xlarge. See docs/vm-sizes.md.",
    );
    Ok(Exit::SUCCESS)
}

fn sizes() -> Result<Vec<Json>> {
    let size = |(size, instance_type): &(&str, &str)| {
        let name = format!("STANDARD_{size}");
        let VmSize { cores, gpus, .. } = VmSize::of(&name);
        Size { name, cores, gpus, instance_type: (*instance_type).to_owned() }
    };
    ec2::SIZES.iter().map(|entry| Json::parse(&serde_json::to_string(&size(entry))?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_asks_for_the_sizes() {
        let asks =
            |line: &str| is_asked_for(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in [
            "b cluster create --vm-size ?",
            "b cluster create c -w w -s ?",
            "b cluster -w w create --vm-size=?",
            "b run -s? -- true",
        ] {
            assert!(asks(line), "{line}");
        }
        for line in [
            "b cluster create c",
            "b run -- x -s ?",
            "b file-server create -s ?",
            "b job list -s ?",
        ] {
            assert!(!asks(line), "{line}");
        }
    }

    #[test]
    fn every_size_is_listed() {
        let sizes = sizes().unwrap();
        assert_eq!(sizes.len(), ec2::SIZES.len());
        let rows: Vec<Size> = sizes.iter().map(|size| size.read().unwrap()).collect();
        let gpus = rows.iter().find(|size| size.name == "STANDARD_NC24").unwrap();
        assert_eq!((gpus.cores, gpus.gpus, gpus.instance_type.as_str()), (24, 4, "g4dn.12xlarge"));
    }

    #[test]
    fn what_is_no_size_is_refused_with_a_way_to_list_them() {
        let error = parse("STANDARD_NC7").unwrap_err();
        assert!(
            error.ends_with("did you mean STANDARD_NC6? (--vm-size '?' lists the sizes)"),
            "{error}"
        );
        assert!(!parse("STANDARD_A0").unwrap_err().contains('?'));
        assert_eq!(parse("g5.xlarge"), Ok("g5.xlarge".to_owned()));
        assert_eq!(parse_or_ask("?"), Ok("?".to_owned()));
        assert!(parse("?").is_err() && parse_or_ask("??").is_err());
    }
}
