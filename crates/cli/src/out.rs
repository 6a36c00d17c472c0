//! What weir itself prints: reports on stdout, everything else on stderr. Nothing here panics, whatever the two are.
//!
//! stderr that is closed, full or without a reader is no reason to fail: what the program did stands. stdout is: whoever
//! asked for a report has not got it. The first trouble is remembered, and decides the exit code in the end.
//!
//! What is printed holds names that somebody else chose. Characters that a terminal obeys are escaped here, whatever they
//! came from; line breaks are not, as reports have them: who prints a name shows it with [`weir_types::Shown`].

use crate::exit;
use serde::Serialize;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use weir_types::is_hidden;

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
    took(io::stdout().write_all(escaped(text).as_bytes()));
}

/// Prints a value to stdout as JSON, whose own escapes take the place of ours.
///
/// # Errors
/// It has no JSON form.
pub fn json(value: &impl Serialize) -> serde_json::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    let mut safe = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        match c {
            // Outside of strings JSON has no other of them.
            c if is_hidden(c) && c != '\n' => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
            }
            c => safe.push(c),
        }
    }
    safe.push('\n');
    took(io::stdout().write_all(safe.as_bytes()));
    Ok(())
}

/// A text of several lines without anything that a terminal obeys.
fn escaped(text: Arguments<'_>) -> String {
    let text = text.to_string();
    let hidden = |c: char| is_hidden(c) && !matches!(c, '\n' | '\t');
    if !text.contains(hidden) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// Remembers what printing a report came to.
pub fn took(result: io::Result<()>) {
    if let Err(error) = result {
        TROUBLE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Prints to stderr, if it can be.
pub fn remark(text: Arguments<'_>) {
    let _ = io::stderr().write_all(escaped(text).as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(escaped(format_args!("a\tb\n{}", "\u{1b}]0;x\u{7}\r\u{9b}")), "a\tb\n\\u{1b}]0;x\\u{7}\\r\\u{9b}");
    }
}
