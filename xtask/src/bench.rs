//! `cargo xtask bench run`: weir beside the stock `wasmtime` command line, in one run on one machine; and
//! `cargo xtask bench pack`, which is about programs with their files inside, and `cargo xtask bench lift`, about calls.
//!
//! Both runtimes run the same guests with their best settings and warm caches. Runs alternate, so that a busy moment
//! hits both; each figure is a median with the 10th and 90th percentile. What was measured is kept in
//! `benches/runs/DATE-MACHINE`: the raw samples, the commands, the machine and the table. A short run
//! (`--quick`) only shows that everything works, and is not kept.

pub mod lift;
mod machine;
mod measure;
pub mod pack;
mod parts;
mod report;
mod samples;
mod setting;

use anyhow::Result;
use report::Report;
pub use setting::Extent;
use setting::{Bench, keep};
use std::path::Path;

/// Measures everything and prints the table. False: the two did not give the same results.
pub fn run(root: &Path, extent: Extent) -> Result<bool> {
    let bench = Bench::new(root, extent, "bench-cache")?;
    let machine = machine::describe(root, &bench.runtimes)?;
    let mut report = Report::new("weir beside stock wasmtime", "bench run", machine);
    parts::calls(&bench, &mut report)?;
    parts::start_up(&bench, &mut report)?;
    parts::whole_runs(&bench, &mut report)?;
    parts::compute(&bench, &mut report)?;
    let folder = bench.run_folder(&report)?;
    keep(&report, root, &folder)
}
