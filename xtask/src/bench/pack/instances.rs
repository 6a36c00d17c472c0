//! Many live instances of one pack: what each of them adds to the memory of its process.

use super::super::measure::{Lines, alternate_lines, value_of};
use super::super::report::{Goal, Part, Report, Row};
use super::super::samples::Samples;
use super::super::setting::Bench;
use super::figure::{Bar, Figure, GOAL_BYTES};
use super::inputs::{Guests, empty, pack_at_w, random_file};
use crate::process;
use anyhow::Result;
use std::path::Path;
use std::process::Command;

const SMALL: Goal = Goal::AtMostMore(GOAL_BYTES);
const LARGE_MB: usize = 100;
const READ_BYTES: usize = 1_000_000;

/// Makes them, idle and after each has opened and read its file.
pub fn measure(bench: &Bench<'_>, guests: &Guests, report: &mut Report, figure: &mut Figure) -> Result<()> {
    println!("instances");
    empty(&bench.scratch)?;
    let small = pack_at_w(bench, &guests.touch, &random_file(bench, 1)?, "none", "small.wasm")?;
    let large = pack_at_w(bench, &guests.touch, &random_file(bench, LARGE_MB)?, "none", "large.wasm")?;
    let count = bench.extent.rounds(1000, 20);
    let idle = |program: &Path| instances(bench, program, count, None);
    let run = |program: &Path, bytes: usize| instances(bench, program, count, Some(bytes));
    let commands: [&dyn Fn() -> Command; 7] = [
        &|| idle(&guests.idle),
        &|| idle(&small),
        &|| idle(&large),
        &|| run(&guests.idle, 0),
        &|| run(&small, READ_BYTES),
        &|| run(&large, READ_BYTES),
        &|| run(&large, LARGE_MB * 1_000_000),
    ];
    let rounds = bench.extent.rounds(5, 1);
    let lines = alternate_lines(bench, rounds, commands)?;
    let value = |at: usize, name: &str| value_of(&lines[at] as &Lines, name).cloned().unwrap_or_default();
    let private = |at: usize| value(at, "private_bytes_per_instance");
    let names = [
        "idle: the program without files",
        "idle: a pack of 1 MB",
        "idle: a pack of 100 MB",
        "ran: the program without files",
        "ran: a pack of 1 MB, 1 MB read by each",
        "ran: a pack of 100 MB, 1 MB read by each",
        "ran: a pack of 100 MB, 100 MB read by each",
    ];
    let program = |at: usize| if at < 3 { 0 } else { 3 };
    let row = |at: usize| Row { name: names[at].into(), weir: private(at), other: private(program(at)), goal: SMALL };
    let rows: Vec<Row> = (0..names.len()).filter(|at| program(*at) != *at).map(row).collect();
    let bar = |at: usize| Bar { name: names[at].into(), bytes: private(at), own: program(at) == at };
    figure.instances = (0..names.len()).map(bar).collect();
    report.parts.push(Part {
        title: "Memory of instances",
        unit: "bytes",
        sides: ["pack", "the program itself"],
        about: format!(
            "Private bytes of a process (written pages, not mapped files) per instance of {count} that live at once, \
             {rounds} alternating runs. The program itself is the same one without files: it fills the same buffer of 64 KiB \
             and prints. Each reading instance opened its file and read it twice."
        ),
        commands: commands.iter().map(|command| process::words(&command())).collect(),
        table: None,
        rows,
    });
    report.parts.push(times_part(&[value(1, "instance_us"), value(2, "instance_us")], rounds));
    Ok(())
}

fn times_part(times: &[Samples; 2], rounds: usize) -> Part {
    let [small, large] = times.clone();
    let name = format!("a pack of {LARGE_MB} MB, against one of 1 MB");
    Part {
        title: "Time to make an instance",
        unit: "µs",
        sides: ["pack", "the smaller"],
        about: format!("Of the same idle instances, {rounds} runs: files are nothing that has to be set up."),
        commands: Vec::new(),
        table: None,
        rows: vec![Row { name, weir: large, other: small, goal: Goal::None }],
    }
}

/// The program of `crates/testkit` that makes `count` instances; each reads `bytes`, or does not run.
fn instances(bench: &Bench<'_>, program: &Path, count: usize, bytes: Option<usize>) -> Command {
    let mut command = Command::new(bench.runtimes.weir.with_file_name("instances"));
    command.env("WEIR_CACHE_DIR", bench.runtimes.cache.join("weir"));
    if bytes.is_none() {
        command.arg("--idle");
    }
    command.arg(program).arg(count.to_string());
    if let Some(bytes) = bytes {
        command.args(["/w/data.bin", &bytes.to_string()]);
    }
    command
}
