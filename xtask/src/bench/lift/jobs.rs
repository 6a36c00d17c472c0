//! One job in each of its forms. Runs alternate; a process is timed from writing its input files to having read its
//! output, which is what a call makes needless.

use super::super::report::{Goal, Part, Report, Row, Table};
use super::super::samples::Samples;
use super::super::setting::{Bench, write};
use super::figures::{Stats, add_peak};
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
    /// Calls of one process.
    repeat: usize,
    /// Processes of each kind beside it, in one round: a p99 needs a hundred of them, where that does not take minutes.
    runs: usize,
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

/// Measures the jobs and adds their tables.
pub fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let folder = bench.folder("nothing")?;
    write(&folder.join("nothing.wat"), NOTHING)?;
    write(&folder.join("nothing.lift.toml"), NOTHING_BINDING)?;
    let mut table = Table { headings: HEADINGS.map(String::from).into(), rows: Vec::new() };
    let (mut rows, mut overheads, mut commands) = (Vec::new(), Vec::new(), Vec::new());
    for job in jobs(bench.root, &folder)? {
        if !job.program.exists() {
            report.skipped.push(format!("{}: no {}: run scripts/programs.sh", job.name, job.program.display()));
            continue;
        }
        println!("{}", job.name);
        let measured = measure_job(bench, &job, &mut commands)?;
        if let (None, Some((tool, _))) = (&measured.native, &job.native) {
            report.skipped.push(format!("native {tool}: not on this machine (apt install {tool})"));
        }
        rows.extend(measured.comparisons(&job));
        table.rows.extend(measured.lines(&job));
        if job.name == "nothing" {
            overheads.push(Row {
                name: "an instance and a call".into(),
                weir: measured.call.times,
                other: Samples::one(NOTHING_US_MAX),
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
        commands: commands.iter().take(1).cloned().collect(),
        table: None,
        rows: overheads,
    });
    report.parts.push(same_job(rounds, commands, table, rows));
    Ok(())
}

fn same_job(rounds: usize, commands: Vec<String>, table: Table, rows: Vec<Row>) -> Part {
    Part {
        title: "The same job",
        unit: "us",
        sides: ["call", "process"],
        about: format!(
            "Microseconds for one job, {rounds} alternating rounds of one process that calls it many times and some processes that do it \
             once. Of a call, each figure is the median over the rounds of what `weir call --stats` says about the calls of its process. Of \
             a process, p50 and p99 are those of all its runs; it is timed from writing its input files to having read its output. A p99 of \
             few is nearly the longest. wasmtime has its code compiled beforehand. Peak memory is the most that a process held at once, \
             mapped files included, all its calls together (`/usr/bin/time -f %M` in front of the same command)."
        ),
        commands,
        table: Some(table),
        rows,
    }
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
            runs: 7,
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
            runs: 7,
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
            repeat: 100,
            runs: 7,
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
            runs: 2,
            files: vec![("in.svg", drawing)],
            args: vec!["/w/in.svg", "/w/out.png"],
            program: programs.join("resvg.wasm"),
            native: None,
            output: Some("out.png"),
        },
    ])
}

/// What one form of a job measured.
#[derive(Default)]
struct Route {
    /// Microseconds: of calls the median of each process, of processes each run.
    times: Samples,
    /// One for each round.
    per_second: Samples,
    p99: Samples,
    /// MiB.
    peak: Samples,
}

impl Route {
    fn add_calls(&mut self, stats: &Stats) {
        self.times.push(stats.p50_us);
        self.per_second.push(stats.per_second);
        self.p99.push(stats.p99_us);
    }

    /// Adds the runs of a round.
    fn add_runs(&mut self, times: &[f64]) {
        times.iter().for_each(|time| self.times.push(*time));
        self.per_second.push(times.len() as f64 * 1e6 / times.iter().sum::<f64>());
        // Few runs have no p99, so it is that of all so far.
        self.p99 = Samples::one(self.times.percentile(0.99));
    }

    /// A line of the table.
    fn line(&self, job: &Job, name: String, calls: String) -> Vec<String> {
        let figures = [&self.per_second, &self.times, &self.p99, &self.peak].map(Samples::shown);
        [job.name.into(), name, calls].into_iter().chain(figures).collect()
    }
}

const HEADINGS: [&str; 7] = ["job", "as", "calls", "calls per second", "p50, us", "p99, us", "peak memory, MiB"];

#[derive(Default)]
struct Measured {
    call: Route,
    stock: Route,
    native: Option<Route>,
}

impl Measured {
    /// The call beside each of the others.
    fn comparisons(&self, job: &Job) -> Vec<Row> {
        let row = |against: &str, other: &Samples| Row {
            name: format!("{}, against {against}", job.name),
            weir: self.call.times.clone(),
            other: other.clone(),
            goal: if job.name == "nothing" { CHEAPER } else { Goal::None },
        };
        let mut rows = vec![row("a process of stock wasmtime", &self.stock.times)];
        if let (Some(native), Some((tool, _))) = (&self.native, &job.native) {
            rows.push(row(&format!("a process of native {tool}"), &native.times));
        }
        rows
    }

    /// Each form by itself.
    fn lines(&self, job: &Job) -> Vec<Vec<String>> {
        let processes = |route: &Route| route.times.values().len().to_string();
        let calls = format!("{} × {}", self.call.times.values().len(), job.repeat);
        let mut lines = vec![
            self.call.line(job, "call".into(), calls),
            self.stock.line(job, "process of stock wasmtime".into(), processes(&self.stock)),
        ];
        if let (Some(native), Some((tool, _))) = (&self.native, &job.native) {
            lines.push(native.line(job, format!("process of native {tool}"), processes(native)));
        }
        lines
    }
}

/// The forms of a job, ready to run.
struct Forms<'a> {
    bench: &'a Bench<'a>,
    job: &'a Job,
    component: PathBuf,
    compiled: PathBuf,
    /// Where calls leave their results.
    results: PathBuf,
    /// The folder of a process.
    work: PathBuf,
}

impl<'a> Forms<'a> {
    /// Lifts the program and compiles it for stock wasmtime.
    fn new(bench: &'a Bench<'a>, job: &'a Job) -> Result<Self> {
        let scratch = bench.folder(&format!("job-{}", job.name))?;
        let (component, compiled) = (scratch.join("lifted.wasm"), scratch.join("program.cwasm"));
        process::text(bench.runtimes.weir_command("lift").arg(&job.binding).arg("-o").arg(&component))?;
        process::text(
            Command::new(&bench.runtimes.wasmtime).arg("compile").arg(&job.program).arg("-o").arg(&compiled),
        )?;
        Ok(Self { bench, job, component, compiled, results: scratch.join("result/"), work: scratch.join("work") })
    }

    fn call(&self) -> Command {
        let mut command = self.bench.runtimes.weir_command("call");
        command.arg(&self.component).args(["--stats", "--repeat", &self.job.repeat.to_string()]);
        command.arg("-o").arg(&self.results).arg(&self.job.call);
        command
    }

    fn stock(&self) -> Command {
        let mut command = Command::new(&self.bench.runtimes.wasmtime);
        command.args(["run", "--allow-precompiled", "--dir"]).arg(format!("{}::/w", self.work.display()));
        command.arg(&self.compiled).args(&self.job.args).current_dir(&self.work);
        command
    }

    /// `None` where there is no such tool, or not on this machine.
    fn native(&self) -> Option<Command> {
        let (tool, args) = self.job.native.as_ref()?;
        crate::portable::on_path(tool)?;
        let mut command = Command::new(tool);
        command.args(args).current_dir(&self.work);
        Some(command)
    }

    /// An empty folder for a process.
    fn empty(&self) -> Result<()> {
        let _ = fs::remove_dir_all(&self.work);
        fs::create_dir_all(&self.work).with_context(|| format!("cannot make {}", self.work.display()))
    }

    fn lay_out(&self) -> Result<()> {
        let write = |(name, bytes): &(&str, Vec<u8>)| {
            fs::write(self.work.join(name), bytes).with_context(|| format!("cannot write {name}"))
        };
        self.job.files.iter().try_for_each(write)
    }

    /// What calls in one process cost.
    fn calls(&self) -> Result<Stats> {
        let (_, output) = self.bench.timed(self.call())?;
        let text = String::from_utf8_lossy(&output.stderr);
        Stats::parse(&text).with_context(|| format!("a call failed: {text}"))
    }

    /// Microseconds of a process with files: writing its inputs, running it, reading its output.
    fn process(&self, command: Command) -> Result<f64> {
        self.empty()?;
        let mut command = self.bench.pinned(command);
        command.env_remove("RUST_BACKTRACE");
        let began = Instant::now();
        self.lay_out()?;
        let output = process::kept(&mut command)?;
        let result = self.job.output.map(|name| fs::read(self.work.join(name))).transpose();
        let time = began.elapsed();
        if !output.status.success() || result.as_ref().is_ok_and(|bytes| bytes.as_ref().is_some_and(Vec::is_empty)) {
            bail!("{} failed: {}", process::words(&command), String::from_utf8_lossy(&output.stderr));
        }
        let wrote_none = || format!("{} wrote no {}", process::words(&command), self.job.output.unwrap_or_default());
        result.with_context(wrote_none)?;
        Ok(time.as_secs_f64() * 1e6)
    }

    /// A round: the calls, and then the processes in turn.
    fn round(&self) -> Result<(Stats, Vec<f64>, Vec<f64>)> {
        let (calls, mut by_stock, mut by_native) = (self.calls()?, Vec::new(), Vec::new());
        for _ in 0..self.job.runs {
            by_stock.push(self.process(self.stock())?);
            if let Some(native) = self.native() {
                by_native.push(self.process(native)?);
            }
        }
        Ok((calls, by_stock, by_native))
    }

    fn peaks(&self, measured: &mut Measured) -> Result<()> {
        add_peak(self.bench, &self.call(), &mut measured.call.peak)?;
        let with_files = |command: &Command, route: &mut Route| {
            self.empty()?;
            self.lay_out()?;
            add_peak(self.bench, command, &mut route.peak)
        };
        with_files(&self.stock(), &mut measured.stock)?;
        match (self.native(), &mut measured.native) {
            (Some(command), Some(route)) => with_files(&command, route),
            _ => Ok(()),
        }
    }
}

fn measure_job(bench: &Bench<'_>, job: &Job, commands: &mut Vec<String>) -> Result<Measured> {
    let forms = Forms::new(bench, job)?;
    commands.extend([process::words(&forms.call()), process::words(&forms.stock())]);
    commands.extend(forms.native().as_ref().map(process::words));
    let mut measured = Measured { native: forms.native().map(|_| Route::default()), ..Measured::default() };
    // One round fills the caches.
    forms.round()?;
    for _ in 0..bench.extent.rounds(15, 2) {
        let (calls, by_stock, by_native) = forms.round()?;
        measured.call.add_calls(&calls);
        measured.stock.add_runs(&by_stock);
        if let Some(native) = &mut measured.native {
            native.add_runs(&by_native);
        }
    }
    for _ in 0..bench.extent.rounds(5, 1) {
        forms.peaks(&mut measured)?;
    }
    Ok(measured)
}
