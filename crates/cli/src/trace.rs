//! `weir trace`, and reading what it wrote.

use crate::exit::{self, Failure};
use crate::launch::{launch, open};
use crate::options::{CommandLine, GrantOptions, LimitOptions};
use crate::target;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_engine::PathUse;

/// Runs a program once and writes down what it did with files.
///
/// The trace says what was opened, read (byte ranges), listed, missed and written. `weir pack --prune`
/// leaves out what no traced run opened.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir trace --mount /share=share -o yosys.trace yosys.wasm -- -p synth_ice40 /w/a.v\n",
    "  weir trace --mount /share=share -o yosys.trace --merge yosys.wasm -- -p synth_ecp5 /w/a.v\n\n",
    "Exit codes: see `weir trace --help`"
), after_long_help = exit::HELP)]
pub struct Options {
    #[command(flatten)]
    grants: GrantOptions,
    #[command(flatten)]
    limits: LimitOptions,
    /// Where the trace is written
    #[arg(long, short, value_name = "TRACE")]
    output: PathBuf,
    /// Add to the runs that are in the trace already
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    command: CommandLine,
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever keeps the program from ending by itself, or the trace from being written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    target::judge(&options.output)?;
    let mut trace = match options.merge && options.output.exists() {
        true => read(&options.output)?,
        false => wire::Trace::default(),
    };
    let grants = options.grants.collect(options.command.argv())?.trace();
    let program = open(options.command.program())?;
    let outcome = launch(&program, grants, &options.limits.collect())?;
    let uses = outcome.trace.map(|trace| trace.uses).unwrap_or_default();
    if uses.dropped > 0 {
        note!("weir: warning: the run touched more paths than a trace holds: {} calls are not in it", uses.dropped);
    }
    trace.add(&uses.paths);
    let json = serde_json::to_vec_pretty(&trace).map_err(Failure::program)?;
    target::write(&options.output, &json)?;
    note!("weir: {}: {}", options.output.display(), trace.summary());
    Ok(crate::run::exit_code(outcome.exit_code))
}

/// Reads a trace.
///
/// # Errors
/// It is missing, or no trace.
pub fn read(path: &Path) -> Result<wire::Trace, Failure> {
    let text = crate::input::text(path).map_err(|error| Failure::grant(format!("{}: {error}", path.display())))?;
    let trace: wire::Trace = serde_json::from_str(&text)
        .map_err(|error| Failure::grant(format!("{} is no trace: {error}; `weir trace` writes one", path.display())))?;
    if trace.format != wire::FORMAT {
        let what = format!("{} has format {}, known is {}", path.display(), trace.format, wire::FORMAT);
        return Err(Failure::grant(what));
    }
    Ok(trace)
}

/// The trace as it is written: field names are stable.
pub mod wire {
    use super::{BTreeMap, BTreeSet, Deserialize, PathUse, Serialize};

    /// The version of the format.
    pub const FORMAT: u32 = 1;

    /// What one or several runs did with files.
    #[derive(Serialize, Deserialize)]
    pub struct Trace {
        pub format: u32,
        pub runs: u64,
        /// By absolute path inside the program.
        pub paths: BTreeMap<String, Path>,
    }

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    pub struct Path {
        #[serde(skip_serializing_if = "is_zero")]
        pub opened: u64,
        #[serde(skip_serializing_if = "is_zero")]
        pub listed: u64,
        #[serde(skip_serializing_if = "is_zero")]
        pub asked: u64,
        #[serde(skip_serializing_if = "is_zero")]
        pub missed: u64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        pub written: bool,
        /// Byte ranges: from, to (not included).
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub reads: Vec<(u64, u64)>,
    }

    fn is_zero(number: &u64) -> bool {
        *number == 0
    }

    impl Default for Trace {
        fn default() -> Self {
            Self { format: FORMAT, runs: 0, paths: BTreeMap::new() }
        }
    }

    impl Trace {
        /// The files that were read and not written, and those that were written.
        pub fn files(&self) -> (Vec<String>, Vec<String>) {
            let of = |written: bool| {
                let found = self.paths.iter().filter(|(_, used)| used.written == written);
                let found = found.filter(|(_, used)| used.written || !used.reads.is_empty());
                found.map(|(path, _)| path.clone()).collect()
            };
            (of(false), of(true))
        }

        /// Adds a run.
        pub fn add(&mut self, paths: &BTreeMap<String, PathUse>) {
            self.runs += 1;
            for (path, used) in paths {
                let known = self.paths.entry(path.clone()).or_default();
                let Path { opened, listed, asked, missed, written, reads } = std::mem::take(known);
                let mut sum = PathUse { opened, listed, asked, missed, written, reads };
                sum.add(used);
                let PathUse { opened, listed, asked, missed, written, reads } = sum;
                *known = Path { opened, listed, asked, missed, written, reads };
            }
        }

        /// The files that were opened, as paths from the root.
        pub fn opened(&self) -> BTreeSet<String> {
            let opened = self.paths.iter().filter(|(_, used)| used.opened > 0);
            opened.map(|(path, _)| path.trim_start_matches('/').to_owned()).collect()
        }

        /// One line about it.
        pub fn summary(&self) -> String {
            let count = |what: fn(&Path) -> bool| self.paths.values().filter(|used| what(used)).count();
            let bytes: u64 = self.paths.values().flat_map(|used| &used.reads).map(|(from, to)| to - from).sum();
            format!(
                "{} runs; {} files opened, {bytes} bytes read, {} directories listed, {} paths missed, {} written",
                self.runs,
                count(|used| used.opened > 0),
                count(|used| used.listed > 0),
                count(|used| used.missed > 0),
                count(|used| used.written)
            )
        }
    }
}
