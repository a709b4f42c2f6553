//! Runs histories: `simulate --seeds 100000`, or one seed with its trace: `simulate --seed 7 --trace`.

use clap::Parser;
use simulation::{Options, Scenario, run_scenario, run_seeds, shrink};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Run histories of the service with seeded faults and check every invariant")]
struct Arguments {
    /// First seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Number of seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Simulated minutes until faults end [default: 1 to 8, by the seed]
    #[arg(long)]
    minutes: Option<u32>,
    /// Run only this seed
    #[arg(long)]
    seed: Option<u64>,
    /// Print the trace of the seed
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Shrink the history of the seed if it fails, and print the result
    #[arg(long, requires = "seed")]
    shrink: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options { minutes: arguments.minutes };
    match arguments.seed {
        Some(seed) => one(seed, options, &arguments),
        None => many(options, &arguments),
    }
}

fn many(options: Options, arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let seeds = arguments.first..arguments.first + arguments.seeds;
    let (failure, count) = run_seeds(seeds, options);
    let seconds = started.elapsed().as_secs_f64();
    println!("{count} seeds in {seconds:.1} s ({:.0} per second)", count as f64 / seconds);
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn one(seed: u64, options: Options, arguments: &Arguments) -> ExitCode {
    if arguments.shrink {
        let Some(shrunk) = shrink::shrink(seed, options) else {
            println!("seed {seed} does not fail");
            return ExitCode::SUCCESS;
        };
        print_scenario(&shrunk.scenario);
        shrunk.trace.iter().for_each(|line| println!("{line}"));
        println!("{} (shrunk in {} histories)", shrunk.failure, shrunk.tries);
        return ExitCode::FAILURE;
    }
    let scenario = Scenario::generate(seed, options);
    let run = run_scenario(&scenario, None, arguments.trace);
    if arguments.trace {
        print_scenario(&scenario);
        run.trace.iter().for_each(|line| println!("{line}"));
    }
    match run.failure {
        None => {
            println!("seed {seed} violates no invariant ({} steps)", run.steps);
            ExitCode::SUCCESS
        }
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn print_scenario(scenario: &Scenario) {
    let Scenario { mode, kinds, rates, events, instances, quota_nodes, .. } = scenario;
    println!("{mode:?}, {instances} instances, quota of {quota_nodes} nodes");
    println!("faults {:?}, {rates:?}", kinds.iter().collect::<Vec<_>>());
    for event in events {
        println!("  at {:>8} ms: {:?}", event.at, event.kind);
    }
}
