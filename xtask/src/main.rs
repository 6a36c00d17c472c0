//! `cargo xtask`: the house rules, the tests and the benchmarks of this repository, as one command.
//!
//! It depends on none of weir's crates, so that it builds in seconds and can judge a tree that does not
//! compile. What it checks is written as code, because rules in prose drift.

mod bench;
mod lifted;
mod portable;
mod process;
mod programs;
mod suite;
mod tally;
mod tidy;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  tidy                  hold the source against the house rules
  test [--quick]        everything that must pass: format, tidy, clippy, tests, committed guests, real programs
                        (--quick leaves out what builds or fetches guests and programs)
  bless [FILTER...]     rerun the command-line tests and keep what they print; look at the diff
  programs [NAME...]    run real programs under weir and under stock wasmtime and compare every byte
  lifted [NAME...]      lift real programs and call each from every language: the same bytes everywhere
  portable [NAME...]    pack real programs and run each pack on every host: the same bytes everywhere
  bench run [--quick]   measure weir beside stock wasmtime; the table is kept in benches/runs
  bench pack [--quick]  measure packs: their size, start, memory and speed; draws docs/pack.svg
  bench lift [--quick]  measure calls of lifted programs beside processes with files, and streams through one
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; false: it ran, and found something wrong.
fn run(arguments: &[String]) -> Result<bool> {
    let root = root();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["test"] => suite::run(&root, suite::Extent::All),
        ["test", "--quick"] => suite::run(&root, suite::Extent::Quick),
        ["bless", filters @ ..] => suite::bless(&root, filters),
        ["programs", names @ ..] => programs::run(&root, names),
        ["lifted", names @ ..] => lifted::run(&root, names),
        ["portable", names @ ..] => portable::run(&root, names),
        ["bench", "run"] => bench::run(&root, bench::Extent::Full),
        ["bench", "run", "--quick"] => bench::run(&root, bench::Extent::Quick),
        ["bench", "pack"] => bench::pack::run(&root, bench::Extent::Full),
        ["bench", "pack", "--quick"] => bench::pack::run(&root, bench::Extent::Quick),
        ["bench", "lift"] => bench::lift::run(&root, bench::Extent::Full),
        ["bench", "lift", "--quick"] => bench::lift::run(&root, bench::Extent::Quick),
        [] | ["help" | "-h" | "--help"] => {
            print!("{HELP}");
            Ok(true)
        }
        other => bail!("no such command: {}\n\n{HELP}", other.join(" ")),
    }
}

/// The checkout: this crate lies in it, wherever cargo was called.
fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
