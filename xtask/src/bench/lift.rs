//! `cargo xtask bench lift`: what a call costs. The same job as a process of the native tool, where Debian has it, as a
//! process of stock wasmtime, both with files, and as a call of the lifted function in one process.

use super::report::{Goal, Part, Report, Row};
use super::samples::Samples;
use super::{Bench, Extent, keep, machine, write};
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A process with files costs so many times more than a call.
const CHEAPER: Goal = Goal::TimesCheaper(100.0);
/// Microseconds that an instance and a call may cost, of a program that does nothing.
const NOTHING_US_MAX: f64 = 10.0;

/// A program that does nothing: what is left is the cost of calling it.
const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
const NOTHING_BINDING: &str = "program = \"nothing.wat\"\nexport = \"nothing: func(input: string) -> result<string, failure>\"\nargv = [\"nothing\"]\nstdout = \"result\"\n[files]\n\"/in.txt\" = \"input\"\n";

/// A job in its forms.
struct Job {
    name: &'static str,
    /// The binding.
    binding: PathBuf,
    call: String,
    /// Calls of one sample.
    repeat: usize,
    /// Files that a process finds in its folder.
    files: Vec<(&'static str, Vec<u8>)>,
    /// The program and its arguments, with `/w` for its folder.
    args: Vec<&'static str>,
    program: PathBuf,
    /// The same for the native tool, which runs in the folder.
    native: Option<(&'static str, Vec<&'static str>)>,
    /// What it writes.
    output: Option<&'static str>,
}

/// Measures everything and prints the table.
pub fn run(root: &Path, extent: Extent) -> Result<bool> {
    let bench = Bench::new(root, extent, "bench-lift-cache")?;
    let machine = machine::describe(root, &bench.runtimes)?;
    let mut report = Report::new("Lifted programs", "bench lift", machine);
    let folder = bench.folder("nothing")?;
    write(&folder.join("nothing.wat"), NOTHING)?;
    write(&folder.join("nothing.lift.toml"), NOTHING_BINDING)?;
    let (mut rows, mut overheads, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs(root, &folder)? {
        if !job.program.exists() {
            report.skipped.push(format!("{}: no {}: run scripts/programs.sh", job.name, job.program.display()));
            continue;
        }
        println!("{}", job.name);
        let nothing = job.name == "nothing";
        let measured = measure(&bench, &job, &mut commands)?;
        let goal = if nothing { CHEAPER } else { Goal::None };
        let row = |against: &str, other: &Samples, goal| Row {
            name: format!("{}, against {against}", job.name),
            weir: measured.call.clone(),
            other: other.clone(),
            goal,
        };
        rows.push(row("a process of stock wasmtime", &measured.stock, goal));
        match (&measured.native, job.native) {
            (Some(native), Some((tool, _))) => rows.push(row(&format!("a process of native {tool}"), native, goal)),
            (None, Some((tool, _))) => {
                report.skipped.push(format!("native {tool}: not on this machine (apt install {tool})"))
            }
            _ => {}
        }
        if nothing {
            let most = Samples::one(NOTHING_US_MAX);
            overheads.push(Row {
                name: "an instance and a call".into(),
                weir: measured.call,
                other: most,
                goal: Goal::AtMost(1.0),
            });
        }
    }
    let rounds = bench.extent.rounds(15, 2);
    report.parts.push(Part {
        title: "A call of a program that does nothing",
        unit: "us",
        sides: ["call", "may cost"],
        about: format!(
            "`weir call --repeat`, the median of its calls; {rounds} runs. A new store and a new instance each."
        ),
        commands: Vec::new(),
        table: None,
        rows: overheads,
    });
    report.parts.push(Part {
        title: "The same job",
        unit: "us",
        sides: ["call", "process"],
        about: format!(
            "Microseconds for one job, {rounds} alternating rounds. A call is the median of those of one process; a process is timed from \
             writing its input files to having read its output. wasmtime has its code compiled beforehand."
        ),
        commands,
        table: None,
        rows,
    });
    let kept = bench.run_folder(&report)?;
    keep(&report, root, &kept)
}

fn jobs(root: &Path, nothing: &Path) -> Result<Vec<Job>> {
    let programs = root.join(".programs");
    let example = |name: &str| root.join("examples/lift").join(format!("{name}.lift.toml"));
    let drawing = fs::read(root.join("benches/programs/resvg/figure.svg")).context("no drawing")?;
    let drawing_path = root.join("benches/programs/resvg/figure.svg");
    let text = b"hello".to_vec();
    let sql =
        b"create table t(a, b); insert into t values (1, 2), (3, 4); select sum(a), b from t group by b;".to_vec();
    let quoted = |bytes: &[u8]| format!("{:?}", String::from_utf8_lossy(bytes));
    Ok(vec![
        Job {
            name: "nothing",
            binding: nothing.join("nothing.lift.toml"),
            call: "nothing(\"\")".into(),
            repeat: 10_000,
            files: vec![("in.txt", Vec::new())],
            args: vec![],
            program: nothing.join("nothing.wat"),
            native: Some(("true", vec![])),
            output: None,
        },
        Job {
            name: "sqlite",
            binding: example("sqlite"),
            call: format!("query(sql: {})", quoted(&sql)),
            repeat: 200,
            files: vec![("in.sql", sql)],
            args: vec!["-bail", "-csv", "/w/in.db", ".read /w/in.sql", ".save /w/out.db"],
            program: programs.join("sqlite3.wasm"),
            native: Some(("sqlite3", vec!["-bail", "-csv", "in.db", ".read in.sql", ".save out.db"])),
            output: Some("out.db"),
        },
        Job {
            name: "flite",
            binding: example("flite"),
            call: format!("speak({})", quoted(&text)),
            repeat: 20,
            files: vec![("in.txt", text)],
            args: vec!["-f", "/w/in.txt", "-o", "/w/out.wav"],
            program: programs.join("flite.wasm"),
            native: Some(("flite", vec!["-f", "in.txt", "-o", "out.wav"])),
            output: Some("out.wav"),
        },
        Job {
            name: "resvg",
            binding: example("resvg"),
            call: format!("render(@{})", drawing_path.display()),
            repeat: 10,
            files: vec![("in.svg", drawing)],
            args: vec!["/w/in.svg", "/w/out.png"],
            program: programs.join("resvg.wasm"),
            native: None,
            output: Some("out.png"),
        },
    ])
}

struct Measured {
    call: Samples,
    stock: Samples,
    native: Option<Samples>,
}

fn measure(bench: &Bench<'_>, job: &Job, commands: &mut Vec<String>) -> Result<Measured> {
    let scratch = bench.folder(&format!("job-{}", job.name))?;
    let (component, compiled) = (scratch.join("lifted.wasm"), scratch.join("program.cwasm"));
    process::text(bench.runtimes.weir_command("lift").arg(&job.binding).arg("-o").arg(&component))?;
    process::text(Command::new(&bench.runtimes.wasmtime).arg("compile").arg(&job.program).arg("-o").arg(&compiled))?;
    let work = scratch.join("work");
    let call = || {
        let mut command = bench.runtimes.weir_command("call");
        command.arg(&component).args(["--stats", "--repeat", &job.repeat.to_string()]);
        command.arg("-o").arg(scratch.join("result/")).arg(&job.call);
        command
    };
    let stock = || {
        let mut command = Command::new(&bench.runtimes.wasmtime);
        command.args(["run", "--allow-precompiled", "--dir"]).arg(format!("{}::/w", work.display()));
        command.arg(&compiled).args(&job.args);
        command
    };
    let native = |(tool, args): &(&str, Vec<&str>)| {
        let mut command = Command::new(tool);
        command.args(args);
        command
    };
    let there = job.native.as_ref().filter(|(tool, _)| crate::portable::on_path(tool).is_some());
    commands.extend([process::words(&call()), process::words(&stock())]);
    commands.extend(there.map(|tool| process::words(&native(tool))));
    let mut measured =
        Measured { call: Samples::default(), stock: Samples::default(), native: there.map(|_| Samples::default()) };
    // One round fills the caches.
    for round in 0..=bench.extent.rounds(15, 2) {
        let p50 = median_of_calls(bench, call())?;
        let by_stock = with_files(bench, job, &work, stock())?;
        let by_native = there.map(|tool| with_files(bench, job, &work, native(tool))).transpose()?;
        if round > 0 {
            measured.call.push(p50);
            measured.stock.push(by_stock);
            if let (Some(samples), Some(time)) = (&mut measured.native, by_native) {
                samples.push(time);
            }
        }
    }
    Ok(measured)
}

/// The median that `weir call --stats` prints, in microseconds.
fn median_of_calls(bench: &Bench<'_>, command: Command) -> Result<f64> {
    let (_, output) = bench.timed(command)?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("p50")?.trim().strip_suffix(" us"));
    match (line.and_then(|line| line.parse().ok()), output.status.success()) {
        (Some(value), true) => Ok(value),
        _ => bail!("a call failed: {text}"),
    }
}

/// Microseconds of a process with files: writing its inputs, running it, reading its output.
fn with_files(bench: &Bench<'_>, job: &Job, work: &Path, command: Command) -> Result<f64> {
    let _ = fs::remove_dir_all(work);
    fs::create_dir_all(work)?;
    let mut command = bench.pinned(command);
    command.env_remove("RUST_BACKTRACE").current_dir(work);
    let began = Instant::now();
    for (name, bytes) in &job.files {
        fs::write(work.join(name), bytes)?;
    }
    let output = process::kept(&mut command)?;
    let result = job.output.map(|name| fs::read(work.join(name))).transpose();
    let time = began.elapsed();
    if !output.status.success() || result.as_ref().is_ok_and(|bytes| bytes.as_ref().is_some_and(Vec::is_empty)) {
        bail!("{} failed: {}", process::words(&command), String::from_utf8_lossy(&output.stderr));
    }
    result.with_context(|| format!("{} wrote no {}", process::words(&command), job.output.unwrap_or_default()))?;
    Ok(time.as_secs_f64() * 1e6)
}
