//! How commands are measured: pinned, in turn with their rivals, each at least once before the first sample.

use super::machine;
use super::samples::Samples;
use super::setting::Bench;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

impl Bench<'_> {
    /// An empty folder.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scratch.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// `command`, held on one CPU: a wake-up on another one costs more than most of what is measured.
    pub fn pinned(&self, command: Command) -> Command {
        let Some(cpu) = self.cpu else { return command };
        within(Command::new("taskset").args(["-c", &cpu.to_string()]), &command)
    }

    pub fn timed(&self, command: Command) -> Result<(Duration, Output)> {
        timed_anywhere(self.pinned(command))
    }

    /// Whether [`Bench::peak_bytes`] has an answer on this machine.
    pub fn can_tell_peak(&self) -> bool {
        Path::new(TIME).exists()
    }

    /// `command` as [`Bench::peak_bytes`] runs it. It is started by a small process, because a process begins with the
    /// peak of the one that it was forked from.
    pub fn under_time(&self, command: &Command) -> Command {
        within(Command::new(TIME).args(["-f", "%M", "-o"]).arg(self.peak_said()), command)
    }

    fn peak_said(&self) -> PathBuf {
        self.scratch.join("peak")
    }

    /// The most memory that the process of `command` held at once, in bytes, mapped files included; `None` where
    /// there is no `time` to tell it.
    pub fn peak_bytes(&self, command: &Command) -> Result<Option<f64>> {
        if !self.can_tell_peak() {
            return Ok(None);
        }
        let output = process::kept(&mut self.under_time(command))?;
        if !output.status.success() {
            bail!("{}: {}\n{}", process::words(command), output.status, String::from_utf8_lossy(&output.stderr));
        }
        let said = self.peak_said();
        let text = fs::read_to_string(&said).with_context(|| format!("cannot read {}", said.display()))?;
        let kib: f64 = text.trim().parse().with_context(|| format!("{TIME} said {text}"))?;
        Ok(Some(kib * 1024.0))
    }

    pub fn guest(&self, name: &str) -> Option<PathBuf> {
        let path = self.root.join(".programs/guests").join(name);
        path.exists().then_some(path)
    }
}

/// GNU time, of the package of that name.
const TIME: &str = "/usr/bin/time";

/// Runs `command` to its end on whichever CPUs the kernel gives it: for what is more than one process.
pub fn timed_anywhere(mut command: Command) -> Result<(Duration, Output)> {
    let began = Instant::now();
    let output = process::kept(&mut command)?;
    let spent = began.elapsed();
    if !output.status.success() {
        bail!("{}: {}\n{}", process::words(&command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok((spent, output))
}

/// The command that runs `command` behind the words of `outer`, with the same variables and in the same folder.
fn within(outer: &mut Command, command: &Command) -> Command {
    let mut all = Command::new(outer.get_program());
    all.args(outer.get_args()).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        all.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => all.env(name, value),
            None => all.env_remove(name),
        };
    }
    all
}

/// What a program printed, by the names that it gives.
pub type Lines = Vec<(String, Samples)>;

/// The name of the line with the CPU time of the whole process: the one figure that a busy machine changes little.
pub const CPU_TIME: &str = "CPU time of the process";

/// Runs the commands `rounds` times in turn and collects the `name value` lines that each prints.
pub fn alternate_lines<const N: usize>(
    bench: &Bench<'_>,
    rounds: usize,
    commands: [&dyn Fn() -> Command; N],
) -> Result<[Lines; N]> {
    let mut lines: [Lines; N] = std::array::from_fn(|_| Lines::new());
    // Compiled code goes into the caches first.
    for command in commands {
        bench.timed(command())?;
    }
    for round in 0..rounds {
        for at in 0..N {
            let at = (at + round) % N;
            let before = machine::children_cpu_ms();
            let (_, output) = bench.timed(commands[at]())?;
            let spent = machine::children_cpu_ms() - before;
            collect(&output, &mut lines[at]);
            add(&mut lines[at], CPU_TIME, spent);
        }
    }
    Ok(lines)
}

pub fn collect(output: &Output, lines: &mut Lines) {
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some((name, value)) = line.split_once(' ') else { continue };
        if let Ok(value) = value.trim().parse() {
            add(lines, name, value);
        }
    }
}

fn add(lines: &mut Lines, name: &str, value: f64) {
    if !lines.iter().any(|(other, _)| other == name) {
        lines.push((name.into(), Samples::default()));
    }
    if let Some((_, samples)) = lines.iter_mut().find(|(other, _)| other == name) {
        samples.push(value);
    }
}

pub fn value_of<'a>(lines: &'a Lines, name: &str) -> Option<&'a Samples> {
    lines.iter().find(|(other, _)| other == name).map(|(_, samples)| samples)
}

pub fn on(mut command: Command, program: &Path) -> Command {
    command.arg(program);
    command
}

/// Runs the commands in turn, `rounds` times, and gives each one's times in milliseconds.
pub fn alternate_times<const N: usize>(
    bench: &Bench<'_>,
    rounds: usize,
    commands: [&dyn Fn() -> Command; N],
) -> Result<[Samples; N]> {
    let mut times: [Samples; N] = std::array::from_fn(|_| Samples::default());
    for command in commands {
        bench.timed(command())?;
    }
    for round in 0..rounds {
        // The order turns, so that nobody always follows the same neighbour.
        for at in 0..N {
            let at = (at + round) % N;
            times[at].push(bench.timed(commands[at]())?.0.as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}
