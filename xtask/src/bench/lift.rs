//! `cargo xtask bench lift`: what a call costs. The same job as a process of the native tool, where Debian has it, as a
//! process of stock wasmtime, both with files, and as a call of the lifted function in one process; and how fast bytes
//! flow through a lifted filter.

mod jobs;
mod stream;

use super::report::Report;
use super::samples::Samples;
use super::{Bench, Extent, keep, machine, write};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// What memory is measured in.
const MIB: f64 = 1048576.0;

/// Measures everything and prints the tables. False: a stream did not give what went into it.
pub fn run(root: &Path, extent: Extent) -> Result<bool> {
    let bench = Bench::new(root, extent, "bench-lift-cache")?;
    let machine = machine::describe(root, &bench.runtimes)?;
    let mut report = Report::new("Lifted programs", "bench lift", machine);
    if !bench.can_tell_peak() {
        report.skipped.push("peak memory: no GNU time: install Debian's package time".into());
    }
    jobs::measure(&bench, &mut report)?;
    stream::measure(&bench, &mut report)?;
    let kept = bench.run_folder(&report)?;
    keep(&report, root, &kept)
}

/// What `weir call --stats` prints.
struct Stats {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

impl Stats {
    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self { per_second: value("per second")?, p50_us: value("p50")?, p99_us: value("p99")? })
    }
}

/// Adds the peak memory of `command` to `samples`, in MiB; nothing where this machine cannot tell it.
fn add_peak(bench: &Bench<'_>, command: &Command, samples: &mut Samples) -> Result<()> {
    if let Some(bytes) = bench.peak_bytes(command)? {
        samples.push(bytes / MIB);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read_by_their_names() {
        let text = "calls                 20\nper second         392.4\np50              2548.10 us\np99              2600.50 us\nlongest          2700.00 us\n";
        let stats = Stats::parse(text).unwrap();
        assert_eq!([stats.per_second, stats.p50_us, stats.p99_us], [392.4, 2548.10, 2600.50]);
        assert!(Stats::parse("weir: no such function\n").is_none());
    }
}
