//! Other programs, called: with errors that name the command, and with output that is either shown or kept.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Output};

/// Runs `command` to its end, showing what it prints. False: it failed.
pub fn shown(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("cannot run {}", words(command)))?;
    Ok(status.success())
}

/// Runs `command` to its end and keeps what it prints.
pub fn kept(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot run {}", words(command)))
}

/// What `command` prints, which must succeed.
pub fn text(command: &mut Command) -> Result<String> {
    let output = kept(command)?;
    if !output.status.success() {
        bail!("{} failed ({})\n{}", words(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a shell would take it, near enough to be pasted.
pub fn words(command: &Command) -> String {
    let word = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "-_=./:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect::<Vec<_>>().join(" ")
}

/// `cargo`, the one that runs this, in the checkout.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_pasted() {
        let mut command = Command::new("weir");
        command.args(["run", "a b.wasm", "it's"]);
        assert_eq!(words(&command), r"weir run 'a b.wasm' 'it'\''s'");
    }
}
