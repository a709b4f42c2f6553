//! `batchai sweep -f job.json --param …`: submits the runs.

use super::show::GoalArgument;
use super::space::{self, Combination, Parameter};
use crate::commands::job::{Completion, completed};
use crate::context::Context;
use crate::description::{Description, Kind};
use crate::exit::Exit;
use crate::names::{plain, resource_name};
use crate::output::{Column, rows};
use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct SubmitArguments {
    /// JSON file with the properties of the job
    #[arg(short = 'f', long, value_name = "FILE", required = true)]
    config_file: Option<PathBuf>,
    /// A parameter and its values; may be repeated, then every combination runs
    #[arg(short, long = "param", value_name = "NAME=VALUES", required = true, value_parser = space::parameter)]
    parameters: Vec<Parameter>,
    /// Run so many random combinations instead of all
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=space::MAX_RUNS as i64))]
    random: Option<u32>,
    /// Seed of --random: the same seed gives the same runs [default: a random one, which is printed]
    #[arg(long, requires = "random")]
    seed: Option<u64>,
    /// The most runs at a time on a cluster [default: as many as it has nodes for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    max_parallel: Option<u32>,
    /// Metric by which runs are compared
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// Whether a small or a large value of the metric is better
    #[arg(long, value_name = "GOAL", requires = "metric", default_value = "minimize")]
    goal: GoalArgument,
    /// Terminate runs that are worse than others
    #[arg(long, value_name = "RULE", requires = "metric")]
    stop_worse_than: Option<Rule>,
    /// Terminate no run before this step
    #[arg(long, value_name = "STEP", requires = "stop_worse_than")]
    stop_after_step: Option<u64>,
    /// How many other runs must have reported that far [default: 3]
    #[arg(long, value_name = "N", requires = "stop_worse_than", value_parser = clap::value_parser!(u32).range(1..=100))]
    stop_minimum_runs: Option<u32>,
    /// Name of the sweep [default: that of the file and a random suffix]
    #[arg(short, long, value_parser = resource_name)]
    name: Option<String>,
    #[command(flatten)]
    completion: Completion,
    /// Show the runs, and submit nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rule {
    /// The median of the best values of the other runs at the same step
    Median,
}

/// A run before it is submitted.
struct Run {
    name: String,
    parameters: Combination,
}

pub async fn run(context: &Context, arguments: SubmitArguments) -> Result<Exit> {
    // Required, but not beside a subcommand.
    let file = arguments.config_file.clone().unwrap_or_default();
    let description = Description::read(&file, Kind::Job, arguments.completion.check)?;
    let body = completed(context, &description, &arguments.completion)?;
    ensure_distinct(&arguments.parameters)?;
    let sweep = match &arguments.name {
        Some(name) => name.clone(),
        None => {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            format!("{}-{:06x}", plain(&stem, 30, "sweep"), rand::random::<u32>() >> 8)
        }
    };
    let combinations = combinations(context, &arguments)?;
    let runs = named(&sweep, combinations);
    let bodies: Vec<Value> =
        runs.iter().map(|run| body_of(&body, &sweep, &arguments, run)).collect();
    if let Some(first) = bodies.first() {
        description.check(first)?;
    }
    if arguments.dry_run {
        context.output.print(plan(context, &runs))?;
        return Ok(Exit::SUCCESS);
    }
    if !reads_parameters(&body) {
        context.output.message(
            "note: the command does not mention $BATCHAI_PARAMS or $BATCHAI_PARAM_…; the script has to read these variables itself",
        );
    }
    submit(context, &file, &sweep, &runs, &bodies).await?;
    if context.output.is_quiet() {
        context.output.print(&sweep)?;
    }
    let plural = if runs.len() == 1 { "run" } else { "runs" };
    let experiment = context.scope.experiment.as_deref().unwrap_or_default();
    context.output.message(format_args!(
        "Submitted {} {plural} as sweep {sweep} of experiment {experiment}. To follow them, run: batchai sweep show {sweep} --watch",
        runs.len()
    ));
    Ok(Exit::SUCCESS)
}

/// In the order of the queue, so one after the other. A repetition goes on where an earlier one was interrupted: the
/// service answers that the same run exists.
async fn submit(
    context: &Context,
    file: &Path,
    sweep: &str,
    runs: &[Run],
    bodies: &[Value],
) -> Result<()> {
    let jobs = context.scope.jobs()?;
    for (index, (run, body)) in runs.iter().zip(bodies).enumerate() {
        let submitted = context.client.put(&jobs.join(&[&run.name]), body).await;
        submitted.with_context(|| {
            let file = file.display();
            match index {
                0 => format!("cannot submit {}", run.name),
                _ => format!(
                    "cannot submit {}; {index} of {} runs were submitted. To submit the others, repeat the command with -n {sweep}; with --random also with its --seed and the same {file}",
                    run.name,
                    runs.len()
                ),
            }
        })?;
    }
    Ok(())
}

fn ensure_distinct(parameters: &[Parameter]) -> Result<()> {
    for (index, parameter) in parameters.iter().enumerate() {
        if parameters[..index].iter().any(|other| other.name == parameter.name) {
            bail!("--param {} is given twice; give all its values at once", parameter.name);
        }
    }
    Ok(())
}

fn combinations(context: &Context, arguments: &SubmitArguments) -> Result<Vec<Combination>> {
    let Some(count) = arguments.random else { return space::grid(&arguments.parameters) };
    // As a number that a person can type.
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u16>()));
    if arguments.seed.is_none() {
        context.output.message(format_args!("Seed: {seed}"));
    }
    let combinations = space::random(&arguments.parameters, count as usize, seed);
    if combinations.len() < count as usize {
        let all = combinations.len();
        context.output.message(format_args!("There are no more than {all} combinations."));
    }
    Ok(combinations)
}

/// Names that tell the parameters, as far as there is room: `SWEEP-07-lr0p01-layers2`.
fn named(sweep: &str, combinations: Vec<Combination>) -> Vec<Run> {
    let digits = combinations.len().to_string().len();
    let name = |index: usize, parameters: &Combination| {
        let start = format!("{}-{:0digits$}", cut(sweep, 40), index + 1);
        let values = parameters.iter().map(|(name, value)| {
            let value = value.replace('.', "p");
            plain(&format!("{name}{value}"), 64, "")
        });
        let name = values.fold(start, |name, value| format!("{name}-{value}"));
        cut(&name, 64).trim_end_matches('-').to_owned()
    };
    let run = |(index, parameters)| Run { name: name(index, &parameters), parameters };
    combinations.into_iter().enumerate().map(run).collect()
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// The job of a run: that of the file, with its parameters as variables.
fn body_of(body: &Value, sweep: &str, arguments: &SubmitArguments, run: &Run) -> Value {
    let mut body = body.clone();
    let properties = &mut body["properties"];
    let mut variables = match properties["environmentVariables"].take() {
        Value::Array(variables) => variables,
        _ => Vec::new(),
    };
    let variable = |name: String, value: &str| json!({ "name": name, "value": value });
    let options: Vec<String> =
        run.parameters.iter().map(|(name, value)| format!("--{name} {value}")).collect();
    variables.push(variable("BATCHAI_PARAMS".to_owned(), &options.join(" ")));
    for (name, value) in &run.parameters {
        variables.push(variable(format!("BATCHAI_PARAM_{name}"), value));
    }
    properties["environmentVariables"] = Value::Array(variables);
    let parameters: Vec<Value> = run
        .parameters
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut extension = json!({ "name": sweep, "parameters": parameters });
    if let Some(most) = arguments.max_parallel {
        extension["maxParallel"] = json!(most);
    }
    if let Some(metric) = &arguments.metric {
        let goal = match arguments.goal {
            GoalArgument::Minimize => "minimize",
            GoalArgument::Maximize => "maximize",
        };
        extension["objective"] = json!({ "metric": metric, "goal": goal });
    }
    if let Some(Rule::Median) = arguments.stop_worse_than {
        let mut stopping = json!({ "afterStep": arguments.stop_after_step.unwrap_or_default() });
        if let Some(runs) = arguments.stop_minimum_runs {
            stopping["minimumRuns"] = json!(runs);
        }
        extension["earlyStopping"] = stopping;
    }
    properties["extensions"]["sweep"] = extension;
    body
}

fn reads_parameters(body: &Value) -> bool {
    body.to_string().contains("BATCHAI_PARAM")
}

/// What `--dry-run` prints.
fn plan(context: &Context, runs: &[Run]) -> String {
    let row = |run: &Run| {
        let name = Column::new("run", &run.name).key();
        let values = run.parameters.iter();
        let values = values.map(|(name, value)| Column::new(name.clone(), value.as_str()));
        std::iter::once(name).chain(values).collect::<Vec<_>>()
    };
    rows(&runs.iter().map(row).collect::<Vec<_>>(), &context.output.layout())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: SubmitArguments,
    }

    fn arguments(line: &str) -> SubmitArguments {
        Line::try_parse_from(line.split(' ')).unwrap().arguments
    }

    fn combination(values: &[(&str, &str)]) -> Combination {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_of_runs_tell_their_parameters() {
        let one = combination(&[("lr", "0.01"), ("layers", "2")]);
        let names = |sweep: &str, runs: Vec<Combination>| {
            named(sweep, runs).into_iter().map(|run| run.name).collect::<Vec<_>>()
        };
        assert_eq!(names("digits", vec![one.clone()]), ["digits-1-lr0p01-layers2"]);
        let many = names("s", vec![one; 12]);
        assert_eq!(
            (many[0].as_str(), many[11].as_str()),
            ("s-01-lr0p01-layers2", "s-12-lr0p01-layers2")
        );
        let long = combination(&[("data", "https://example.org/a b?é"), ("x", "-1")]);
        for sweep in ["s", &"x".repeat(64)] {
            let names = names(sweep, vec![long.clone(), combination(&[("a", "-")])]);
            assert!(names.iter().all(|name| resource_name(name).is_ok()), "{names:?}");
            assert_ne!(names[0], names[1]);
        }
    }

    #[test]
    fn a_run_has_its_parameters_as_variables_and_says_its_sweep() {
        let body = json!({ "properties": { "environmentVariables": [{ "name": "A", "value": "b" }],
            "extensions": { "maxRetries": 1 } } });
        let line = "sweep -f job.json --param lr=0.1 --max-parallel 4 --metric loss --stop-worse-than median --stop-after-step 5";
        let run =
            Run { name: "s-1".to_owned(), parameters: combination(&[("lr", "0.1"), ("n", "2")]) };
        let body = body_of(&body, "s", &arguments(line), &run);
        assert_eq!(
            body["properties"],
            json!({
                "environmentVariables": [
                    { "name": "A", "value": "b" },
                    { "name": "BATCHAI_PARAMS", "value": "--lr 0.1 --n 2" },
                    { "name": "BATCHAI_PARAM_lr", "value": "0.1" },
                    { "name": "BATCHAI_PARAM_n", "value": "2" },
                ],
                "extensions": { "maxRetries": 1, "sweep": {
                    "name": "s",
                    "parameters": [{ "name": "lr", "value": "0.1" }, { "name": "n", "value": "2" }],
                    "maxParallel": 4,
                    "objective": { "metric": "loss", "goal": "minimize" },
                    "earlyStopping": { "afterStep": 5 },
                } },
            })
        );
    }

    #[test]
    fn a_parameter_is_given_once() {
        assert!(
            ensure_distinct(&arguments("sweep -f j --param a=1 --param a=2").parameters).is_err()
        );
        assert!(
            ensure_distinct(&arguments("sweep -f j --param a=1 --param b=2").parameters).is_ok()
        );
    }
}
