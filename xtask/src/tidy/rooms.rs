//! What stands in one room alone: calls that decide something for a whole crate, and words that belong to the command line.

use super::finding::{File, Violation};

/// Where a call may stand: a folder, the call, and the files below it that may make it. Tests may make any.
const ONE_PLACE: [(&str, &str, &[&str]); 7] = [
    ("crates/engine/src/", "Config::new()", &["recipe.rs"]),
    ("crates/engine/src/", "set_epoch_deadline(", &["arm.rs"]),
    ("crates/engine/src/", "set_hostcall_fuel(", &["arm.rs"]),
    ("crates/engine/src/", "deserialize", &["load.rs"]),
    ("crates/engine/src/", "rustix::stdio::", &["ports.rs"]),
    ("crates/engine/src/", "thread::Builder", &["blocking.rs", "ticker.rs"]),
    ("crates/engine/src/", "_thread()", &["blocking.rs"]),
];

/// Folders of libraries, which know of no command line.
const LIBRARIES: [&str; 5] =
    ["crates/engine/src/", "crates/link/src/", "crates/types/src/", "crates/vfs/src/", "crates/weir/src/"];

/// Holds a file against the table.
pub fn one_place(file: &File) -> Vec<Violation> {
    let rules = ONE_PLACE
        .iter()
        .filter(|(folder, _, files)| file.path.strip_prefix(folder).is_some_and(|path| !files.contains(&path)));
    let found = rules.flat_map(|(folder, call, files)| {
        code(&file.text).filter(move |(_, line)| line.contains(call)).map(move |(number, _)| {
            let message = format!("`{call}` stands in {folder}{} alone: call what is there", files.join(" and "));
            Violation::new(&file.path, number, message)
        })
    });
    found.collect()
}

/// A library says what is wrong and not which option mends it: whoever calls it may have none.
pub fn no_options(file: &File) -> Vec<Violation> {
    if !LIBRARIES.iter().any(|folder| file.path.starts_with(folder)) {
        return Vec::new();
    }
    let found = code(&file.text).filter(|(_, line)| names_option(line));
    let message =
        "a library names an option or a subcommand of the command line: give a limit or a hint, and say it there";
    found.map(|(number, _)| Violation::new(&file.path, number, message)).collect()
}

/// Lines of code, without comments and tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let code = numbered.take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    code.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// `--word` behind a quote or a space, or a subcommand of weir in backquotes.
fn names_option(line: &str) -> bool {
    let option = line.match_indices("--").any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + 2..].chars().next();
        matches!(before, Some('"' | ' ' | '`' | '(')) && after.is_some_and(|c| c.is_ascii_lowercase())
    });
    // What compilers of other languages are told is no option of weir's.
    (option && !line.contains("wasm-opt") && !line.contains("--import-memory")) || line.contains("`weir ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::file;

    #[test]
    fn a_call_stands_where_it_belongs() {
        let text = "fn f() { Config::new() }\n#[cfg(test)]\nmod tests { fn g() { Config::new() } }\n";
        assert_eq!(one_place(&file("crates/engine/src/core.rs", text)).len(), 1);
        assert!(one_place(&file("crates/engine/src/recipe.rs", text)).is_empty());
        assert!(one_place(&file("crates/link/src/core.rs", text)).is_empty());
    }

    #[test]
    fn libraries_know_of_no_options() {
        let text = "/// raise --memory-max\nlet a = \"raise --memory-max\";\nlet b = \"`weir call` it\";\nlet c = \"a -- b\";\nx--y\n";
        assert_eq!(no_options(&file("crates/engine/src/a.rs", text)).len(), 2);
        assert!(no_options(&file("crates/cli/src/a.rs", text)).is_empty());
    }
}
