//! What is measured: packs, our own programs that read them, and random bytes.

use super::super::report::Report;
use super::super::setting::Bench;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A megabyte, as disks count.
pub const MB: f64 = 1e6;

/// Our own programs that the measurements need.
pub struct Guests {
    pub touch: PathBuf,
    pub idle: PathBuf,
    pub io: PathBuf,
}

impl Guests {
    pub fn find(bench: &Bench<'_>, report: &mut Report) -> Option<Self> {
        let found = (bench.guest("bench-touch.wasm"), bench.guest("bench-idle.wasm"), bench.guest("bench-io.wasm"));
        let (Some(touch), Some(idle), Some(io)) = found else {
            report.skipped.push("start, memory and speed: no bench-touch.wasm: run scripts/guests.sh bench".into());
            return None;
        };
        Some(Self { touch, idle, io })
    }
}

/// A pack to be made.
pub struct Pack<'a> {
    pub program: &'a Path,
    pub mounts: &'a [(&'a str, &'a Path)],
    pub compress: &'a str,
    pub options: &'a [String],
}

impl Pack<'_> {
    pub fn command(&self, bench: &Bench<'_>, out: &Path) -> Command {
        let mut command = bench.runtimes.weir_command("pack");
        command.arg(self.program).args(["--compress", self.compress]).args(self.options);
        for (guest, host) in self.mounts {
            command.arg("--mount").arg(crate::programs::pair(guest, host));
        }
        command.arg("-o").arg(out).env("WEIR_STORE_DIR", bench.scratch.join("store"));
        command
    }

    /// Makes it; gives its bytes.
    pub fn make(&self, bench: &Bench<'_>, out: &Path) -> Result<f64> {
        process::text(&mut self.command(bench, out))?;
        bytes_of(out)
    }
}

/// A pack of `program` with `folder` at `/w`, made in the scratch folder.
pub fn pack_at_w(bench: &Bench<'_>, program: &Path, folder: &Path, compress: &str, name: &str) -> Result<PathBuf> {
    let out = bench.scratch.join(name);
    Pack { program, mounts: &[("/w", folder)], compress, options: &[] }.make(bench, &out)?;
    Ok(out)
}

/// A folder with one file `data.bin` of random bytes, the same in every run.
pub fn random_file(bench: &Bench<'_>, mb: usize) -> Result<PathBuf> {
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
pub fn bytes_of(path: &Path) -> Result<f64> {
    let what = || format!("cannot read {}", path.display());
    let meta = fs::symlink_metadata(path).with_context(what)?;
    if !meta.is_dir() {
        return Ok(meta.len() as f64);
    }
    fs::read_dir(path).with_context(what)?.map(|entry| bytes_of(&entry?.path())).sum()
}

pub fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
