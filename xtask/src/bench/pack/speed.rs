//! How fast packed files are read: a call of 4 KiB, and whole megabytes for the first time and again.

use super::super::measure::{Lines, alternate_lines, on, value_of};
use super::super::report::{Goal, Part, Report, Row, Table};
use super::super::samples::{Samples, number};
use super::super::setting::Bench;
use super::inputs::{Guests, MB, empty, pack_at_w};
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CODECS: [&str; 3] = ["none", "lz4", "zstd"];
/// A read against the same copy inside the guest.
const MEMCPY_TIMES_MAX: f64 = 2.0;
const STOCK: Goal = Goal::TimesCheaper(15.0);
/// What was decompressed once is read like what never was compressed: the goals above hold for it, too, and neither a
/// call nor a megabyte costs much more.
const THE_SAME: Goal = Goal::AtMost(1.25);
/// Bytes that are read through: real files, as many as a pack keeps decompressed (32 MiB), less some.
const THROUGH_BYTES: usize = 20_000_000;

pub fn measure(bench: &Bench<'_>, guests: &Guests, report: &mut Report) -> Result<()> {
    println!("speed");
    empty(&bench.scratch)?;
    calls(bench, guests, report)?;
    through(bench, guests, report)
}

/// `pread` of 4 KiB, by the same program as in `bench run`.
fn calls(bench: &Bench<'_>, guests: &Guests, report: &mut Report) -> Result<()> {
    let folder = bench.folder("calls")?;
    fs::write(folder.join("data.bin"), "What is packed shrinks.\n".repeat(4096))?;
    let arguments = |mut command: Command| {
        command.args(["/w", "/w/data.bin"]);
        command
    };
    let mut packs = Vec::new();
    for codec in CODECS {
        packs.push(pack_at_w(bench, &guests.io, &folder, codec, &format!("io-{codec}.wasm"))?);
    }
    let weir = |at: usize| arguments(on(bench.runtimes.weir(), &packs[at]));
    let stock = || {
        let mut command = bench.runtimes.stock();
        command.arg("--dir").arg(format!("{}::/w", folder.display()));
        arguments(on(command, &guests.io))
    };
    let copy = bench.root.join("benches/memory-copy.wat");
    let copying = || on(bench.runtimes.weir(), &copy);
    let rounds = bench.extent.rounds(9, 1);
    let all: [&dyn Fn() -> Command; 5] = [&|| weir(0), &|| weir(1), &|| weir(2), &stock, &copying];
    let lines = alternate_lines(bench, rounds, all)?;
    let value = |at: usize, name: &str| value_of(&lines[at] as &Lines, name).cloned().unwrap_or_default();
    let [plain, lz4, zstd, stock_read] = [0, 1, 2, 3].map(|at| value(at, "pread_4k_mounted"));
    let row = |name: &str, weir: &Samples, other: &Samples, goal| Row {
        name: name.into(),
        weir: weir.clone(),
        other: other.clone(),
        goal,
    };
    let rows = vec![
        row("plain, against memory.copy", &plain, &value(4, "memory.copy"), Goal::AtMost(MEMCPY_TIMES_MAX)),
        row("plain, against stock wasmtime with the host's folder", &plain, &stock_read, STOCK),
        row("lz4, against memory.copy", &lz4, &value(4, "memory.copy"), Goal::AtMost(MEMCPY_TIMES_MAX)),
        row("lz4, against stock wasmtime with the host's folder", &lz4, &stock_read, STOCK),
        row("lz4, against plain", &lz4, &plain, THE_SAME),
        row("zstd, against memory.copy", &zstd, &value(4, "memory.copy"), Goal::AtMost(MEMCPY_TIMES_MAX)),
        row("zstd, against stock wasmtime with the host's folder", &zstd, &stock_read, STOCK),
        row("zstd, against plain", &zstd, &plain, THE_SAME),
        row("open and close, against stock", &value(0, "open_close"), &value(3, "open_close"), Goal::None),
    ];
    report.parts.push(Part {
        title: "A read of 4 KiB out of a pack",
        unit: "ns",
        sides: ["pack", "the other"],
        about: format!(
            "Nanoseconds per `fd_pread`, measured inside the guest (`guests/bench/io.c`), {rounds} alternating runs. The file was read \
             before, so its chunk is decompressed. `memory.copy` is a copy of 4 KiB inside a guest (`benches/memory-copy.wat`)."
        ),
        commands: all.iter().map(|command| process::words(&command())).collect(),
        table: None,
        rows,
    });
    Ok(())
}

/// Some megabytes of real files, read from start to end, twice.
fn through(bench: &Bench<'_>, guests: &Guests, report: &mut Report) -> Result<()> {
    let folder = bench.folder("through")?;
    let data = folder.join("data.bin");
    let bytes = gather(bench.root, &data)?;
    if bytes < THROUGH_BYTES {
        report.skipped.push("reading through real files: .programs has too few: run scripts/pack-data.sh".into());
        return Ok(());
    }
    let mut packs = Vec::new();
    for codec in CODECS {
        packs.push(pack_at_w(bench, &guests.touch, &folder, codec, &format!("through-{codec}.wasm"))?);
    }
    let read = |at: usize| {
        let mut command = on(bench.runtimes.weir(), &packs[at]);
        command.args(["/w/data.bin", &bytes.to_string()]);
        command
    };
    let rounds = bench.extent.rounds(9, 1);
    let all: [&dyn Fn() -> Command; 3] = [&|| read(0), &|| read(1), &|| read(2)];
    let lines = alternate_lines(bench, rounds, all)?;
    let value = |at: usize, name: &str| value_of(&lines[at] as &Lines, name).cloned().unwrap_or_default();
    let sums: Vec<f64> = (0..3).map(|at| value(at, "first.sum").median()).collect();
    if sums.iter().any(|sum| *sum != sums[0]) {
        report.problems.push(format!("the packs with none, lz4 and zstd read different bytes: {sums:?}"));
    }
    let native = [None, lz4_speed(&data), zstd_speed(bench, &data)];
    let words = ["", "first time, MB/s", "again, MB/s", "native decoder, MB/s", "first time ÷ native"];
    let cells = |at: usize| {
        let (first, native) = (value(at, "first"), native[at]);
        let ratio = native.map_or_else(|| "–".into(), |native| number(first.median() / native));
        let native = native.map_or_else(|| "–".into(), number);
        vec![CODECS[at].to_string(), first.shown(), value(at, "again").shown(), native, ratio]
    };
    let table = Table { headings: words.map(String::from).into(), rows: (0..3).map(cells).collect() };
    let again = |at: usize| {
        let mut times = Samples::default();
        value(at, "again").values().iter().for_each(|speed| times.push(bytes as f64 / MB * 1e3 / speed));
        times
    };
    let row = |at: usize| Row {
        name: format!("{} MB read again: {}, against plain", number(bytes as f64 / MB), CODECS[at]),
        weir: again(at),
        other: again(0),
        goal: THE_SAME,
    };
    report.parts.push(Part {
        title: "Megabytes out of a pack",
        unit: "ms",
        sides: ["pack", "plain"],
        about: format!(
            "{} MB of the files of yosys and ruby, read from start to end in blocks of 64 KiB, twice; measured inside the guest \
             (`guests/bench/touch.c`), {rounds} alternating runs. The first time decompresses, inside WebAssembly, one chunk after \
             another; the native decoders are those of the command lines: `lz4 -b1`, and `zstd -b -d` of a file that `zstd -19` made. \
             The first time of the plain pack is the time of the kernel to map its pages.",
            number(bytes as f64 / MB)
        ),
        commands: all.iter().map(|command| process::words(&command())).collect(),
        table: Some(table),
        rows: vec![row(1), row(2)],
    });
    Ok(())
}

/// Fills `out` with real files, in the order of their names; gives how many bytes there are.
fn gather(root: &Path, out: &Path) -> Result<usize> {
    let mut bytes = Vec::new();
    let mut folders = ["yosys-share", "pack/ruby-lib"].map(|name| root.join(".programs").join(name)).to_vec();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else {
                bytes.extend(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
            }
        }
    }
    bytes.truncate(THROUGH_BYTES);
    fs::write(out, &bytes).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(bytes.len())
}

/// What the lz4 command line says that it decompresses `data` with.
fn lz4_speed(data: &Path) -> Option<f64> {
    let said = said(Command::new("lz4").args(["-b1", "-i2"]).arg(data))?;
    last_speed(&said)
}

/// The same of zstd, for a file that was compressed with weir's level.
fn zstd_speed(bench: &Bench<'_>, data: &Path) -> Option<f64> {
    let packed = bench.scratch.join("through.zst");
    said(Command::new("zstd").args(["-19", "-q", "-f"]).arg(data).arg("-o").arg(&packed))?;
    let said = said(Command::new("zstd").args(["-b", "-d", "-i2"]).arg(&packed))?;
    last_speed(&said)
}

/// What a command prints on both streams; `None` where it is missing or fails.
fn said(command: &mut Command) -> Option<String> {
    let output = process::kept(command).ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

/// The number before the last `MB/s`: that of decompressing, which both print last.
fn last_speed(said: &str) -> Option<f64> {
    let (before, _) = said.rsplit_once("MB/s")?;
    before.trim_end().rsplit(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_speed_is_that_of_decompressing() {
        let line = "\r 1#data.bin : 2000 -> 900 (2.222), 612.3 MB/s ,3105.5 MB/s \n";
        assert_eq!(last_speed(line), Some(3105.5));
        assert_eq!(last_speed("no benchmark"), None);
    }
}
