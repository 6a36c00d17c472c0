//! The second version of a pack by reference: the store grows by what changed, and by nothing else.

use super::super::report::{Goal, Part, Report, Row, Table};
use super::super::samples::Samples;
use super::super::setting::Bench;
use super::inputs::{MB, Pack, bytes_of, empty};
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Room for what the store writes down about a pack beside its files: their names and when they were used.
const NOTES: Goal = Goal::AtMostMore(65536.0);

/// The files of yosys that change: models of four families of chips, as a release that mends them would have.
const CHANGED: [&str; 4] = ["ice40/cells_sim.v", "ecp5/cells_sim.v", "gowin/cells_sim.v", "nexus/cells_sim.v"];

/// A program and its files in two versions.
struct Versions {
    name: &'static str,
    programs: [PathBuf; 2],
    files: [PathBuf; 2],
}

/// Packs both versions of each into a fresh store.
pub fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    empty(&bench.scratch)?;
    let programs = bench.root.join(".programs");
    let release = |number: u8| programs.join(format!("pack/nextpnr-{number}"));
    let mut all = Vec::new();
    if release(1).exists() && release(2).exists() {
        let folders = [release(1), release(2)];
        all.push(Versions {
            name: "nextpnr 0.10, then 0.11",
            programs: folders.each_ref().map(|folder| folder.join("nextpnr-ice40.wasm")),
            files: folders.map(|folder| folder.join("share")),
        });
    } else {
        report.skipped.push("two releases of nextpnr: not in .programs: run scripts/pack-data.sh nextpnr".into());
    }
    if programs.join("yosys.wasm").exists() && programs.join("yosys-share").exists() {
        let (program, share) = (programs.join("yosys.wasm"), programs.join("yosys-share"));
        let changed = changed_copy(bench, &share)?;
        let name = "yosys, then with four files changed";
        all.push(Versions { name, programs: [program.clone(), program], files: [share, changed] });
    } else {
        report.skipped.push("two versions of yosys: not in .programs: run scripts/programs.sh yosys".into());
    }
    let (mut rows, mut commands) = (Vec::new(), Vec::new());
    let headings = ["", "files", "store after the first", "whole second pack, plain", "second pack by reference"];
    let mut table = Table { headings: headings.map(String::from).into(), rows: Vec::new() };
    for versions in &all {
        println!("second version: {}", versions.name);
        let (row, cells) = versions.weigh(bench, &mut commands)?;
        rows.push(row);
        table.rows.push(cells);
    }
    let about = "Bytes that the store grows by when a second version is packed by reference, against the bytes of those \
                 files that the first version does not have. The table is in megabytes. A store keeps files as they are.";
    report.parts.push(Part {
        title: "A second version",
        unit: "bytes",
        sides: ["store grew by", "changed files"],
        about: about.into(),
        commands,
        table: Some(table),
        rows,
    });
    Ok(())
}

/// The files of yosys with a line more in four of them.
fn changed_copy(bench: &Bench<'_>, share: &Path) -> Result<PathBuf> {
    let copy = bench.folder("yosys-share")?;
    crate::programs::copy_tree(share, &copy)?;
    for name in CHANGED {
        let path = copy.join(name);
        let mut text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.extend_from_slice(b"// changed\n");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(copy)
}

impl Versions {
    fn weigh(&self, bench: &Bench<'_>, commands: &mut Vec<String>) -> Result<(Row, Vec<String>)> {
        let (store, options) = (bench.folder("store")?, ["--by-reference".to_string()]);
        let outs = ["first.wasm", "second.wasm"].map(|name| bench.scratch.join(name));
        let (mut stored, mut packs) = ([0.0; 2], [0.0; 2]);
        for at in 0..2 {
            let mounts = [("/share", self.files[at].as_path())];
            let pack = Pack { program: &self.programs[at], mounts: &mounts, compress: "none", options: &options };
            packs[at] = pack.make(bench, &outs[at])?;
            stored[at] = bytes_of(&store)?;
            commands.push(process::words(&pack.command(bench, &outs[at])));
        }
        let mounts = [("/share", self.files[1].as_path())];
        let whole = Pack { program: &self.programs[1], mounts: &mounts, compress: "none", options: &[] };
        let whole = whole.make(bench, &bench.scratch.join("whole.wasm"))?;
        let changed = changed_bytes(&self.files[0], &self.files[1])?;
        let cells = [bytes_of(&self.files[1])?, stored[0], whole, packs[1]];
        let cells = cells.map(|bytes| format!("{:.2}", bytes / MB));
        let row = Row {
            name: self.name.into(),
            weir: Samples::one(stored[1] - stored[0]),
            other: Samples::one(changed),
            goal: NOTES,
        };
        Ok((row, std::iter::once(self.name.to_string()).chain(cells).collect()))
    }
}

/// Bytes of the files of `new` that `old` does not have at the same place.
fn changed_bytes(old: &Path, new: &Path) -> Result<f64> {
    let mut sum = 0.0;
    for entry in fs::read_dir(new).with_context(|| format!("cannot list {}", new.display()))? {
        let entry = entry?;
        let before = old.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            sum += changed_bytes(&before, &entry.path())?;
        } else if fs::read(&before).ok() != Some(fs::read(entry.path())?) {
            sum += entry.metadata()?.len() as f64;
        }
    }
    Ok(sum)
}
