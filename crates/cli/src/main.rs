//! The command `weir`: one file per subcommand, each options and a call into a library.

// They panic where stdout or stderr cannot be written to: `say!` and `note!` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod out;

mod call;
mod compile;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod copy;
mod exit;
mod input;
mod inspect;
mod launch;
mod lift;
mod manual;
mod notice;
mod options;
mod pack;
mod progress;
mod pull;
mod push;
mod registry;
mod run;
mod store;
mod target;
mod trace;
mod unpack;
mod wit;

use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// Runs WebAssembly programs that have no file system.
///
/// What a program can touch is a stream, an array or a string that was handed to it. Programs that
/// were written for files keep working: their files are data that was granted by an option.
#[derive(Parser)]
#[command(name = "weir", version, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
struct Weir {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Options),
    Inspect(inspect::Options),
    Trace(trace::Options),
    Pack(pack::Options),
    Unpack(unpack::Options),
    Lift(lift::Options),
    Call(call::Options),
    Wit(wit::Options),
    Push(push::Options),
    Pull(pull::Options),
    Store(store::Options),
    Compile(compile::Options),
    Completions(manual::Completions),
    Man(manual::Man),
}

fn main() -> ExitCode {
    let weir = match Weir::try_parse() {
        Ok(weir) => weir,
        Err(error) => {
            let help = !error.use_stderr();
            let printed = error.print();
            if !help {
                return exit::USAGE.into();
            }
            out::took(printed);
            return out::trouble().unwrap_or(ExitCode::SUCCESS);
        }
    };
    let ended = match weir.command {
        Command::Run(options) => run::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Trace(options) => trace::run(&options),
        Command::Pack(options) => pack::run(&options),
        Command::Unpack(options) => unpack::run(&options),
        Command::Lift(options) => lift::run(&options),
        Command::Call(options) => call::run(&options),
        Command::Wit(options) => wit::run(&options),
        Command::Push(options) => push::run(&options),
        Command::Pull(options) => pull::run(&options),
        Command::Store(options) => store::run(&options),
        Command::Compile(options) => compile::run(&options),
        Command::Completions(options) => Ok(manual::completions(&options, Weir::command())),
        Command::Man(options) => manual::man(&options, Weir::command()),
    }
    .unwrap_or_else(|failure| failure.report());
    out::trouble().unwrap_or(ended)
}
