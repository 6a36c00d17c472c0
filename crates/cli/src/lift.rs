//! `weir lift`: the binding file read, the program lifted, the component written.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::target;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_link::lift::{Binding, LiftReport, draft, lift};
use weir_types::Shown;

/// Makes a typed function of a command-line program.
///
/// The binding file says what of the program each parameter and the result is: arguments, files, stdin, stdout. The
/// result is a component whose only export is that function; it imports no file, argument, variable or exit, and
/// clock and randomness only if the program can ask for them.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir lift render.lift.toml -o render.wasm\n",
    "  weir call render.wasm 'render(svg: @cat.svg)' -o cat.png\n\n",
    "  weir trace --mount /w=. -o run.trace tool.wasm -- /w/in.txt /w/out.txt\n",
    "  weir lift tool.wasm --trace run.trace -o tool.lift.toml"
), after_long_help = exit::HELP)]
pub struct Options {
    /// Where the component is written; with --trace, the binding
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// What a run touched (see `weir trace`). With a program: write a first binding from it, to be corrected. With a
    /// binding: refuse paths that the run did not touch
    #[arg(long, value_name = "TRACE")]
    trace: Option<PathBuf>,
    /// The binding, a TOML file; the program that it names is looked for beside it. With --trace, the program
    #[arg(value_name = "BINDING.toml")]
    binding: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// The binding is wrong, the program cannot be lifted, or the component cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    target::judge(&options.output)?;
    let is_binding = options.binding.extension().is_some_and(|extension| extension == "toml");
    if let Some(trace) = options.trace.as_ref().filter(|_| !is_binding) {
        return draft_binding(options, trace);
    }
    let path = options.binding.display();
    if is_program(&options.binding) {
        let what = format!("{path} is a program, and not a binding: write one that names it (see docs/lift.md)");
        return Err(Failure::program(format!("{what}, or begin with --trace TRACE -o BINDING.toml")));
    }
    let text = crate::input::text(&options.binding)
        .map_err(|error| Failure::program(format!("cannot read the binding {path}: {error}")))?;
    let binding = Binding::parse(&text).map_err(|error| Failure::program(format!("{path}: {error}")))?;
    if let Some(trace) = &options.trace {
        check_paths(&binding, &crate::trace::read(trace)?)
            .map_err(|error| Failure::program(format!("{path}: {error}")))?;
    }
    let folder = options.binding.parent().unwrap_or(Path::new(""));
    let program = open(&folder.join(&binding.program))?;
    let lifted = lift(program.bytes()?, &binding).map_err(|error| Failure::program(format!("{path}: {error}")))?;
    target::write(&options.output, &lifted.bytes)?;
    print_report(options, &lifted.report);
    Ok(ExitCode::SUCCESS)
}

/// Every file of the binding was touched by the run, and every directory had something in it that was.
fn check_paths(binding: &Binding, trace: &crate::trace::wire::Trace) -> Result<(), String> {
    for path in binding.files.keys() {
        let touched = |known: &String| known == path || (path.ends_with('/') && known.starts_with(path.as_str()));
        if !trace.paths.keys().any(touched) {
            let known: Vec<&str> = trace.paths.keys().take(SHOWN_MAX).map(String::as_str).collect();
            let more = if trace.paths.len() > SHOWN_MAX { ", ..." } else { "" };
            let known = known.join(", ");
            return Err(format!("{path}: the traced run did not touch it; it touched {}{more}", Shown(&known)));
        }
    }
    Ok(())
}

/// Paths that a message names at most.
const SHOWN_MAX: usize = 10;

fn draft_binding(options: &Options, trace: &Path) -> Result<ExitCode, Failure> {
    let trace = crate::trace::read(trace)?;
    let (read, written) = trace.files();
    let program = options.binding.to_string_lossy();
    target::write(&options.output, draft(&program, &read, &written).as_bytes())?;
    say!("{}: {} files are parameters, {} are results", options.output.display(), read.len(), written.len());
    Ok(ExitCode::SUCCESS)
}

fn print_report(options: &Options, report: &LiftReport) {
    say!("{}", options.output.display());
    match report.function.as_str() {
        "" => say!("  library   with functions of its own"),
        function => say!("  function  {function}"),
    }
    say!("  program   {:>12} bytes", report.program_bytes);
    say!("  component {:>12} bytes", report.lifted_bytes);
    match report.imports.as_slice() {
        [] => say!("  imports   nothing: the function is pure"),
        imports => say!("  imports   {}", Shown(&imports.join(", "))),
    }
    for (path, held) in &report.streams {
        let how =
            if *held { "is held in memory if the program moves in it or asks for its size" } else { "is never held" };
        say!("  stream    {} {how}", Shown(path));
    }
    if !report.denied.is_empty() {
        say!("  denied    {}: a call of it traps", Shown(&report.denied.join(", ")));
    }
    if let Some(why) = &report.once {
        say!("  an instance serves one call, as the program cannot be put back: {}", Shown(why));
    }
    if report.catches_all {
        say!("  the program catches every exception somewhere: its own exit may end there");
    }
}

/// Whether a file begins as WebAssembly does.
fn is_program(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    path.is_file()
        && std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && &magic == b"\0asm"
}
