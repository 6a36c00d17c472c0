//! Bytes at rest: packs of real programs against the same program and files compressed by the zstd command line.

use super::super::report::{Goal, Part, Report, Row, Table};
use super::super::samples::Samples;
use super::super::setting::{Bench, Extent};
use super::inputs::{MB, Pack, bytes_of, empty};
use super::programs::{PACKED, Packed};
use crate::process;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// The goal: as small as the program and its files, compressed one by one with the same settings.
const AS_SMALL: Goal = Goal::AtMost(1.03);

/// Level 19 is also the one of weir, and the highest without `--ultra`.
const LEVEL: &str = "-19";

/// What one program weighs, in bytes.
#[derive(Default)]
struct Weights {
    program: f64,
    files: f64,
    /// Packs, and packs of the program alone, with `none`, `lz4` and `zstd`.
    packs: [f64; 3],
    without: [f64; 3],
    pruned: Option<f64>,
    by_reference: f64,
    store: f64,
    /// The files as the zstd command line compresses them: each, and all in one stream.
    each: Option<f64>,
    stream: Option<f64>,
    elsewhere: Option<f64>,
}

const CODECS: [&str; 3] = ["none", "lz4", "zstd"];

/// Weighs every program that is there.
pub fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let zstd = Command::new("zstd").arg("--version").output().is_ok();
    if !zstd {
        report.skipped.push("sizes against zstd: there is no zstd command: install Debian's package zstd".into());
    }
    let (mut rows, mut table, mut commands) = (Vec::new(), headings(), Vec::new());
    for packed in &PACKED {
        if !packed.is_there(bench.root) {
            report.skipped.push(format!("sizes of {}: not in .programs: run scripts/pack-data.sh", packed.name));
        } else if packed.long && bench.extent == Extent::Quick {
            report.skipped.push(format!("sizes of {}: this run is short", packed.name));
        } else {
            println!("sizes: {}", packed.name);
            let weights = weigh(bench, packed, zstd, &mut commands)?;
            table.rows.push(weights.cells(packed.name));
            rows.extend(weights.rows(packed));
        }
    }
    report.parts.push(Part {
        title: "Bytes at rest",
        unit: "MB",
        sides: ["pack", "the other"],
        about: ABOUT.into(),
        commands,
        table: Some(table),
        rows,
    });
    Ok(())
}

const ABOUT: &str = "\
Megabytes (a million bytes). *Pruned* leaves out the files that a typical run did not open (`weir trace`), and is compressed with \
zstd. *By reference* leaves all files in the store, where each is kept once. The last columns are the program as it is \
and its files: as they are, each compressed by `zstd -19` (weir's own level), and all of them as one `tar | zstd -19`. weir compresses \
what it drops from a program while linking (DWARF), so a pack can be smaller than its program; *carried* is \
therefore the pack less a pack of the program without files, and is held against the files alone. Identical files are in a pack once.

nextpnr reads all of its databases at every start, even for `--help`, so nothing can be pruned. ruby imports \
functions of a JavaScript host, so weir packs it but cannot trace it.";

fn weigh(bench: &Bench<'_>, packed: &Packed, zstd: bool, commands: &mut Vec<String>) -> Result<Weights> {
    let (root, options) = (bench.root, packed.options());
    let (program, files) = (packed.program(root), packed.files(root));
    let out = bench.scratch.join(format!("{}.wasm", packed.name));
    empty(&bench.scratch)?;
    let mounts = [(packed.guest, files.as_path())];
    let mut weights = Weights { program: bytes_of(&program)?, files: bytes_of(&files)?, ..Weights::default() };
    for (at, compress) in CODECS.into_iter().enumerate() {
        let pack = Pack { program: &program, mounts: &mounts, compress, options: &options };
        weights.packs[at] = pack.make(bench, &out)?;
        commands.push(process::words(&pack.command(bench, &out)));
        weights.without[at] = Pack { mounts: &[], ..pack }.make(bench, &out)?;
    }
    let trace = bench.scratch.join(format!("{}.trace", packed.name));
    if let Some(mut command) = packed.trace(bench, &trace) {
        process::text(&mut command)?;
        let options = [&options[..], &["--prune".into(), trace.display().to_string()]].concat();
        let pack = Pack { program: &program, mounts: &mounts, compress: "zstd", options: &options };
        weights.pruned = Some(pack.make(bench, &out)?);
        commands.extend([process::words(&command), process::words(&pack.command(bench, &out))]);
    }
    let options = [&options[..], &["--by-reference".into()]].concat();
    let pack = Pack { program: &program, mounts: &mounts, compress: "none", options: &options };
    weights.by_reference = pack.make(bench, &out)?;
    weights.store = bytes_of(&bench.scratch.join("store/blobs"))?;
    commands.push(process::words(&pack.command(bench, &out)));
    if zstd {
        let (each, stream) = by_zstd(bench, &files)?;
        (weights.each, weights.stream) = (Some(each), Some(stream));
    }
    if let Some((name, _)) = packed.made_elsewhere {
        weights.elsewhere = bytes_of(&root.join(".programs").join(name)).ok();
    }
    Ok(weights)
}

/// The bytes of `files`, each compressed, and as one archive.
fn by_zstd(bench: &Bench<'_>, files: &Path) -> Result<(f64, f64)> {
    let (mirror, archive) = (bench.folder("each")?, bench.scratch.join("all.tar"));
    let mut tar = Command::new("tar");
    process::text(tar.arg("-C").arg(files).arg("-cf").arg(&archive).arg("."))?;
    // Both at once, each on one CPU: it is their size that counts. In the folder, so that the copies lie side by side.
    let mut each = Command::new("zstd");
    each.current_dir(files).args([LEVEL, "-q", "-r", ".", "--output-dir-mirror"]).arg(&mirror);
    let mut each = each.spawn().context("cannot run zstd")?;
    let mut stream = Command::new("zstd");
    process::text(stream.args([LEVEL, "-q", "-f", "--single-thread"]).arg(&archive))?;
    if !each.wait()?.success() {
        bail!("zstd failed in {}", files.display());
    }
    Ok((bytes_of(&mirror)?, bytes_of(&archive.with_extension("tar.zst"))?))
}

impl Weights {
    fn cells(&self, name: &str) -> Vec<String> {
        let shown = |bytes: Option<f64>| bytes.map_or_else(|| "–".into(), |bytes| format!("{:.2}", bytes / MB));
        let with_program = |files: Option<f64>| shown(files.map(|files| self.program + files));
        let [none, lz4, zstd] = self.packs.map(|bytes| shown(Some(bytes)));
        vec![
            name.into(),
            shown(Some(self.program)),
            shown(Some(self.files)),
            none,
            lz4,
            zstd,
            shown(self.pruned),
            format!("{} + {}", shown(Some(self.by_reference)), shown(Some(self.store))),
            with_program(Some(self.files)),
            with_program(self.each),
            with_program(self.stream),
        ]
    }

    fn rows(&self, packed: &Packed) -> Vec<Row> {
        let name = packed.name;
        let row = |what: &str, weir: f64, other: f64, goal| {
            let (weir, other) = (Samples::one(weir / MB), Samples::one(other / MB));
            Row { name: format!("{name}: {what}"), weir, other, goal }
        };
        let (zstd, carried) = (self.packs[2], self.packs[2] - self.without[2]);
        let mut rows = vec![
            row("plain pack, against program + files", self.packs[0], self.program + self.files, Goal::None),
            row("plain pack, carried, against files", self.packs[0] - self.without[0], self.files, Goal::None),
        ];
        if let (Some(each), Some(stream)) = (self.each, self.stream) {
            rows.extend([
                row("zstd pack, against program + each file by zstd", zstd, self.program + each, AS_SMALL),
                row("zstd pack, carried, against each file by zstd", carried, each, Goal::None),
                row("zstd pack, carried, against one stream of tar by zstd", carried, stream, Goal::None),
            ]);
        }
        if let (Some(bytes), Some((_, tool))) = (self.elsewhere, packed.made_elsewhere) {
            rows.push(row(&format!("plain pack, against the same made by {tool}"), self.packs[0], bytes, Goal::None));
        }
        rows
    }
}

fn headings() -> Table {
    let words = [
        "",
        "program",
        "files",
        "pack, plain",
        "pack, lz4",
        "pack, zstd",
        "pack, pruned",
        "by reference: pack + store",
        "program + files",
        "program + each file by zstd",
        "program + tar by zstd",
    ];
    Table { headings: words.map(String::from).into(), rows: Vec::new() }
}
