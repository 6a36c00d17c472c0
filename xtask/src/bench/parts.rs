//! What is measured: calls, start-up, whole runs, computing.

use super::measure::{CPU_TIME, Lines, alternate_lines, alternate_times, on, value_of};
use super::report::{Goal, Part, Report, Row, WEIR_AND_STOCK};
use super::samples::Samples;
use super::setting::{Bench, write};
use crate::process;
use crate::programs::{self, Case, REAL};
use anyhow::Result;
use std::fs;
use std::process::Command;

/// Goals of single calls, by the names that `guests/bench/io.c` prints. What has none is for information.
const CALL_GOALS: [(&str, Goal); 9] = [
    ("read_64", Goal::TimesCheaper(30.0)),
    ("read_64_mounted", Goal::TimesCheaper(30.0)),
    ("write_64", Goal::TimesCheaper(30.0)),
    ("pread_4k", Goal::TimesCheaper(15.0)),
    ("pread_4k_mounted", Goal::TimesCheaper(15.0)),
    ("open_close", Goal::TimesCheaper(15.0)),
    ("stat", Goal::TimesCheaper(25.0)),
    ("readdir_entry", Goal::TimesCheaper(50.0)),
    ("seek", Goal::None),
];

/// A 4 KiB read is held against the same copy inside the guest, too.
const AGAINST_MEMCPY: [&str; 2] = ["pread_4k", "pread_4k_mounted"];
const MEMCPY_TIMES_MAX: f64 = 2.0;

/// Room for noise where the goal is "not slower": what two runs of one command differ by on a quiet machine.
const NOT_SLOWER: Goal = Goal::AtMost(1.05);

/// One call at a time, measured inside the guest.
pub fn calls(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let Some(guest) = bench.guest("bench-io.wasm") else {
        report.skipped.push("single calls: no bench-io.wasm: run scripts/guests.sh bench".into());
        return Ok(());
    };
    println!("single calls");
    let folder = bench.folder("calls")?;
    fs::write(folder.join("data.bin"), vec![7_u8; 64 * 1024])?;
    let arguments = ["/w", "/w/data.bin"];
    let weir = || {
        let mut command = bench.runtimes.weir();
        command.arg("--mount").arg(format!("/w={}", folder.display())).arg(&guest).args(arguments);
        command
    };
    let stock = || {
        let mut command = bench.runtimes.stock();
        command.arg("--dir").arg(format!("{}::/w", folder.display())).arg(&guest).args(arguments);
        command
    };
    let rounds = bench.extent.rounds(9, 1);
    let [ours, theirs] = alternate_lines(bench, rounds, [&weir, &stock])?;
    let copy = bench.root.join("benches/memory-copy.wat");
    let [our_copy, their_copy] =
        alternate_lines(bench, rounds, [&|| on(bench.runtimes.weir(), &copy), &|| on(bench.runtimes.stock(), &copy)])?;
    let copies = |title: &str, name: &str| {
        let of = |lines: &Lines| value_of(lines, name).cloned().unwrap_or_default();
        Row { name: title.into(), weir: of(&our_copy), other: of(&their_copy), goal: Goal::None }
    };
    let mut rows = vec![
        copies("memory.copy of 4 KiB", "memory.copy"),
        copies("memory.copy of 4 KiB, 16 bytes further in its page", "memory.copy_behind"),
    ];
    let memcpy = rows[0].weir.median();
    for (name, weir) in ours.into_iter().filter(|(name, _)| !name.contains('.') && name != CPU_TIME) {
        let goal = CALL_GOALS.iter().find(|(other, _)| *other == name).map_or(Goal::None, |(_, goal)| *goal);
        let stock = value_of(&theirs, &name).cloned().unwrap_or_default();
        if AGAINST_MEMCPY.contains(&name.as_str()) {
            let goal = Goal::TimesReference(MEMCPY_TIMES_MAX, memcpy);
            rows.push(Row { name: format!("{name}, against memcpy"), weir: weir.clone(), other: stock.clone(), goal });
        }
        rows.push(Row { name, weir, other: stock, goal });
    }
    let about = format!(
        "Nanoseconds per call, measured inside the guest (`guests/bench/io.c`): weir with the folder mounted as data, stock wasmtime with the \
         host's folder. {rounds} alternating runs; each gives the median of 15 batches. `readdir_entry` is one of 1,000 entries; `_mounted` is a \
         file that was mounted, the others are files that the guest wrote. `memory.copy` is a copy inside a guest \
         (`benches/memory-copy.wat`), and `memcpy` is that of the C library which the guest was compiled with."
    );
    let commands = vec![process::words(&weir()), process::words(&stock())];
    report.parts.push(Part {
        title: "Single calls",
        unit: "ns",
        sides: WEIR_AND_STOCK,
        about,
        commands,
        table: None,
        rows,
    });
    Ok(())
}

/// A program that prints one line, so that only starting and ending is left.
const HELLO: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "hello\n")
  (func (export "_start") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"#;

/// From the start of the process to its end, with compiled code at hand.
pub fn start_up(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    println!("start-up");
    let folder = bench.folder("start")?;
    let (text, module, compiled) = (folder.join("hello.wat"), folder.join("hello.wasm"), folder.join("hello.cwasm"));
    write(&text, HELLO)?;
    process::text(
        Command::new(programs::tools().join("bin/wasm-tools")).arg("parse").arg(&text).arg("-o").arg(&module),
    )?;
    process::text(Command::new(&bench.runtimes.wasmtime).arg("compile").arg(&module).arg("-o").arg(&compiled))?;

    let precompiled = || {
        let mut command = Command::new(&bench.runtimes.wasmtime);
        command.args(["run", "--allow-precompiled"]).arg(&compiled);
        command
    };
    let weir = || on(bench.runtimes.weir(), &module);
    let weir_mount = || {
        let mut command = bench.runtimes.weir();
        command.arg("--mount").arg(format!("/w={}", folder.display())).arg(&module);
        command
    };
    let cached = || on(bench.runtimes.stock(), &module);
    let cached_dir = || {
        let mut command = bench.runtimes.stock();
        command.arg("--dir").arg(format!("{}::/w", folder.display())).arg(&module);
        command
    };
    let rounds = bench.extent.rounds(200, 10);
    let all: [&dyn Fn() -> Command; 5] = [&weir, &cached, &precompiled, &weir_mount, &cached_dir];
    let [weir_times, cached_times, precompiled_times, weir_mount_times, cached_dir_times] =
        alternate_times(bench, rounds, all)?;
    let row = |name: &str, weir: &Samples, stock: Samples| Row {
        name: name.into(),
        weir: weir.clone(),
        other: stock,
        goal: NOT_SLOWER,
    };
    let rows = vec![
        row("a line of output; stock from its cache", &weir_times, cached_times),
        row("a line of output; stock from a file compiled beforehand", &weir_times, precompiled_times),
        row("the same with a folder, mounted or preopened; stock from its cache", &weir_mount_times, cached_dir_times),
    ];
    let about = format!(
        "Milliseconds from start to end of the process; {rounds} alternating runs after one that fills the caches."
    );
    let commands = all.iter().map(|command| process::words(&command())).collect();
    report.parts.push(Part {
        title: "Start-up",
        unit: "ms",
        sides: WEIR_AND_STOCK,
        about,
        commands,
        table: None,
        rows,
    });
    Ok(())
}

/// Real programs from start to end, and whether both wrote the same bytes.
pub fn whole_runs(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let (mut rows, mut commands) = (Vec::new(), Vec::new());
    let rounds = bench.extent.rounds(11, 2);
    for case in &REAL {
        if !case.is_there(bench.root) {
            report.skipped.push(format!("{}: no .programs/{}: run scripts/programs.sh", case.name, case.program));
            continue;
        }
        println!("whole runs: {}", case.name);
        let differences = programs::differences(bench.root, &bench.runtimes, case)?;
        if !differences.is_empty() {
            report.problems.push(format!("{}: {}", case.name, differences.join("; ")));
            continue;
        }
        rows.push(whole_run(bench, case, rounds, &mut commands)?);
    }
    let about = format!(
        "Milliseconds from start to end of the process, writing the results to the host included; {rounds} alternating runs, compiled code \
         from the caches. Before that, one run each was compared: output, exit code and every written file were the same, byte by byte."
    );
    report.parts.push(Part {
        title: "Whole runs of real programs",
        unit: "ms",
        sides: WEIR_AND_STOCK,
        about,
        commands,
        table: None,
        rows,
    });
    Ok(())
}

fn whole_run(bench: &Bench<'_>, case: &Case, rounds: usize, commands: &mut Vec<String>) -> Result<Row> {
    let work = bench.scratch.join("work").join(case.name);
    let saved = bench.folder("saved")?;
    let (mut weir, mut stock) = (Samples::default(), Samples::default());
    commands.push(process::words(&case.weir(bench.root, &bench.runtimes, &work, Some(&saved))));
    commands.push(process::words(&case.stock(bench.root, &bench.runtimes, &work)?));
    for round in 0..rounds {
        // Who comes first changes, so that nobody always follows the same neighbour.
        for turn in 0..2 {
            case.lay_out(bench.root, &work)?;
            if (round + turn) % 2 == 0 {
                let command = case.weir(bench.root, &bench.runtimes, &work, Some(&saved));
                weir.push(bench.timed(command)?.0.as_secs_f64() * 1e3);
            } else {
                let command = case.stock(bench.root, &bench.runtimes, &work)?;
                stock.push(bench.timed(command)?.0.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(Row { name: case.name.into(), weir, other: stock, goal: NOT_SLOWER })
}

/// Work without files.
pub fn compute(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let Some(guest) = bench.guest("bench-compute.wasm") else {
        report.skipped.push("computing: no bench-compute.wasm: run scripts/guests.sh bench".into());
        return Ok(());
    };
    println!("computing");
    let (weir, stock) = (|| on(bench.runtimes.weir(), &guest), || on(bench.runtimes.stock(), &guest));
    let rounds = bench.extent.rounds(7, 1);
    let [ours, theirs] = alternate_lines(bench, rounds, [&weir, &stock])?;
    let mut rows = Vec::new();
    for (name, weir) in ours {
        let stock = value_of(&theirs, &name).cloned().unwrap_or_default();
        if name.ends_with(".checksum") {
            if weir.median() != stock.median() {
                report.problems.push(format!("{name}: {} instead of {}", weir.median(), stock.median()));
            }
            continue;
        }
        rows.push(Row { name, weir, other: stock, goal: NOT_SLOWER });
    }
    let about = format!(
        "Milliseconds, measured inside the guest (`guests/bench/compute.c`); {rounds} alternating runs. The checksums were the same."
    );
    let commands = vec![process::words(&weir()), process::words(&stock())];
    report.parts.push(Part {
        title: "Computing",
        unit: "ms",
        sides: WEIR_AND_STOCK,
        about,
        commands,
        table: None,
        rows,
    });
    Ok(())
}
