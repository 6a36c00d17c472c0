//! How fast bytes flow through a lifted filter (`benches/filter.wat`), and in how much memory. It is held against the
//! copies that such a flow cannot do without, made by a few lines of native code.
//!
//! Nothing is pinned to a CPU: a pipe between two processes is meant to have two. The bytes are those of a file that
//! the kernel has in memory, and go nowhere; both ends are the same for everybody.

use super::super::measure::timed_anywhere;
use super::super::report::{Goal, Part, Report, Row};
use super::super::samples::Samples;
use super::super::setting::{Bench, Extent};
use super::figures::{Stats, add_peak};
use crate::process;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A flow is at least half as fast as its copies: within 2 times.
const HALF: Goal = Goal::AtLeast(0.5);
/// What the process of a flow may hold at once, however much flows.
const PEAK_MIB_MAX: f64 = 64.0;
/// What the filter reads at once, and the native copy with it.
const PIECE_BYTES: usize = 64 * 1024;
const PAGE_BYTES: usize = 4096;

/// Those beside the lifted filter, as the tables name them.
const COPY: &str = "a copy in memory: read, memcpy, memcpy, write";
const PIPE: &str = "two processes of `cat` and a pipe";
const STOCK: &str = "the filter in a process of stock wasmtime";

/// Measures the flow and adds its tables.
pub fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    println!("a stream");
    let folder = bench.folder("stream")?;
    let big = folder.join("big");
    let bytes = if bench.extent == Extent::Full { 1 << 30 } else { 256 << 20 };
    let measured = fill(&big, bytes).and_then(|()| {
        let flows = Flows::new(bench, folder, big.clone(), bytes)?;
        report.problems.extend(flows.problems()?);
        report.parts.push(flows.speed()?);
        report.parts.extend(flows.memory()?);
        Ok(())
    });
    // So many bytes are of no use to anybody later.
    let removed = fs::remove_file(&big).with_context(|| format!("cannot remove {}", big.display()));
    measured.and(removed)
}

/// The same flow through each of them, as lines for a shell.
struct Flows<'a> {
    bench: &'a Bench<'a>,
    big: PathBuf,
    bytes: usize,
    /// How everything was made ready.
    made: Vec<String>,
    /// Without what becomes of the bytes.
    lifted: String,
    pipe: String,
    stock: String,
}

impl<'a> Flows<'a> {
    /// Lifts the filter and compiles it for stock wasmtime.
    fn new(bench: &'a Bench<'a>, folder: PathBuf, big: PathBuf, bytes: usize) -> Result<Self> {
        let (filter, binding) = (bench.root.join("benches/filter.wat"), bench.root.join("benches/filter.lift.toml"));
        let (component, compiled) = (folder.join("filter.wasm"), folder.join("filter.cwasm"));
        let (mut lift, mut compile) = (bench.runtimes.weir_command("lift"), Command::new(&bench.runtimes.wasmtime));
        lift.arg(binding).arg("-o").arg(&component);
        compile.arg("compile").arg(filter).arg("-o").arg(&compiled);
        process::text(&mut lift)?;
        process::text(&mut compile)?;
        let (mut call, mut run) = (bench.runtimes.weir_command("call"), Command::new(&bench.runtimes.wasmtime));
        call.arg(&component).arg("--stats").arg(format!("copy(@{})", big.display()));
        run.args(["run", "--allow-precompiled"]).arg(&compiled);
        let file = process::words(&Command::new(&big));
        Ok(Self {
            bench,
            big,
            bytes,
            made: vec![process::words(&lift), process::words(&compile)],
            lifted: process::words(&call),
            pipe: format!("cat {file} | cat"),
            stock: format!("{} < {file}", process::words(&run)),
        })
    }

    /// `line` in a shell, with weir's variables.
    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        for (name, value) in self.bench.runtimes.weir_command("call").get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// The lines as they are run: the lifted filter first, then stock wasmtime and the pipe.
    fn lines(&self) -> [String; 3] {
        [&self.lifted, &self.stock, &self.pipe].map(|line| format!("{line} > /dev/null"))
    }

    /// What came out of a filter and is not what went in.
    fn problems(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for (name, line) in [("the lifted filter", &self.lifted), (STOCK, &self.stock)] {
            let line = format!("{line} | cmp - {}", process::words(&Command::new(&self.big)));
            let output = process::kept(&mut self.shell(&line))?;
            if !output.status.success() {
                let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
                problems.push(format!("{name}: other bytes than went in: {}", said.concat().replace('\n', " ")));
            }
        }
        Ok(problems)
    }

    fn gb_per_second(&self, seconds: f64) -> f64 {
        self.bytes as f64 / 1e9 / seconds
    }

    /// The copy, timed from opening the file to its last byte.
    fn native_copy(&self) -> Result<f64> {
        let began = Instant::now();
        let mut source = File::open(&self.big).with_context(|| format!("cannot read {}", self.big.display()))?;
        let mut sink = File::options().write(true).open("/dev/null").context("cannot write to /dev/null")?;
        let copied = copy(&mut source, &mut sink).context("the copy in memory failed")?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(copied == self.bytes as u64, "the copy in memory made {copied} bytes of {}", self.bytes);
        Ok(seconds)
    }

    fn speed(&self) -> Result<Part> {
        let (rounds, lines) = (self.bench.extent.rounds(15, 3), self.lines());
        let mut speeds: [Samples; 4] = std::array::from_fn(|_| Samples::default());
        let mut alone = Samples::default();
        // One round fills the caches. The order turns, so that nobody always follows the same neighbour.
        for round in 0..=rounds {
            for at in (0..4).map(|at| (at + round) % 4) {
                let (seconds, stats) = match lines.get(at) {
                    None => (self.native_copy()?, None),
                    Some(line) => {
                        let (time, output) = timed_anywhere(self.shell(line))?;
                        (time.as_secs_f64(), Stats::parse(&String::from_utf8_lossy(&output.stderr)))
                    }
                };
                if round > 0 {
                    speeds[at].push(self.gb_per_second(seconds));
                    stats.iter().for_each(|stats| alone.push(self.gb_per_second(stats.p50_us / 1e6)));
                }
            }
        }
        let [lifted, stock, pipe, copy] = speeds;
        let row = |name: String, weir: &Samples, other: &Samples, goal| Row {
            name,
            weir: weir.clone(),
            other: other.clone(),
            goal,
        };
        let rows = vec![
            row(format!("against {COPY}"), &lifted, &copy, HALF),
            row("the call alone, without the start of its process, against the same".into(), &alone, &copy, Goal::None),
            row(format!("against {PIPE}"), &lifted, &pipe, Goal::None),
            row(format!("against {STOCK}"), &lifted, &stock, Goal::None),
        ];
        Ok(Part {
            title: "A stream through a filter",
            unit: "GB/s",
            sides: ["lifted", "the other"],
            about: self.about_speed(rounds),
            commands: self.made.iter().cloned().chain(lines).collect(),
            table: None,
            rows,
        })
    }

    fn about_speed(&self, rounds: usize) -> String {
        format!(
            "Gigabytes per second, of a file of {} MiB that the kernel has in memory, to /dev/null; {rounds} alternating rounds. The filter \
             (`benches/filter.wat`) reads and writes pieces of 64 KiB; lifted, it is a function from a `stream<u8>` to a `stream<u8>`. Each \
             process is timed from its start to its end, on whichever CPUs it gets. The copy in memory is what such a flow cannot do without, \
             in native code (`copy` in `xtask/src/bench/lift/stream.rs`): a piece is read, copied into the memory of the program, copied \
             out of it, and written; its buffers lie at pages, where copies are fast. What came out of both filters was compared with the \
             file before.",
            self.bytes >> 20
        )
    }

    /// `None` where this machine cannot tell it.
    fn memory(&self) -> Result<Option<Part>> {
        if !self.bench.can_tell_peak() {
            return Ok(None);
        }
        let (rounds, lines) = (self.bench.extent.rounds(5, 1), self.lines());
        let mut peaks: [Samples; 3] = std::array::from_fn(|_| Samples::default());
        for _ in 0..rounds {
            for (line, samples) in lines.iter().zip(&mut peaks) {
                add_peak(self.bench, &self.shell(line), samples)?;
            }
        }
        let [lifted, stock, pipe] = peaks;
        let row = |name: String, other: Samples, goal| Row { name, weir: lifted.clone(), other, goal };
        Ok(Some(Part {
            title: "Memory of a stream through a filter",
            unit: "MiB",
            sides: ["lifted", "the other"],
            about: format!(
                "The most memory that a process held at once, mapped files included, while the same {} MiB flowed; more runs, {rounds} of \
                 each. Of two processes, that of the larger one.",
                self.bytes >> 20
            ),
            commands: lines.iter().map(|line| process::words(&self.bench.under_time(&self.shell(line)))).collect(),
            table: None,
            rows: vec![
                row("against what it may hold".into(), Samples::one(PEAK_MIB_MAX), Goal::AtMost(1.0)),
                row(format!("against {PIPE}"), pipe, Goal::None),
                row(format!("against {STOCK}"), stock, Goal::None),
            ],
        }))
    }
}

/// The copies of a flow: from the host into a buffer beside the program's memory, into the program's memory, out of it
/// into a buffer, to the host. Gives how many bytes there were.
///
/// Each buffer passes through `black_box`, so that no copy can be left out because only the last one is read. All begin
/// at a page: where an allocator puts them, each a few bytes further in its page than the one before, an AMD EPYC copies
/// five times more slowly, and that would be no measure.
fn copy(source: &mut impl Read, sink: &mut impl Write) -> io::Result<u64> {
    let mut room = vec![0_u8; 3 * PIECE_BYTES + PAGE_BYTES];
    let start = room.as_ptr().align_offset(PAGE_BYTES);
    let (arrived, rest) = room[start..].split_at_mut(PIECE_BYTES);
    let (held, leaving) = rest.split_at_mut(PIECE_BYTES);
    let mut copied = 0;
    loop {
        let count = source.read(arrived)?;
        if count == 0 {
            return Ok(copied);
        }
        held[..count].copy_from_slice(black_box(&arrived[..count]));
        leaving[..count].copy_from_slice(black_box(&held[..count]));
        sink.write_all(black_box(&leaving[..count]))?;
        copied += count as u64;
    }
}

/// Writes a file whose pieces all differ, so that none can be lost or change places unseen.
fn fill(path: &Path, bytes: usize) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        let mut piece = vec![0_u8; PIECE_BYTES];
        for number in 0..(bytes / PIECE_BYTES) as u64 {
            for (word, at) in piece.chunks_exact_mut(8).zip(0_u64..) {
                word.copy_from_slice(&((number << 32) | at).to_le_bytes());
            }
            file.write_all(&piece)?;
        }
        // Else the kernel writes it to the disk while others are measured.
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_gives_what_it_takes() {
        let bytes: Vec<u8> = (0..3 * PIECE_BYTES + 5).map(|at| (at % 251) as u8).collect();
        let mut copied = Vec::new();
        assert_eq!(copy(&mut bytes.as_slice(), &mut copied).unwrap(), bytes.len() as u64);
        assert!(copied == bytes);
    }
}
