//! The README, word for word: every command of "Run your own jobs" in an empty home directory with a script of the
//! user's own, and the program for the SDK.

use super::clients::succeeds;
use super::sdk;
use super::service::{Service, search_path};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

const TIMEOUT: Duration = Duration::from_secs(100);

/// A script that works with both ways to run it.
const TRAIN: &str = r#"
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
parser.add_argument("--output", default="outputs")
arguments = parser.parse_args()
for epoch in range(arguments.epochs):
    print("epoch", epoch, flush=True)
pathlib.Path(arguments.output, "model.txt").write_text("weights")
"#;

/// The fenced blocks of a section, each with its language.
fn blocks(section: &str) -> Vec<(String, String)> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let heading = format!("\n## {section}\n");
    let text = readme.split_once(&heading).expect("the README has the section").1;
    let text = text.split("\n## ").next().unwrap_or_default();
    let fenced = text.split("\n```").skip(1).step_by(2);
    let block = |block: &str| {
        let (language, content) = block.split_once('\n').unwrap();
        (language.to_owned(), format!("{content}\n"))
    };
    fenced.map(block).collect()
}

#[tokio::test]
async fn every_command_of_the_readme_does_what_it_says() {
    let service = Service::start();
    let home = service.root().to_owned();
    fs::create_dir(home.join("digits")).unwrap();
    fs::write(home.join("digits/train.py"), TRAIN).unwrap();
    let mut blocks = blocks("Run your own jobs").into_iter();
    assert_eq!(blocks.next().unwrap().1, "target/release/batchai local\n");
    // One shell runs the commands; files are written where the user would write them.
    let mut script = "set -e\n".to_owned();
    for (language, content) in blocks {
        match language.as_str() {
            "" => script.push_str(&content),
            "json" => script.push_str(&format!("cat > job.json <<'END'\n{content}END\n")),
            other => panic!("the walk-through has a block of {other}"),
        }
    }
    let program = tests::binaries::build("batchai");
    let path = search_path();
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).current_dir(&home).stdin(Stdio::null());
    shell.env("HOME", &home).env("BATCHAI_DATA_DIR", service.data_dir());
    shell.env("PATH", format!("{}:{path}", program.parent().unwrap().display()));
    for name in ["BATCHAI_WORKSPACE", "BATCHAI_EXPERIMENT", "BATCHAI_ENDPOINT", "BATCHAI_TOKEN"] {
        shell.env_remove(name);
    }
    succeeds(shell, "the walk-through", TIMEOUT).await;
    let runs = fs::read_dir(home.join("digits/outputs")).unwrap();
    let outputs: Vec<_> = runs.map(|run| run.unwrap().path().join("model.txt")).collect();
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    for model in [&outputs[0], &home.join("digits/results/model.txt")] {
        assert_eq!(fs::read_to_string(model).unwrap(), "weights");
    }
}

#[tokio::test]
async fn the_program_for_the_sdk_signs_in() {
    let python = sdk::python().await;
    let service = Service::start();
    service.prepare(1).await;
    let home = service.root();
    let directory = home.join(".local/share/batchai");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(service.data_dir().join("token"), directory.join("token")).unwrap();
    let (language, program) = blocks("Use the Python SDK").remove(0);
    assert_eq!(language, "python");
    let program = program.replace("http://127.0.0.1:8470", &service.endpoint);
    let program =
        format!("{program}assert [it.name for it in client.workspaces.list()] == ['w']\n");
    let mut command = Command::new(python);
    command.arg("-c").arg(program).env("HOME", home);
    succeeds(command, "the program for the SDK", TIMEOUT).await;
}
