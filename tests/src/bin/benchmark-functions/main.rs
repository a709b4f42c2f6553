//! Measures the Lambda functions under the Runtime API, beside a function that does nothing: size, start, memory
//! and warm invocations. AWS is emulated on this machine, so times include the answers of the emulators; the CPU
//! time is that of the function alone.

mod events;
mod measure;
mod process;
mod report;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use report::Report;
use std::path::PathBuf;

/// Measure the Lambda functions on this machine, beside a function that does nothing
///
/// Starts each function as Lambda does, with its table, queues and other services emulated on this
/// machine, and sends it events. Prints size, start (from the start of the process until it asks for
/// the first event), memory, and the time of invocations, and which aims hold.
#[derive(Parser)]
#[command(name = "benchmark-functions", after_help = HELP)]
struct Options {
    /// Directory of the binaries: target/lambda of cargo-lambda, or target/release of cargo
    #[arg(value_name = "DIR")]
    binaries: PathBuf,
    /// How often each function is started
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Warm invocations of each function
    #[arg(long, value_name = "N", default_value_t = 200,
        value_parser = clap::value_parser!(u32).range(1..=100_000))]
    invocations: u32,
    /// Format of the figures on stdout
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    output: Format,
}

const HELP: &str = "\
The functions take turns, round by round. Times and CPU are medians; memory is the most that a
function had resident until its last invocation. Other programs distort the times.

Examples:
  target/debug/benchmark-functions target/lambda
  target/debug/benchmark-functions target/release --rounds 30 -o json";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let programs = measure::programs(&options.binaries)?;
    let functions = measure::all(&programs, options.rounds, options.invocations).await?;
    let report = Report { functions };
    match options.output {
        Format::Table => println!("{}", report.table()),
        Format::Json => println!("{:#}", report.json()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
    }
}
