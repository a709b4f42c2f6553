//! CPU profile of the service: `perf record` during a load, summed by crate. A sample belongs to the
//! innermost crate on its stack that is not part of Rust's standard library. Waits for the disk are a
//! row of their own.

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::{CellAlignment, Table, presets};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PERF: &str = "perf";

/// The number of printed rows.
const ROWS: usize = 20;

/// Crates that run the code of other crates.
const TRANSPARENT: &[&str] = &["std", "core", "alloc", "hashbrown", "__rustc", "tokio"];

pub struct Recording {
    perf: Option<Child>,
    data: PathBuf,
}

impl Recording {
    /// Records the threads of one process, without its children.
    pub fn start(pid: i32, directory: &Path) -> Result<Self> {
        let data = directory.join("perf.data");
        let perf = Command::new(PERF)
            .args(["record", "-q", "-e", "cpu-clock", "-F", "499", "--call-graph", "dwarf,16384"])
            .args(["-p", &pid.to_string(), "-o"])
            .arg(&data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("--profile needs perf (on Debian: apt install linux-perf)")?;
        // perf needs some time to attach and does not report when it has.
        std::thread::sleep(Duration::from_millis(500));
        Ok(Self { perf: Some(perf), data })
    }

    /// Ends the recording and sums it by crate.
    pub fn shares(mut self) -> Result<String> {
        self.stop()?;
        eprintln!("           reading the recording with perf script");
        let mut script = Command::new(PERF)
            .args(["script", "--no-inline", "-F", "ip,sym,dso", "-i"])
            .arg(&self.data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("perf script does not start")?;
        let output = script.stdout.take().context("perf script has no output")?;
        let shares = Shares::read(BufReader::new(output))?;
        ensure!(script.wait()?.success(), "perf script failed");
        shares.table()
    }

    fn stop(&mut self) -> Result<()> {
        let Some(mut perf) = self.perf.take() else { return Ok(()) };
        let pid = rustix::process::Pid::from_child(&perf);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        perf.wait().map(drop).context("perf record does not end")
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

#[derive(Debug, Default, PartialEq)]
struct Shares {
    samples: usize,
    /// Samples by the crate that they belong to, and by each crate that is anywhere on the stack.
    own: BTreeMap<String, usize>,
    anywhere: BTreeMap<String, usize>,
}

impl Shares {
    /// Reads the output of `perf script`: one stack per paragraph, innermost frame first.
    fn read(script: impl BufRead) -> Result<Self> {
        let mut shares = Self::default();
        let mut stack = Vec::new();
        for line in script.split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if line.trim().is_empty() {
                shares.add(&stack);
                stack.clear();
            } else {
                stack.extend(frame_owner(&line));
            }
        }
        shares.add(&stack);
        Ok(shares)
    }

    fn add(&mut self, stack: &[String]) {
        if stack.is_empty() {
            return;
        }
        self.samples += 1;
        let telling = |owner: &&String| !TRANSPARENT.contains(&owner.as_str());
        // A wait for the disk is identified by the system call, outside of kernel functions.
        let owner = stack.iter().find(|owner| *owner == "fsync").or_else(|| {
            stack.iter().find(|owner| telling(owner) && *owner != "kernel" && *owner != "libc")
        });
        let owner = owner.or(stack.first()).cloned().unwrap_or_default();
        *self.own.entry(owner).or_default() += 1;
        for owner in stack.iter().collect::<BTreeSet<_>>() {
            *self.anywhere.entry(owner.clone()).or_default() += 1;
        }
    }

    fn table(&self) -> Result<String> {
        if self.samples == 0 {
            bail!("perf recorded nothing");
        }
        let mut rows: Vec<_> = self.own.iter().collect();
        rows.sort_by_key(|(_, samples)| std::cmp::Reverse(**samples));
        let percent =
            |samples: usize| format!("{:.1} %", samples as f64 * 100.0 / self.samples as f64);
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["CPU of the service, by crate", "own", "anywhere on the stack"]);
        for (owner, samples) in rows.into_iter().take(ROWS) {
            table.add_row([owner.clone(), percent(*samples), percent(self.anywhere[owner])]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let unknown = self.own.get("unknown").copied().unwrap_or_default();
        let hint = if unknown * 2 > self.samples {
            "\nThe binary has no symbols: cargo rustc --release --package cli --bin batchai -- -C strip=none"
        } else {
            ""
        };
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        Ok(format!("{}\n{} samples{hint}", lines.join("\n"), self.samples))
    }
}

/// The crate or library of a frame such as `  55d0c0de  tokio::park::park+0x1f (/usr/bin/batchai)`.
fn frame_owner(line: &str) -> Option<String> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (symbol, object) = rest.rsplit_once(" (")?;
    let (symbol, object) = (symbol.trim(), object.trim_end_matches(')'));
    if ["fsync", "fdatasync"].iter().any(|call| symbol.trim_start_matches('_').starts_with(call)) {
        return Some("fsync".to_owned());
    }
    Some(match crate_of(symbol) {
        Some(name) => name,
        // An implementation for any type, such as `<T as core::fmt::Debug>::fmt`.
        None if symbol.contains("::") => "core".to_owned(),
        None if object.starts_with('[') => "kernel".to_owned(),
        None if object.contains("libc") || object.contains("ld-linux") => "libc".to_owned(),
        None if symbol.is_empty() || symbol == "[unknown]" => "unknown".to_owned(),
        // The C code of the binary is SQLite, whose static functions have all kinds of names.
        None => "sqlite (C)".to_owned(),
    })
}

/// The first segment of a Rust path: `<&dyn a::B as c::D>::e` belongs to `a`.
fn crate_of(symbol: &str) -> Option<String> {
    let mut path = symbol;
    loop {
        let before = path;
        for prefix in ["<", "&", "*", "(", "[", "mut ", "const ", "dyn "] {
            path = path.strip_prefix(prefix).unwrap_or(path);
        }
        if path == before {
            break;
        }
    }
    let (name, _) = path.split_once("::")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_crate() {
        for (symbol, name) in [
            ("serde_json::de::from_slice", Some("serde_json")),
            ("<&mut dyn tower::Service as core::future::Future>::poll", Some("tower")),
            ("<control::jobs::Jobs as web::Api>::put::{{closure}}", Some("control")),
            ("sqlite3VdbeExec", None),
        ] {
            assert_eq!(crate_of(symbol).as_deref(), name, "{symbol}");
        }
    }

    #[test]
    fn samples_belong_to_the_innermost_crate() {
        let script = "\
            1 __memmove_avx (/usr/lib/libc.so.6)\n\
            2 <T as alloc::vec::Extend>::extend (/b)\n\
            3 serde_json::ser::to_vec (/b)\n\
            4 web::arm::answer (/b)\n\
            5 tokio::runtime::park (/b)\n\n\
            1 vfs_fsync_range ([kernel.kallsyms])\n\
            2 fdatasync (/usr/lib/libc.so.6)\n\
            3 unixSync (/b)\n\
            4 rusqlite::Connection::execute (/b)\n\n\
            1 do_syscall_64 ([kernel.kallsyms])\n\n";
        let shares = Shares::read(script.as_bytes()).unwrap();
        let own: Vec<_> = shares.own.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(own, [("fsync", 1), ("kernel", 1), ("serde_json", 1)]);
        assert_eq!((shares.samples, shares.anywhere["web"]), (3, 1));
    }
}
