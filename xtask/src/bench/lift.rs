//! `cargo xtask bench lift`: what a call costs. The same job as a process of the native tool, where Debian has it, as a
//! process of stock wasmtime, both with files, and as a call of the lifted function in one process; and how fast bytes
//! flow through a lifted filter.

mod figures;
mod jobs;
mod stream;

use super::machine;
use super::report::Report;
use super::setting::{Bench, Extent, keep};
use anyhow::Result;
use std::path::Path;

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
