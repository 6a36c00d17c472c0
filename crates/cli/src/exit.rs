//! Exit codes and the one place where errors are printed.
//!
//! A program's own exit code passes through. weir's own failures use 240 to 249, which programs do
//! not use by any convention (shells give 128 + N for signals, up to 192).

use std::fmt::Display;
use std::process::ExitCode;
use weir::{Error, Hint, Kind, Limit};
use weir_types::Shown;

/// The command line is wrong.
pub const USAGE: u8 = 240;
/// The program is missing, unreadable or no valid WebAssembly.
pub const PROGRAM: u8 = 241;
/// A grant cannot be honoured, or more than the tier allows was asked for.
pub const GRANT: u8 = 242;
/// The program imports what nobody grants.
pub const IMPORT: u8 = 243;
/// The program trapped.
pub const TRAP: u8 = 244;
/// The program met a limit.
pub const LIMIT: u8 = 245;
/// Results could not be saved, or a report not printed.
pub const SAVE: u8 = 246;
/// The store or a registry failed.
pub const REGISTRY: u8 = 247;
/// weir or the machine failed.
pub const INTERNAL: u8 = 249;
/// The reader of the output has gone: as if SIGPIPE had ended the program, and as quiet.
pub const BROKEN_PIPE: u8 = 141;

/// Text about the exit codes for the help of subcommands.
pub const HELP: &str = "\
Exit codes:
  The program's own code passes through. weir's own failures are:
  240  the command line is wrong
  241  the program is missing, unreadable or no valid WebAssembly
  242  a grant cannot be honoured, or the tier does not allow it
  243  the program imports what nobody grants
  244  the program trapped
  245  the program met a limit
  246  results could not be saved, or a report not printed
  247  the store or a registry failed
  249  weir or the machine failed
  141  the reader of the output has gone (nothing is printed)";

/// Lets everybody read a file that was made aside, as far as the user's mask allows it for new files.
///
/// # Errors
/// The disk fails.
pub fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

/// A failure of weir, ready to be printed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A grant that the tier does not allow.
    pub fn grant(message: impl Display) -> Self {
        Self { code: GRANT, message: message.to_string() }
    }

    /// A program that cannot be linked or inspected.
    pub fn program(message: impl Display) -> Self {
        Self { code: PROGRAM, message: message.to_string() }
    }

    /// Results that cannot be written.
    pub fn save(message: impl Display) -> Self {
        Self { code: SAVE, message: message.to_string() }
    }

    /// A store or a registry that fails.
    pub fn registry(message: impl Display) -> Self {
        Self { code: REGISTRY, message: message.to_string() }
    }

    /// The same, if it is the program that cannot be run, with what to do.
    pub fn with(mut self, advice: &str) -> Self {
        if self.code == PROGRAM {
            self.message.push_str(&format!("; {advice}"));
        }
        self
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints what went wrong and gives the exit code.
    pub fn report(&self) -> ExitCode {
        if self.code != BROKEN_PIPE {
            note!("weir: {}", indented(&self.message));
        }
        self.code.into()
    }
}

/// A message whose further lines cannot be taken for lines of their own: a name in it may hold line breaks.
fn indented(message: &str) -> String {
    let own = |line: &str| line.starts_with("  ") || line.is_empty() || line == BACKTRACE;
    let mut lines = message.split('\n');
    let mut text = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        text.push_str(if own(line) { "\n" } else { "\n  " });
        text.push_str(line);
    }
    text
}

/// The line above a backtrace, which stands at the edge.
const BACKTRACE: &str = "wasm backtrace, innermost call first:";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            Kind::Program => PROGRAM,
            Kind::Grant => GRANT,
            Kind::Import => IMPORT,
            Kind::Trap => TRAP,
            Kind::Limit => LIMIT,
            Kind::Save => SAVE,
            Kind::BrokenPipe => BROKEN_PIPE,
            Kind::Registry => REGISTRY,
            _ => INTERNAL,
        };
        let mut message = error.to_string();
        // Which option lifts a limit is this program's own knowledge; the sentence about it may be one of several.
        if let Some(limit) = error.limit() {
            let sentence = limit.to_string();
            message = message.replacen(&sentence, &format!("{sentence}{}", advice(limit)), 1);
        }
        message.push_str(error.hint().map_or("", help));
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str(&format!("\n  because: {}", Shown(&cause.to_string())));
            source = cause.source();
        }
        Self { code, message }
    }
}

impl From<weir_engine::Error> for Failure {
    fn from(error: weir_engine::Error) -> Self {
        Error::from(error).into()
    }
}

/// The option that lifts a limit.
fn advice(limit: &Limit) -> &'static str {
    match limit {
        Limit::Memory { .. } => ": raise --memory-max to allow it",
        Limit::Time(_) => ": raise --time-max to allow it",
        Limit::Fuel => ": raise --fuel-max to allow more",
        Limit::Output => ": raise --output-max to allow it",
        Limit::Result { .. } => ": raise --result-max to allow more, or give it as a string or a stream",
        Limit::Inodes { .. } => ": raise --inodes-max",
        _ => "",
    }
}

/// The option or subcommand that may help.
fn help(hint: Hint) -> &'static str {
    match hint {
        Hint::GrantAsHostDirectory => ", or grant it with --host-dir",
        Hint::GrantAsStream => ": hand it over with --stream",
        Hint::TrapUnknownImports => "; with `--unknown-imports trap` it starts, and traps only if it calls one",
        Hint::CallFunctions => "; `weir call` calls them",
        Hint::CallTypedFunctions => ": `weir call` calls functions, `weir wit` shows them",
        Hint::Pull => ": `weir pull` the pack from its registry, or pack it again",
        Hint::Unpack => "; `weir unpack` it and run its program with --mount",
        Hint::Lift => "; `weir lift` makes a component of it that has WASI inside",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_message_begins_no_line() {
        assert_eq!(indented("one"), "one");
        assert_eq!(indented("no `a\nweir: all is well`\n  because: b"), "no `a\n  weir: all is well`\n  because: b");
        assert_eq!(indented(&format!("trap\n{BACKTRACE}\n    0: f")), format!("trap\n{BACKTRACE}\n    0: f"));
    }
}
