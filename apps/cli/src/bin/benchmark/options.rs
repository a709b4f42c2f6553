//! The command line of the benchmark, and the sizes that follow from it.

use crate::hyperqueue::HyperQueue;
use crate::scratch::Scratch;
use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Measure the service on this machine and compare it with HyperQueue
///
/// Starts the `batchai` binary as `batchai local` with a temporary data directory, sends requests,
/// and runs the same jobs with HyperQueue 0.27. The two sides alternate round by round, because the
/// speed of most machines varies. Each figure is the median of the rounds, with the lowest and the
/// highest value; ratios are computed per round.
#[derive(Parser)]
#[command(name = "benchmark", after_help = HELP)]
pub struct Options {
    /// Binary to measure [default: `batchai` in the directory of this program]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Run only this measurement; may be repeated
    #[arg(long, value_name = "NAME", value_enum)]
    only: Vec<Measurement>,
    /// Run one short round of everything in about a minute, as a functional check
    #[arg(long)]
    quick: bool,
    /// Number of rounds of each measurement [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Before each round, wait up to this time until other programs use little CPU
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    wait_for_quiet: u64,
    /// Do not measure HyperQueue, which needs Python and access to PyPI
    #[arg(long)]
    without_hyperqueue: bool,
    /// Record the service with `perf` during an additional round of `throughput` and print its CPU by
    /// crate
    #[arg(long)]
    profile: bool,
    /// Write all rounds of all figures to this JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Directory for data directories, on the disk to measure [default: the system's directory for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  cargo build --release && cargo run --release --bin benchmark
  cargo run --release --bin benchmark -- --quick
  cargo run --release --bin benchmark -- --only latency --rounds 9 --json latency.json

--profile needs the symbols of the binary. To link it again with symbols:
  cargo rustc --release --package cli --bin batchai -- -C strip=none

Progress is printed on stderr, the table on stdout. HyperQueue is installed from PyPI on first use,
below target/python. Other programs distort the figures, most of all the durable writes of this
service: close them, or use --wait-for-quiet. The load of the machine is printed with the figures.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// Durable jobs per second, submitted one by one; CPU per job by kind of process
    Throughput,
    /// Time from PUT to the first process, on an idle cluster
    Latency,
    /// Accepted PUTs per second, on a cluster without nodes
    Acceptance,
    /// GETs of a job and of a list
    Reads,
    /// Processes of idle nodes, time from acceptance to first instruction, output of a job
    Agent,
    /// Jobs per second with a long queue, and memory
    Backlog,
}

/// The measurements to run, their sizes, and the measured programs.
pub struct Setup {
    pub binary: PathBuf,
    pub scratch: Scratch,
    /// `None` with --without-hyperqueue.
    pub hyperqueue: Option<HyperQueue>,
    pub measurements: Vec<Measurement>,
    pub sizes: Sizes,
    pub profile: bool,
    /// How long a round may wait for a quiet machine.
    pub quiet_timeout: Duration,
}

/// How much work a measurement does per round.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub rounds: u32,
    /// Jobs of one round of `throughput`.
    pub jobs: usize,
    /// Jobs of one round of `latency`, one after the other.
    pub latency_jobs: usize,
    /// PUTs and GETs of one round.
    pub requests: usize,
    /// Output of one job.
    pub output_mebibytes: usize,
    /// Jobs in the short and in the long queue of `backlog`.
    pub short_queue: usize,
    pub long_queue: usize,
}

impl Sizes {
    const FULL: Self = Self {
        rounds: 3,
        jobs: 2000,
        latency_jobs: 200,
        requests: 3000,
        output_mebibytes: 2048,
        short_queue: 2000,
        long_queue: 20_000,
    };
    const QUICK: Self = Self {
        rounds: 1,
        jobs: 400,
        latency_jobs: 50,
        requests: 500,
        output_mebibytes: 256,
        short_queue: 400,
        long_queue: 2000,
    };
}

impl Options {
    pub fn into_setup(self) -> Result<Setup> {
        let mut sizes = if self.quick { Sizes::QUICK } else { Sizes::FULL };
        sizes.rounds = self.rounds.unwrap_or(sizes.rounds);
        let binary = match self.binary {
            Some(binary) => binary,
            None => std::env::current_exe()?.with_file_name("batchai"),
        };
        ensure!(
            binary.is_file(),
            "no binary {}: run `cargo build --release`, or set --binary FILE",
            binary.display()
        );
        let binary = binary.canonicalize().context("cannot resolve the binary's path")?;
        let all = Measurement::value_variants().to_vec();
        let measurements = if self.only.is_empty() { all } else { self.only };
        let compares = [Measurement::Throughput, Measurement::Latency];
        let hyperqueue = if !self.without_hyperqueue
            && measurements.iter().any(|measurement| compares.contains(measurement))
        {
            Some(HyperQueue::install()?)
        } else {
            None
        };
        Ok(Setup {
            binary,
            scratch: Scratch::new(&self.scratch.unwrap_or_else(std::env::temp_dir))?,
            hyperqueue,
            measurements,
            sizes,
            profile: self.profile,
            quiet_timeout: Duration::from_secs(self.wait_for_quiet * 60),
        })
    }
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
