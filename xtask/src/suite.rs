//! Everything that must pass before a change is kept: what the README names as the tests, and what CI calls.
//!
//! A step that lacks something which not every machine has (a registry, the guest compiler) is skipped, and
//! says so: silence would look like success.

use crate::tally::Tally;
use crate::{lifted, portable, process, programs, tidy};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    All,
    /// What needs neither the guest compiler nor a registry.
    Quick,
}

/// Runs all steps, also after one failed, and prints the sum. False: something failed.
pub fn run(root: &Path, extent: Extent) -> Result<bool> {
    let began = Instant::now();
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let mut step = |name: &'static str, act: &dyn Fn() -> Result<Tally>| -> Result<()> {
        println!("\n== {name}");
        let result = act().with_context(|| format!("the step `{name}`"))?;
        if result.failed > 0 {
            failed.push(name);
        }
        tally.add(result);
        Ok(())
    };
    step("format", &|| format(root))?;
    step("tidy", &|| tidy::run(root).map(Tally::of))?;
    if extent == Extent::All {
        step("tools", &|| script(root, &["scripts/tools.sh", "--guests"]))?;
        step("committed guests", &|| script(root, &["scripts/shim.sh", "--check"]))?;
        step("test programs", &|| scripts(root, "scripts/guests.sh", &GUESTS))?;
        step("real programs", &|| scripts(root, "scripts/programs.sh", &PROGRAMS))?;
        step("other hosts", &|| scripts(root, "scripts/engines.sh", &ENGINES))?;
    }
    step("clippy", &|| clippy(root))?;
    step("tests", &|| cargo_test(root))?;
    if extent == Extent::All {
        step("weir beside wasmtime", &|| programs::compare_all(root))?;
        step("packs on every host", &|| portable::compare_all(root))?;
        step("lifted programs from every caller", &|| lifted::compare_all(root))?;
    }
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    let Tally { passed, failed: count, skipped } = tally;
    println!();
    for name in &failed {
        println!("failed: {name}");
    }
    let seconds = began.elapsed().as_secs();
    println!("test result: {word}. {passed} passed; {count} failed; {skipped} skipped; finished in {seconds} s");
    Ok(failed.is_empty())
}

/// Reruns the command-line tests whose path holds a filter and keeps what they print.
pub fn bless(root: &Path, filters: &[&str]) -> Result<bool> {
    let mut command = process::cargo(root);
    command.args(["test", "--quiet", "--package=weir", "--test=cli", "--"]).args(filters).env("BLESS", "1");
    process::shown(&mut command)
}

fn format(root: &Path) -> Result<Tally> {
    let mut right = process::shown(process::cargo(root).args(["fmt", "--all", "--", "--check", "--color=never"]))?;
    for manifest in manifests_outside(root)? {
        right &= process::shown(process::cargo(root).args(["fmt", "--manifest-path"]).arg(manifest).args([
            "--",
            "--check",
            "--color=never",
        ]))?;
    }
    if !right {
        println!("format: run `cargo fmt --all` (and with --manifest-path for guests)");
    }
    Ok(Tally::of(right))
}

/// Packages that are workspaces of their own, because they are compiled for another target or compiler.
fn manifests_outside(root: &Path) -> Result<Vec<PathBuf>> {
    let outside = |file: &tidy::File| {
        file.path.ends_with("/Cargo.toml") && file.text.lines().any(|line| line.trim_end() == "[workspace]")
    };
    Ok(tidy::read_all(root)?.iter().filter(|file| outside(file)).map(|file| root.join(&file.path)).collect())
}

/// The crates in two halves: those that stand on the engine, and the rest. The linker's tests turn on features of
/// crates that wasmtime has, too; built together with them it would be compiled a second time.
const HALVES: [&[&str]; 2] = [
    &["--package=weir", "--package=weir-cli", "--package=weir-engine", "--package=weir-testkit"],
    &["--workspace", "--exclude=weir", "--exclude=weir-cli", "--exclude=weir-engine", "--exclude=weir-testkit"],
];

fn clippy(root: &Path) -> Result<Tally> {
    let mut right = true;
    for half in HALVES {
        let mut command = process::cargo(root);
        command.args(["clippy", "--quiet", "--all-targets", "--locked"]).args(half).args(["--", "-D", "warnings"]);
        right &= process::shown(&mut command)?;
    }
    Ok(Tally::of(right))
}

/// What `scripts/guests.sh`, `scripts/programs.sh` and `scripts/engines.sh` make, one by one: what one lacks does not stop the others.
const GUESTS: [&str; 9] = ["bench", "c", "cpp", "go", "rust", "p2", "own", "p3", "net"];
const PROGRAMS: [&str; 9] = ["python", "quickjs", "resvg", "flite", "sqlite", "yosys", "png", "svg-flatten", "cc1"];
const ENGINES: [&str; 5] = ["node", "wasmi", "chromium", "jco", "python"];

/// The exit code of a script that could not reach a registry.
const OFFLINE: i32 = 3;
/// How a script says that something is not on this machine.
const MISSING: [&str; 3] = ["skipped", "run scripts/tools.sh", " is needed: "];

/// Runs `script` once for each name.
fn scripts(root: &Path, path: &str, names: &[&str]) -> Result<Tally> {
    let mut tally = Tally::default();
    for name in names {
        tally.add(script(root, &[path, name])?);
    }
    Ok(tally)
}

/// Runs a script of this repository, which passes, fails, or lacks something and says so.
fn script(root: &Path, words: &[&str]) -> Result<Tally> {
    let mut command = Command::new("bash");
    let (status, lines) = echoed(command.args(words).current_dir(root))?;
    let lacks = lines.iter().any(|line| MISSING.iter().any(|words| line.contains(words)));
    if status == Some(OFFLINE) || lacks {
        println!("skipped: {}", words.join(" "));
        return Ok(Tally { skipped: 1, ..Tally::default() });
    }
    Ok(Tally::of(status == Some(0)))
}

fn cargo_test(root: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    for half in HALVES {
        let mut command = process::cargo(root);
        command.args(["test", "--locked", "--no-fail-fast"]).args(half);
        let (status, lines) = echoed(&mut command)?;
        let mut here = Tally::default();
        lines.iter().for_each(|line| here.add(tally_of(line)));
        if status != Some(0) && here.failed == 0 {
            // It did not even build.
            here.failed = 1;
        }
        tally.add(here);
    }
    Ok(tally)
}

/// What one line of `cargo test` adds: a summary, or a test that says on stderr what it skips.
fn tally_of(line: &str) -> Tally {
    if line.starts_with("skipped:") {
        return Tally { skipped: 1, ..Tally::default() };
    }
    let Some(summary) = line.strip_prefix("test result: ") else { return Tally::default() };
    let count = |word: &str| {
        let part = summary.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    Tally { passed: count(" passed"), failed: count(" failed"), skipped: count(" ignored") }
}

/// Runs `command`, shows its lines as they come, and gives the exit code and the lines.
fn echoed(command: &mut Command) -> Result<(Option<i32>, Vec<String>)> {
    let words = process::words(command);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| format!("cannot run {words}"))?;
    let lines = Mutex::new(Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|pipe| echo(pipe, std::io::stdout(), &lines)));
        scope.spawn(|| stderr.map(|pipe| echo(pipe, std::io::stderr(), &lines)));
    });
    let status = child.wait().with_context(|| format!("cannot wait for {words}"))?;
    Ok((status.code(), lines.into_inner().unwrap_or_default()))
}

fn echo(pipe: impl Read, mut sink: impl Write, lines: &Mutex<Vec<String>>) {
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        // Whoever reads this may stop reading; the tests go on.
        let _ = writeln!(sink, "{line}");
        if let Ok(mut lines) = lines.lock() {
            lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.52s";
        assert_eq!(tally_of(line), Tally { passed: 12, failed: 3, skipped: 1 });
        assert_eq!(tally_of("skipped: resvg.wasm is not here"), Tally { passed: 0, failed: 0, skipped: 1 });
        assert_eq!(tally_of("test a ... ok"), Tally::default());
    }
}
