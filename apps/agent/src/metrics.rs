//! What the node measures for those who look at it: load and memory of the machine, and its GPUs.

use std::fs;
use std::path::Path;

use protocol::{GpuMetrics, Metrics};

/// Of the machine, now, with what was measured of the GPUs. `None` when the kernel does not tell.
pub fn measure(gpus: Vec<GpuMetrics>) -> Option<Metrics> {
    let read = |name: &str| fs::read_to_string(Path::new("/proc").join(name)).ok();
    parse(&read("loadavg")?, &read("meminfo")?, gpus)
}

fn parse(load: &str, memory: &str, gpus: Vec<GpuMetrics>) -> Option<Metrics> {
    let load: f64 = load.split_whitespace().next()?.parse().ok()?;
    let (total, available) = (mib(memory, "MemTotal:")?, mib(memory, "MemAvailable:")?);
    Some(Metrics {
        load_percent: (load * 100.0).round() as u32,
        memory_used_mib: total.saturating_sub(available),
        memory_total_mib: total,
        gpus,
    })
}

/// `MemTotal:       24689764 kB`
fn mib(memory: &str, name: &str) -> Option<u32> {
    let line = memory.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    u32::try_from(kib / 1024).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_and_memory_are_those_of_the_kernel() {
        let memory = "MemTotal:       24689764 kB\nMemFree: 1 kB\nMemAvailable:   20480000 kB\nCached: 2 kB\n";
        let metrics = parse("1.25 0.80 0.70 2/500 12345\n", memory, Vec::new()).unwrap();
        assert_eq!(metrics.load_percent, 125);
        assert_eq!((metrics.memory_used_mib, metrics.memory_total_mib), (4111, 24_111));
        assert_eq!(parse("1.25 0.80", "MemTotal: 5 kB\n", Vec::new()), None);
        assert!(measure(Vec::new()).is_some_and(|it| it.memory_total_mib > 0), "this machine");
    }
}
