//! `weir compile`.

use crate::exit::{self, Failure};
use crate::launch::{load, open};
use crate::options::{GrantOptions, LimitOptions};
use crate::registry::{RegistryOptions, program_file};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_engine::{Cache, Format, LiftedFunction, Run};

/// Compiles a program ahead of its first run, into the cache.
///
/// Give the options of the run: files, streams, traces, limits on time and fuel change what is compiled, their values do
/// not. A component is compiled for `weir call` with --functions.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir compile python.wasm --mount /w=.\n",
    "  weir compile --functions render.wasm\n\n",
    "Exit codes: see `weir compile --help`"
), after_long_help = exit::HELP)]
pub struct Options {
    #[command(flatten)]
    grants: GrantOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    /// Compile the functions of a component, for `weir call`
    #[arg(long)]
    functions: bool,
    /// For runs that count their calls (`weir run --stats`, `weir trace`)
    #[arg(long)]
    stats: bool,
    /// A .wasm or .wat file, a component, or a program in a registry: REGISTRY/NAME:TAG
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// There is no cache, it does not keep the code, or the program cannot be linked or compiled.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let cache = Cache::of_user().ok_or_else(|| {
        Failure::grant(
            "there is no cache to compile into: WEIR_CACHE_DIR is off, or its folder is not yours alone to write to",
        )
    })?;
    let (grants, saves) = options.grants.collect(Vec::new())?;
    let limits = options.limits.collect();
    let file = program_file(&options.program, &options.registry)?;
    let program = open(&file, Some(&cache))?;
    let run = Run {
        grants: &grants,
        limits: &limits,
        saves: &saves,
        trace: options.stats,
        discard_output: false,
        carried: None,
    };
    // Functions of a core module are part of its code as it is.
    let functions = options.functions && program.format() == Format::Component;
    let compile = || match functions {
        true => LiftedFunction::compile(&program, &limits, &cache).map_err(Failure::from),
        false => {
            let loaded = load(&program, &run, Some(&cache)).map(|loaded| !loaded.stats().cache_hit);
            let advice = "the functions of a component are compiled with --functions";
            if program.format() == Format::Component { loaded.map_err(|failure| failure.with(advice)) } else { loaded }
        }
    };
    let fresh = compile()?;
    // A run goes on without what a full disk did not keep; here nothing else was asked for.
    if fresh && compile()? {
        let folder = cache.folder().display();
        return Err(Failure::save(format!("the compiled code cannot be kept in {folder}: is there room on the disk?")));
    }
    say!("{}: {}", file.display(), if fresh { "compiled" } else { "was compiled before" });
    Ok(ExitCode::SUCCESS)
}
