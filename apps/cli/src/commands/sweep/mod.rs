//! `batchai sweep …`: runs of one job with different parameters.

mod runs;
mod show;
mod space;
mod submit;

use crate::client::is_not_found;
use crate::context::Context;
use crate::exit::Exit;
use crate::name_argument::ResourceName;
use anyhow::Result;
use clap::{Args, Subcommand};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use resources::ExecutionState;

#[cfg(test)]
pub use show::screen;

pub const HELP: &str = r#"Each run is a job like any other. Its parameters are environment variables of its command:
$BATCHAI_PARAM_lr, $BATCHAI_PARAM_layers, and all of them as options in $BATCHAI_PARAMS:

  "commandLine": "python3 train.py $BATCHAI_PARAMS"        # train.py --lr 0.1 --layers 2

Values of a parameter:
  lr=0.1,0.01,0.001     these
  layers=1:4            1, 2, 3, 4
  dropout=0:0.5:0.1     0, 0.1, … 0.5
  lr=0.0001:0.1         any number between these (--random only)
  lr=0.0001:0.1:log     the same, each order of magnitude as often (--random only)

Runs report metrics as lines of JSON, printed or in the file metrics.jsonl of an output directory:
  {"step": 10, "loss": 0.31}

--stop-worse-than median terminates a run whose best value is worse than the median of the best values of the
other runs at the same step. The service does that, and keeps --max-parallel, also when this terminal is closed.

Examples:
  batchai sweep -f job.json -c spot --param lr=0.1,0.01 --param layers=1:4
  batchai sweep -f job.json -c spot --param lr=0.0001:0.1:log --random 20 --seed 7 --max-parallel 4 \
    --metric loss --stop-worse-than median
  batchai sweep show lr-search --watch
  batchai sweep terminate lr-search"#;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    submit: submit::SubmitArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Show the runs of a sweep with their parameters and metrics, the best first
    #[command(after_help = show::HELP)]
    Show(show::ShowArguments),
    /// List the sweeps of the experiment
    #[command(visible_alias = "ls")]
    List,
    /// Terminate all runs of a sweep that have not ended
    Terminate(TerminateArguments),
}

#[derive(Args)]
struct TerminateArguments {
    #[command(flatten)]
    name: ResourceName,
    /// Accepted as for jobs; nothing is asked
    #[arg(short, long, hide = true)]
    yes: bool,
}

/// How many runs are terminated at a time.
const CONCURRENT: usize = 8;

pub async fn run(context: Context, arguments: Arguments) -> Result<Exit> {
    match arguments.command {
        Some(Command::Show(arguments)) => show::run(&context, arguments).await,
        Some(Command::List) => show::list(&context).await,
        Some(Command::Terminate(arguments)) => terminate(&context, arguments).await,
        None => submit::run(&context, arguments.submit).await,
    }
}

/// Terminates the queued runs first, so that none of them starts when others end.
async fn terminate(context: &Context, arguments: TerminateArguments) -> Result<Exit> {
    let TerminateArguments { name, yes: _ } = arguments;
    let jobs = context.scope.jobs()?;
    let mut live = runs::existing(context, &name).await?;
    live.retain(|run| !run.job.has_ended());
    let (queued, running): (Vec<_>, Vec<_>) =
        live.iter().partition(|run| run.job.properties.execution_state == ExecutionState::Queued);
    for runs in [queued, running] {
        let terminations = runs.into_iter().map(|run| async {
            match context.client.post(&jobs.join(&[&run.job.name, "terminate"])).await {
                // It was deleted meanwhile.
                Err(error) if is_not_found(&error) => Ok(()),
                answer => answer,
            }
        });
        let terminations: Vec<_> = terminations.collect();
        stream::iter(terminations).buffer_unordered(CONCURRENT).try_collect::<()>().await?;
    }
    context.output.message(match live.len() {
        0 => format!("All runs of sweep {name} have ended."),
        1 => format!("Terminated the last run of sweep {name}."),
        count => format!("Terminated {count} runs of sweep {name}."),
    });
    Ok(Exit::SUCCESS)
}
