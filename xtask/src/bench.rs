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

use crate::process;
use crate::programs::Runtimes;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Enough rounds to be kept.
    Full,
    /// Enough to see that it works.
    Quick,
}

impl Extent {
    fn rounds(self, full: usize, quick: usize) -> usize {
        match self {
            Extent::Full => full,
            Extent::Quick => quick,
        }
    }
}

/// What every part needs.
pub struct Bench<'a> {
    root: &'a Path,
    runtimes: Runtimes,
    extent: Extent,
    /// A folder for files that a run uses, emptied before each.
    scratch: PathBuf,
    /// The CPU that everything is pinned to, where pinning is possible.
    cpu: Option<usize>,
}

impl<'a> Bench<'a> {
    /// The release build, with a cache of its own, so that whatever ran before does not matter.
    fn new(root: &'a Path, extent: Extent, cache: &str) -> Result<Self> {
        let mut runtimes = Runtimes::find(root, "release")?;
        if !runtimes.stock_is_there() {
            bail!("there is nothing to compare with at {}: run scripts/tools.sh", runtimes.wasmtime.display());
        }
        runtimes.cache = runtimes.cache.with_file_name(cache);
        let scratch = runtimes.cache.join("scratch");
        Ok(Self { root, runtimes, extent, scratch, cpu: machine::cpu_to_pin() })
    }

    /// Where this run is kept.
    fn run_folder(&self, report: &report::Report) -> Result<PathBuf> {
        let folder = match self.extent {
            Extent::Full => new_folder(&self.root.join("benches/runs"), &machine::label(&report.machine))?,
            Extent::Quick => self.runtimes.cache.join("quick"),
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// Measures everything and prints the table. False: the two did not give the same results.
pub fn run(root: &Path, extent: Extent) -> Result<bool> {
    let bench = Bench::new(root, extent, "bench-cache")?;
    let machine = machine::describe(root, &bench.runtimes)?;
    let mut report = report::Report::new("weir beside stock wasmtime", "bench run", machine);
    parts::calls(&bench, &mut report)?;
    parts::start_up(&bench, &mut report)?;
    parts::whole_runs(&bench, &mut report)?;
    parts::compute(&bench, &mut report)?;
    let folder = bench.run_folder(&report)?;
    keep(&report, root, &folder)
}

/// Writes and prints a report. False: it found problems.
fn keep(report: &report::Report, root: &Path, folder: &Path) -> Result<bool> {
    let table = report.markdown(root);
    write(&folder.join("README.md"), &table)?;
    write(&folder.join("raw.json"), &format!("{:#}\n", report.json(root)))?;
    println!("\n{table}\nkept in {}", folder.display());
    Ok(report.problems.is_empty())
}

/// A folder that is not there yet: a second run on one day gets a number.
fn new_folder(parent: &Path, label: &str) -> Result<PathBuf> {
    let today = process::text(std::process::Command::new("date").arg("+%F"))?;
    let name = format!("{}-{label}", today.trim());
    let candidates = std::iter::once(name.clone()).chain((2..100).map(|number| format!("{name}-{number}")));
    candidates.map(|name| parent.join(name)).find(|path| !path.exists()).context("a hundred runs in one day are enough")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
