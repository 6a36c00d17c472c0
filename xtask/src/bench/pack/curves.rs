//! Time and memory as functions of what is packed and of what is read.

use super::super::measure::{alternate_times, on};
use super::super::report::{Goal, Part, Report, Row, Table};
use super::super::samples::{Samples, number};
use super::super::setting::{Bench, Extent};
use super::figure::{Figure, Line};
use super::inputs::{Guests, MB, bytes_of, empty, pack_at_w, random_file};
use crate::process;
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Megabytes packed. The greatest is within the limit of bytes of a module, which engines put at 1 GiB.
const PACKED_MB: [usize; 5] = [1, 5, 20, 100, 500];
/// The same for a short run.
const PACKED_MB_QUICK: [usize; 5] = [1, 2, 3, 4, 5];
/// The pack of which a part is read, and the parts.
const READ_OF_MB: usize = 100;
const READ_MB: [usize; 6] = [0, 1, 10, 25, 50, 100];

/// A pack that is as fast as a small one to start: what two runs of one command differ by, and a little.
const AS_FAST: Goal = Goal::AtMost(1.10);
/// Memory is a matter of pages: around the first and the last that is touched, the kernel maps what it holds as one
/// large page, up to 2 MiB. That does not grow with the pack.
const AS_MUCH: Goal = Goal::AtMostMore(4.0);

/// Times of one size, under each runner.
#[derive(Default)]
struct Sized {
    mb: usize,
    pack: f64,
    first_ms: f64,
    cache: f64,
    weir: Samples,
    stock: Samples,
    precompiled: Samples,
    by_dir: Samples,
}

/// From the start of the process to its end, by megabytes packed; the program opens its file and reads nothing.
pub fn start_up(bench: &Bench<'_>, guests: &Guests, report: &mut Report, figure: &mut Figure) -> Result<()> {
    let quick = bench.extent == Extent::Quick;
    let (mut sizes, mut packs) = (Vec::new(), Vec::new());
    for mb in if quick { PACKED_MB_QUICK } else { PACKED_MB } {
        println!("start-up: {mb} MB");
        let pack = pack_at_w(bench, &guests.touch, &random_file(bench, mb)?, "none", &format!("start-{mb}.wasm"))?;
        let cache = bench.runtimes.cache.join("weir");
        let before = bytes_of(&cache).unwrap_or(0.0);
        let first_ms = bench.timed(weir(bench, &pack, 0))?.0.as_secs_f64() * 1e3;
        let cache = bytes_of(&cache)? - before;
        compile(bench, &pack)?;
        let [stock] = alternate_times(bench, bench.extent.rounds(15, 1), [&|| stock(bench, &pack, 0)])?;
        sizes.push(Sized { mb, pack: bytes_of(&pack)?, first_ms, cache, stock, ..Sized::default() });
        packs.push(pack);
    }
    // What takes milliseconds runs in turn, all sizes, so that a busy moment hits each.
    let commands: [_; 15] = std::array::from_fn(|at| {
        let (pack, mb) = (&packs[at % 5], sizes[at % 5].mb);
        move || match at / 5 {
            0 => weir(bench, pack, 0),
            1 => precompiled(bench, &pack.with_extension("cwasm"), 0),
            _ => by_dir(bench, guests, &bench.scratch.join(format!("random-{mb}")), 0),
        }
    });
    let shown = commands.each_ref().map(|command| command as &dyn Fn() -> Command);
    let times = alternate_times(bench, bench.extent.rounds(150, 5), shown)?;
    for (at, times) in times.into_iter().enumerate() {
        let size = &mut sizes[at % 5];
        *[&mut size.weir, &mut size.precompiled, &mut size.by_dir][at / 5] = times;
    }
    draw_start(&sizes, figure);
    report.parts.push(start_part(bench, guests, &sizes, &packs));
    Ok(())
}

fn weir(bench: &Bench<'_>, pack: &Path, bytes: usize) -> Command {
    reads(on(bench.runtimes.weir(), pack), bytes)
}

fn reads(mut command: Command, bytes: usize) -> Command {
    command.args(["/w/data.bin", &bytes.to_string()]);
    command
}

/// The stock command line with the pack, from its cache.
fn stock(bench: &Bench<'_>, pack: &Path, bytes: usize) -> Command {
    reads(on(bench.runtimes.stock(), pack), bytes)
}

/// The same with the pack compiled beforehand.
fn precompiled(bench: &Bench<'_>, compiled: &Path, bytes: usize) -> Command {
    let mut command = Command::new(&bench.runtimes.wasmtime);
    command.args(["run", "--allow-precompiled"]).arg(compiled);
    reads(command, bytes)
}

/// The program without a pack, and the host's folder.
fn by_dir(bench: &Bench<'_>, guests: &Guests, folder: &Path, bytes: usize) -> Command {
    let mut command = bench.runtimes.stock();
    command.arg("--dir").arg(format!("{}::/w", folder.display()));
    reads(on(command, &guests.touch), bytes)
}

fn compile(bench: &Bench<'_>, pack: &Path) -> Result<PathBuf> {
    let compiled = pack.with_extension("cwasm");
    process::text(Command::new(&bench.runtimes.wasmtime).arg("compile").arg(pack).arg("-o").arg(&compiled))?;
    Ok(compiled)
}

fn draw_start(sizes: &[Sized], figure: &mut Figure) {
    let line = |name: &str, of: &dyn Fn(&Sized) -> Samples| Line {
        name: name.into(),
        points: sizes.iter().map(|size| (size.mb as f64, of(size))).collect(),
        computed: false,
    };
    figure.start = vec![
        line("weir run PACK", &|size| size.weir.clone()),
        line("wasmtime run PACK, from its cache", &|size| size.stock.clone()),
        line("wasmtime run PACK, compiled beforehand", &|size| size.precompiled.clone()),
        line("wasmtime run --dir, no pack", &|size| size.by_dir.clone()),
    ];
}

fn start_part(bench: &Bench<'_>, guests: &Guests, sizes: &[Sized], packs: &[PathBuf]) -> Part {
    let words = [
        "packed, MB",
        "pack, MB",
        "weir, ms",
        "stock from its cache, ms",
        "stock, compiled beforehand, ms",
        "stock with `--dir` and no pack, ms",
        "weir's very first run, ms",
        "weir's cache, MB",
    ];
    let cells = |size: &Sized| {
        let times = [&size.weir, &size.stock, &size.precompiled, &size.by_dir].map(Samples::shown);
        let (mb, pack) = (size.mb.to_string(), number(size.pack / MB));
        let rest = [number(size.first_ms), number(size.cache / MB)];
        [mb, pack].into_iter().chain(times).chain(rest).collect()
    };
    let table = Table { headings: words.map(String::from).into(), rows: sizes.iter().map(cells).collect() };
    let rows = sizes[1..].iter().enumerate().map(|(at, size)| Row {
        name: format!("{} MB, against {} MB", size.mb, sizes[0].mb),
        weir: size.weir.clone(),
        other: sizes[0].weir.clone(),
        goal: if at + 2 == sizes.len() { AS_FAST } else { Goal::None },
    });
    let about = format!(
        "Milliseconds from start to end of the process; the program opens its file and reads nothing. Packs carry one file of random \
         bytes, plain. {} alternating runs after one that fills the caches; {} of stock from its cache. The very first run links, compiles and \
         writes the cache, which holds what was packed once more, so that later runs can map it.",
        bench.extent.rounds(150, 5),
        bench.extent.rounds(15, 1)
    );
    let last = packs.last().map_or_else(PathBuf::new, Clone::clone);
    let folder = bench.scratch.join(format!("random-{}", sizes[sizes.len() - 1].mb));
    let commands = [
        weir(bench, &last, 0),
        stock(bench, &last, 0),
        precompiled(bench, &last.with_extension("cwasm"), 0),
        by_dir(bench, guests, &folder, 0),
    ];
    Part {
        title: "Start-up",
        unit: "ms",
        sides: ["pack", "the smallest"],
        about,
        commands: commands.iter().map(process::words).collect(),
        table: Some(table),
        rows: rows.collect(),
    }
}

/// The most memory of a run, by megabytes read out of one pack.
pub fn touched(bench: &Bench<'_>, guests: &Guests, report: &mut Report, figure: &mut Figure) -> Result<()> {
    println!("memory by bytes read");
    empty(&bench.scratch)?;
    let small = pack_at_w(bench, &guests.touch, &random_file(bench, 1)?, "none", "small.wasm")?;
    let folder = random_file(bench, READ_OF_MB)?;
    let pack = pack_at_w(bench, &guests.touch, &folder, "none", "large.wasm")?;
    let compiled = compile(bench, &pack)?;
    for command in [weir(bench, &small, 0), weir(bench, &pack, 0), stock(bench, &pack, 0)] {
        bench.timed(command)?;
    }
    if bench.peak_bytes(&weir(bench, &small, 0))?.is_none() {
        report.skipped.push("memory by bytes read: no GNU time: install Debian's package time".into());
        return Ok(());
    }
    let rounds = bench.extent.rounds(7, 1);
    let peaks = |command: &dyn Fn() -> Command| -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..rounds {
            samples.push(bench.peak_bytes(&command())?.unwrap_or(f64::NAN) / MB);
        }
        Ok(samples)
    };
    let base = peaks(&|| weir(bench, &small, 0))?;
    let (mut points, mut stock_points, mut compiled_points, mut rows) = (vec![], vec![], vec![], vec![]);
    for mb in READ_MB {
        let bytes = mb * 1_000_000;
        let samples = peaks(&|| weir(bench, &pack, bytes))?;
        stock_points.push((mb as f64, peaks(&|| stock(bench, &pack, bytes))?));
        compiled_points.push((mb as f64, peaks(&|| precompiled(bench, &compiled, bytes))?));
        let name = format!("{mb} MB read of {READ_OF_MB} MB");
        let other = Samples::one(base.median() + mb as f64);
        rows.push(Row { name, weir: samples.clone(), other, goal: AS_MUCH });
        points.push((mb as f64, samples));
    }
    let all: Vec<_> = READ_MB.iter().map(|mb| (*mb as f64, Samples::one(base.median() + READ_OF_MB as f64))).collect();
    let table = touched_table([&points, &stock_points, &compiled_points]);
    let line = |name: &str, points, computed| Line { name: name.into(), points, computed };
    figure.touched = vec![
        line("weir run PACK", points, false),
        line("wasmtime run PACK, from its cache", stock_points, false),
        line("wasmtime run PACK, compiled beforehand", compiled_points, false),
        line("if everything were loaded (computed)", all, true),
    ];
    let about = format!(
        "The most memory that the process held at once, mapped files included (`time -f %M`), in megabytes; {rounds} runs. It is held \
         against the memory of a run that reads nothing from a pack of 1 MB, and the megabytes read: pages that are not touched are \
         not loaded. The pages of the pack are those of a file, which all processes share and the kernel can take back."
    );
    let commands = [weir(bench, &pack, READ_OF_MB * 1_000_000), stock(bench, &pack, READ_OF_MB * 1_000_000)];
    report.parts.push(Part {
        title: "Memory by bytes read",
        unit: "MB",
        sides: ["resident", "1 MB pack + read"],
        about,
        commands: commands.iter().map(process::words).collect(),
        table: Some(table),
        rows,
    });
    Ok(())
}

fn touched_table(lines: [&Vec<(f64, Samples)>; 3]) -> Table {
    let words = ["read, MB", "weir, MB", "stock from its cache, MB", "stock, compiled beforehand, MB"];
    let row = |at: usize| {
        let figures = lines.map(|points| points[at].1.shown());
        std::iter::once(number(lines[0][at].0)).chain(figures).collect()
    };
    Table { headings: words.map(String::from).into(), rows: (0..lines[0].len()).map(row).collect() }
}
