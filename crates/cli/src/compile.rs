//! `weir compile`.

use crate::exit::{self, Failure};
use crate::launch::prepare;
use crate::options::{GrantOptions, LimitOptions};
use crate::registry::{RegistryOptions, program_file};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use weir::{Format, Weir};

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
    let weir = Weir::new();
    let Some(folder) = weir.cache_folder() else {
        let what =
            "there is no cache to compile into: WEIR_CACHE_DIR is off, or its folder is not yours alone to write to";
        return Err(Failure::grant(what));
    };
    let limits = options.limits.collect();
    let file = program_file(&options.program, &options.registry)?;
    // Opened anew each time: a program remembers what it was compiled to.
    let compile = || {
        let program = weir.open(&file)?;
        // Functions of a core module are part of its code as it is.
        if options.functions && program.format() == Format::Component {
            return Ok(program.compile_functions(&limits)?);
        }
        let grants = options.grants.collect(Vec::new())?;
        let grants = if options.stats { grants.trace() } else { grants };
        let fresh = prepare(&program, grants, &limits).map(|ready| !ready.stats().cache_hit);
        let advice = "the functions of a component are compiled with --functions";
        if program.format() == Format::Component { fresh.map_err(|failure| failure.with(advice)) } else { fresh }
    };
    let fresh = compile()?;
    // A run goes on without what a full disk did not keep; here nothing else was asked for.
    if fresh && compile()? {
        let folder = folder.display();
        return Err(Failure::save(format!("the compiled code cannot be kept in {folder}: is there room on the disk?")));
    }
    say!("{}: {}", file.display(), if fresh { "compiled" } else { "was compiled before" });
    Ok(ExitCode::SUCCESS)
}
