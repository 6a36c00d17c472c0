//! `cargo xtask bench pack`: what it costs to carry files inside a program: bytes at rest, time to start, memory,
//! and speed of reading. Everything is measured on the release build with caches of its own that begin empty; what
//! is compared runs in turn. A full run is kept as that of `bench run` is, and draws `docs/pack.svg`.
//!
//! Sizes are those of real programs. Time and memory are those of `guests/bench/touch.c` with a file of random
//! bytes, which no compression and no deduplication makes smaller.

mod curves;
mod figure;
mod instances;
mod peers;
mod programs;
mod sizes;
mod speed;
mod store;

use super::report::Report;
use super::{Bench, Extent, keep, machine, write};
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A megabyte, as disks count.
const MB: f64 = 1e6;

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

/// Our own programs that the measurements need.
struct Guests {
    touch: PathBuf,
    idle: PathBuf,
    io: PathBuf,
}

impl Guests {
    fn find(bench: &Bench<'_>, report: &mut Report) -> Option<Self> {
        let found = (bench.guest("bench-touch.wasm"), bench.guest("bench-idle.wasm"), bench.guest("bench-io.wasm"));
        let (Some(touch), Some(idle), Some(io)) = found else {
            report.skipped.push("start, memory and speed: no bench-touch.wasm: run scripts/guests.sh bench".into());
            return None;
        };
        Some(Self { touch, idle, io })
    }
}

/// A pack to be made.
struct Pack<'a> {
    program: &'a Path,
    mounts: &'a [(&'a str, &'a Path)],
    compress: &'a str,
    options: &'a [String],
}

impl Pack<'_> {
    fn command(&self, bench: &Bench<'_>, out: &Path) -> Command {
        let mut command = bench.runtimes.weir_command("pack");
        command.arg(self.program).args(["--compress", self.compress]).args(self.options);
        for (guest, host) in self.mounts {
            command.arg("--mount").arg(crate::programs::pair(guest, host));
        }
        command.arg("-o").arg(out).env("WEIR_STORE_DIR", bench.scratch.join("store"));
        command
    }

    /// Makes it; gives its bytes.
    fn make(&self, bench: &Bench<'_>, out: &Path) -> Result<f64> {
        process::text(&mut self.command(bench, out))?;
        bytes_of(out)
    }
}

/// A pack of `program` with `folder` at `/w`, made in the scratch folder.
fn pack_at_w(bench: &Bench<'_>, program: &Path, folder: &Path, compress: &str, name: &str) -> Result<PathBuf> {
    let out = bench.scratch.join(name);
    Pack { program, mounts: &[("/w", folder)], compress, options: &[] }.make(bench, &out)?;
    Ok(out)
}

/// A folder with one file `data.bin` of random bytes, the same in every run.
fn random_file(bench: &Bench<'_>, mb: usize) -> Result<PathBuf> {
    let folder = bench.folder(&format!("random-{mb}"))?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(mb * 1_000_000);
    while bytes.len() < mb * 1_000_000 {
        // Xorshift: nothing that a compressor could use.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    fs::write(folder.join("data.bin"), &bytes).with_context(|| format!("cannot write into {}", folder.display()))?;
    Ok(folder)
}

/// Bytes of a file, or of all files below a folder.
fn bytes_of(path: &Path) -> Result<f64> {
    let what = || format!("cannot read {}", path.display());
    let meta = fs::symlink_metadata(path).with_context(what)?;
    if !meta.is_dir() {
        return Ok(meta.len() as f64);
    }
    fs::read_dir(path).with_context(what)?.map(|entry| bytes_of(&entry?.path())).sum()
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
