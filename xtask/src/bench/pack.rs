//! `cargo xtask bench pack`: what it costs to carry files inside a program: bytes at rest, time to start, memory,
//! and speed of reading. Everything is measured on the release build with caches of its own that begin empty; what
//! is compared runs in turn. A full run is kept as that of `bench run` is, and draws `docs/pack.svg`.
//!
//! Sizes are those of real programs. Time and memory are those of `guests/bench/touch.c` with a file of random
//! bytes, which no compression and no deduplication makes smaller.

mod curves;
mod figure;
mod inputs;
mod instances;
mod peers;
mod programs;
mod sizes;
mod speed;
mod store;

use super::machine;
use super::report::Report;
use super::setting::{Bench, Extent, keep, write};
use crate::process;
use anyhow::{Result, bail};
use inputs::{Guests, empty};
use std::path::Path;

/// Measures everything, prints the tables and draws the figure. False: results were not the same.
pub fn run(root: &Path, extent: Extent) -> Result<bool> {
    let bench = Bench::new(root, extent, "bench-pack-cache")?;
    let built = process::shown(process::cargo(root).args([
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--package=weir-testkit",
        "--bins",
    ]))?;
    if !built {
        bail!("weir-testkit does not build");
    }
    empty(&bench.runtimes.cache)?;
    let machine = machine::describe(root, &bench.runtimes)?;
    let mut report = Report::new("Packs", "bench pack", machine);
    peers::note(&mut report);
    sizes::measure(&bench, &mut report)?;
    store::measure(&bench, &mut report)?;
    let mut figure = figure::Figure::default();
    if let Some(guests) = Guests::find(&bench, &mut report) {
        curves::start_up(&bench, &guests, &mut report, &mut figure)?;
        curves::touched(&bench, &guests, &mut report, &mut figure)?;
        instances::measure(&bench, &guests, &mut report, &mut figure)?;
        speed::measure(&bench, &guests, &mut report)?;
    }
    let folder = bench.run_folder(&report)?;
    let drawn = figure.svg();
    write(&folder.join("pack.svg"), &drawn)?;
    if extent == Extent::Full {
        write(&root.join("docs/pack.svg"), &drawn)?;
    }
    // Gigabytes of random bytes are of no use to anybody later.
    empty(&bench.scratch)?;
    keep(&report, root, &folder)
}
