//! Plays seeds of the simulation until one fails: `simulate --first 0 --seeds 100000`.

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Plays histories of the service with seeded faults and checks every invariant")]
struct Options {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many seeds are played.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let failures = tests::simulation::run_all(options.first..options.first + options.seeds);
    for failure in &failures {
        println!("{failure}");
    }
    println!("{} seeds played, {} failed", options.seeds, failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
