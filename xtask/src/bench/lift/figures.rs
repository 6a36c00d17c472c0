//! The figures of a call: what `weir call --stats` prints, and peak memory.

use super::super::samples::Samples;
use super::super::setting::Bench;
use anyhow::Result;
use std::process::Command;

/// What memory is measured in.
const MIB: f64 = 1048576.0;

/// What `weir call --stats` prints.
pub struct Stats {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

impl Stats {
    pub fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self { per_second: value("per second")?, p50_us: value("p50")?, p99_us: value("p99")? })
    }
}

/// Adds the peak memory of `command` to `samples`, in MiB; nothing where this machine cannot tell it.
pub fn add_peak(bench: &Bench<'_>, command: &Command, samples: &mut Samples) -> Result<()> {
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
