//! `weir completions` and `weir man`: what shells and manuals know of the command line, made from its definition.

use crate::exit::{self, Failure};
use crate::target;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Prints the completions of a shell.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir completions bash > /etc/bash_completion.d/weir\n",
    "  weir completions zsh > ~/.zfunc/_weir\n",
    "  weir completions fish > ~/.config/fish/completions/weir.fish"
), after_long_help = exit::HELP)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Writes the manual pages, one for each command.
#[derive(Args)]
#[command(after_help = concat!("Example:\n", "  weir man /usr/local/share/man/man1"), after_long_help = exit::HELP)]
pub struct Man {
    /// The directory that they are written to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints completions for `command`.
pub fn completions(options: &Completions, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "weir", &mut script);
    crate::out::report(format_args!("{}", String::from_utf8_lossy(&script)));
    ExitCode::SUCCESS
}

/// Writes the pages of `command` and its subcommands.
///
/// # Errors
/// A page cannot be written.
pub fn man(options: &Man, mut command: Command) -> Result<ExitCode, Failure> {
    command.build();
    let count = write_pages(&options.folder, &command, "weir")?;
    say!("{}: {count} pages", options.folder.display());
    Ok(ExitCode::SUCCESS)
}

fn write_pages(folder: &Path, command: &Command, name: &str) -> Result<usize, Failure> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).title(name).date("").manual("weir");
    let path = folder.join(format!("{name}.1"));
    man.render(&mut page).map_err(|error| Failure::save(format!("cannot write {}: {error}", path.display())))?;
    target::write(&path, &page)?;
    let inner = command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set());
    inner
        .map(|inner| write_pages(folder, inner, &format!("{name}-{}", inner.get_name())))
        .sum::<Result<usize, _>>()
        .map(|count| count + 1)
}
