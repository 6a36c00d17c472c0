//! `weir lift`: the binding file read, the program lifted, the component written.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::pack::write_aside;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_engine::Cache;
use weir_link::lift::{Binding, LiftReport, lift};

/// Makes a typed function of a command-line program.
///
/// The binding file says what of the program each parameter and the result is: arguments, files, stdin, stdout. The
/// result is a component whose only export is that function; it imports no file, argument, variable or exit, and
/// clock and randomness only if the program can ask for them.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir lift render.lift.toml -o render.wasm\n",
    "  weir call render.wasm 'render(svg: @cat.svg)' -o cat.png"
), after_long_help = exit::HELP)]
pub struct Options {
    /// Where the component is written
    #[arg(long, short, value_name = "OUT.wasm")]
    output: PathBuf,
    /// The binding, a TOML file; the program that it names is looked for beside it
    #[arg(value_name = "BINDING.toml")]
    binding: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// The binding is wrong, the program cannot be lifted, or the component cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let path = options.binding.display();
    let text = std::fs::read_to_string(&options.binding)
        .map_err(|error| Failure::program(format!("cannot read the binding {path}: {error}")))?;
    let binding = Binding::parse(&text).map_err(|error| Failure::program(format!("{path}: {error}")))?;
    let folder = options.binding.parent().unwrap_or(std::path::Path::new(""));
    let program = open(&folder.join(&binding.program), Cache::of_user().as_ref())?;
    let lifted = lift(program.bytes()?, &binding).map_err(|error| Failure::program(format!("{path}: {error}")))?;
    write_aside(&options.output, &lifted.bytes)?;
    print_report(options, &lifted.report);
    Ok(ExitCode::SUCCESS)
}

fn print_report(options: &Options, report: &LiftReport) {
    println!("{}", options.output.display());
    println!("  function  {}", report.function);
    println!("  program   {:>12} bytes", report.program_bytes);
    println!("  component {:>12} bytes", report.lifted_bytes);
    match report.imports.as_slice() {
        [] => println!("  imports   nothing: the function is pure"),
        imports => println!("  imports   {}", imports.join(", ")),
    }
    if report.catches_all {
        println!("  the program catches every exception somewhere: its own exit may end there");
    }
}
