//! Plays histories: `simulate --seeds 100000`, or one seed to read, `simulate --seed 7 --trace`.

use clap::Parser;
use simulation::{Options, Scenario, play_all, play_scenario, shrink};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
#[command(about = "Plays histories of the service with seeded faults and checks every invariant")]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// How many seeds are played.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Simulated minutes until faults stop.
    #[arg(long)]
    minutes: Option<u32>,
    /// Plays this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints everything that happens in it.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Makes its history as short as possible, if it fails, and prints that.
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
    let (failure, played) = play_all(seeds, options);
    let seconds = started.elapsed().as_secs_f64();
    println!("{played} seeds played in {seconds:.1} s ({:.0} per second)", played as f64 / seconds);
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
        println!("{} (after {} histories)", shrunk.failure, shrunk.tries);
        return ExitCode::FAILURE;
    }
    let scenario = Scenario::draw(seed, options);
    let played = play_scenario(&scenario, None, arguments.trace);
    if arguments.trace {
        print_scenario(&scenario);
        played.trace.iter().for_each(|line| println!("{line}"));
    }
    match played.failure {
        None => {
            println!("seed {seed} keeps every rule ({} steps)", played.steps);
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
        println!("  at {:>8} ms: {:?}", event.at, event.what);
    }
}
