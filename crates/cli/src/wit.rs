//! `weir wit`: the interfaces of a component.

use crate::exit::{self, Failure};
use crate::launch::open;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints the WIT of a component: what it imports and what it exports.
#[derive(Args)]
#[command(after_help = "Examples:\n  weir wit render.wasm", after_long_help = exit::HELP)]
pub struct Options {
    /// A component
    #[arg(value_name = "COMPONENT")]
    program: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// The file is no component.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let program = open(&options.program)?;
    let text = weir_link::lift::wit(program.bytes()?)
        .map_err(|error| Failure::program(format!("{}: {error}", options.program.display())))?;
    say!("{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}
