//! What weir itself prints: reports on stdout, everything else on stderr. Nothing here panics, whatever the two are.
//!
//! stderr that is closed, full or without a reader is no reason to fail: what the program did stands. stdout is: whoever
//! asked for a report has not got it. The first trouble is remembered, and decides the exit code in the end.

use crate::exit;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

static TROUBLE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Prints a line of a report to stdout.
macro_rules! say {
    ($($part:tt)*) => { $crate::out::report(format_args!("{}\n", format_args!($($part)*))) };
}

/// Prints a line to stderr.
macro_rules! note {
    ($($part:tt)*) => { $crate::out::remark(format_args!("{}\n", format_args!($($part)*))) };
}

/// Prints to stdout.
pub fn report(text: Arguments<'_>) {
    took(io::stdout().write_fmt(text));
}

/// Remembers what printing a report came to.
pub fn took(result: io::Result<()>) {
    if let Err(error) = result {
        TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Prints to stderr, if it can be.
pub fn remark(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// The exit code, if a report did not reach stdout: a reader that has gone has read enough, anything else is said.
pub fn trouble() -> Option<ExitCode> {
    took(io::stdout().flush());
    let error = TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    if error.kind() == ErrorKind::BrokenPipe {
        return Some(exit::BROKEN_PIPE.into());
    }
    note!("weir: cannot write to stdout: {error}");
    Some(exit::SAVE.into())
}
