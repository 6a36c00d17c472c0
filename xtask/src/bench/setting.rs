//! What every part of the benchmarks needs: the builds that are compared, how long to measure, and where a
//! report is kept.

use super::machine;
use super::report::Report;
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
    pub fn rounds(self, full: usize, quick: usize) -> usize {
        match self {
            Extent::Full => full,
            Extent::Quick => quick,
        }
    }
}

/// What every part needs.
pub struct Bench<'a> {
    pub root: &'a Path,
    pub runtimes: Runtimes,
    pub extent: Extent,
    /// A folder for files that a run uses, emptied before each.
    pub scratch: PathBuf,
    /// The CPU that everything is pinned to, where pinning is possible.
    pub cpu: Option<usize>,
}

impl<'a> Bench<'a> {
    /// The release build, with a cache of its own, so that whatever ran before does not matter.
    pub fn new(root: &'a Path, extent: Extent, cache: &str) -> Result<Self> {
        let mut runtimes = Runtimes::find(root, "release")?;
        if !runtimes.stock_is_there() {
            bail!("there is nothing to compare with at {}: run scripts/tools.sh", runtimes.wasmtime.display());
        }
        runtimes.cache = runtimes.cache.with_file_name(cache);
        let scratch = runtimes.cache.join("scratch");
        Ok(Self { root, runtimes, extent, scratch, cpu: machine::cpu_to_pin() })
    }

    /// Where this run is kept.
    pub fn run_folder(&self, report: &Report) -> Result<PathBuf> {
        let folder = match self.extent {
            Extent::Full => new_folder(&self.root.join("benches/runs"), &machine::label(&report.machine))?,
            Extent::Quick => self.runtimes.cache.join("quick"),
        };
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// Writes and prints a report. False: it found problems.
pub fn keep(report: &Report, root: &Path, folder: &Path) -> Result<bool> {
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

pub fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
