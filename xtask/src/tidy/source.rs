//! Rules about source text: how it opens, how long it may grow, and what may not stand in it.

use super::finding::{File, Violation};

/// The list of what is allowed to be too long, each with its length. It may only shrink.
pub const ALLOWED: &str = "xtask/tidy-allow.txt";
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 900;

/// Markers of unfinished work. In two halves, so that this file does not hold them.
const MARKERS: [(&str, &str, &str); 6] = [
    ("FIX", "ME", "mend it, or write TODO-kind(#NN) for an open issue"),
    ("HA", "CK", "say why it is right, or mend it"),
    ("XX", "X", "say what is meant"),
    ("dbg", "!", "remove it"),
    ("todo", "!", "write it, or return an error that says what is missing"),
    ("unimplemented", "!", "write it, or return an error that says what is missing"),
];

/// Words about how this was made, not what it is; they mean nothing to a reader.
const WORDS: [(&str, &str, &str); 5] = [
    ("/work", "/main", "a path of one machine: write it from the root of the checkout"),
    ("/work", "/shared", "a path of one machine: say it here instead"),
    ("/tmp", "/brief", "a path of one machine: say it here instead"),
    ("/tmp", "/target", "a path of one machine: use CARGO_TARGET_DIR"),
    ("/work", "/.library", "a path of one machine"),
];

/// Each Rust file says first what it is, what it refuses and why.
pub fn opens_with_docs(file: &File) -> Option<Violation> {
    let says = file.text.starts_with("//! ");
    (!says)
        .then(|| Violation::new(&file.path, 1, "open the file with `//!`: what it is, what it refuses, why this way"))
}

/// Holds functions and files against their greatest lengths, but for what the list allows.
pub fn lengths(files: &[&File], allowed: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut entries = parse_allowed(allowed, &mut violations);
    for file in files {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX && !take(&mut entries, &file.path, TABLE, None) {
            let message =
                format!("{lines} lines, more than {FILE_LINES_MAX}: split it (a flat table: list it in {ALLOWED})");
            violations.push(Violation::new(&file.path, 0, message));
        }
        for function in functions(&file.text).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            if !take(&mut entries, &file.path, &function.name, Some(function.lines)) {
                let message = format!(
                    "fn {} has {} lines, more than {FUNCTION_LINES_MAX}: split it",
                    function.name, function.lines
                );
                violations.push(Violation::new(&file.path, function.line, message));
            }
        }
    }
    violations.extend(entries.into_iter().map(|entry| {
        let message = format!(
            "`{} {}` is not so long any more: take the line away, or write the new length",
            entry.path, entry.name
        );
        Violation::new(ALLOWED, entry.line, message)
    }));
    violations
}

/// The name of an entry for a whole file.
const TABLE: &str = "table";

struct Allowed<'a> {
    path: &'a str,
    name: &'a str,
    lines: Option<usize>,
    line: usize,
}

/// Lines `PATH FUNCTION LINES` or `PATH table`; `#` begins a comment.
fn parse_allowed<'a>(text: &'a str, violations: &mut Vec<Violation>) -> Vec<Allowed<'a>> {
    let mut entries = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let words: Vec<&str> = text.split('#').next().unwrap_or_default().split_whitespace().collect();
        match words[..] {
            [] => {}
            [path, TABLE] => entries.push(Allowed { path, name: TABLE, lines: None, line }),
            [path, name, lines] if lines.parse::<usize>().is_ok() => {
                entries.push(Allowed { path, name, lines: lines.parse().ok(), line });
            }
            _ => violations.push(Violation::new(ALLOWED, line, "write `PATH FUNCTION LINES` or `PATH table`")),
        }
    }
    entries
}

fn take(entries: &mut Vec<Allowed<'_>>, path: &str, name: &str, lines: Option<usize>) -> bool {
    let found = entries.iter().position(|entry| entry.path == path && entry.name == name && entry.lines == lines);
    found.map(|at| entries.swap_remove(at)).is_some()
}

struct Function {
    name: String,
    /// Where it begins, from 1.
    line: usize,
    /// From its `fn` to its closing brace, both counted.
    lines: usize,
}

/// The functions with a body, by the shape that rustfmt gives them: the body ends with the first line that
/// is no deeper than the `fn` and closes a brace.
fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut functions = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let Some(open) = lines[at..].iter().position(|line| line.trim_end().ends_with(['{', '}', ';'])) else {
            continue;
        };
        if !lines[at + open].trim_end().ends_with('{') {
            continue;
        }
        let indent = indent_of(line);
        let closes = |line: &&str| indent_of(line) == indent && line.trim_start().starts_with('}');
        if let Some(close) = lines[at + open + 1..].iter().position(closes) {
            functions.push(Function { name: name.into(), line: at + 1, lines: open + close + 2 });
        }
    }
    functions
}

/// `name` in a line such as `pub(crate) const unsafe fn name<T>(`.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix("fn ") {
            let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
            return Some(&after[..end]);
        }
        let (word, after) = rest.split_once(' ')?;
        let modifier = matches!(word, "pub" | "const" | "async" | "unsafe" | "extern" | "default" | "\"C\"")
            || word.starts_with("pub(");
        if !modifier {
            return None;
        }
        rest = after;
    }
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// No marker of unfinished work stays.
pub fn banned_markers(file: &File) -> Vec<Violation> {
    if file.path.ends_with(".md") {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (line, text) in (1..).zip(file.text.lines()) {
        for (start, end, instead) in MARKERS {
            let marker = format!("{start}{end}");
            if holds_word(text, &marker) {
                violations.push(Violation::new(&file.path, line, format!("{marker}: {instead}")));
            }
        }
        if text.trim_start().starts_with("#[ignore") {
            violations.push(Violation::new(
                &file.path,
                line,
                "#[ignore] hides a test: skip by what is missing, and print the skip",
            ));
        }
    }
    violations
}

/// Nothing about the making of a file stands in it.
pub fn banned_words(file: &File) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (line, text) in (1..).zip(file.text.lines()) {
        let small = text.to_lowercase();
        let diary = ["session", "sessions"].iter().find(|word| holds_word(&small, word) && !says_banned(file));
        if let Some(word) = diary {
            violations.push(Violation::new(&file.path, line, format!("`{word}` is about the making: say what is so")));
        }
        if names_issue(&small) && !says_banned(file) {
            violations.push(Violation::new(&file.path, line, "an issue's number means nothing here: say what it says"));
        }
        for (start, end, instead) in WORDS {
            if text.contains(&format!("{start}{end}")) {
                violations.push(Violation::new(&file.path, line, instead));
            }
        }
    }
    violations
}

/// This file must name what it bans.
fn says_banned(file: &File) -> bool {
    file.path == "xtask/src/tidy/source.rs"
}

/// `issue 12`, `issue #12`, `issues 12`.
fn names_issue(small: &str) -> bool {
    ["issue ", "issues "].iter().any(|word| {
        small.match_indices(word).any(|(at, _)| {
            let before = small[..at].chars().next_back();
            let after = small[at + word.len()..].trim_start_matches('#');
            !before.is_some_and(char::is_alphanumeric) && after.starts_with(|c: char| c.is_ascii_digit())
        })
    })
}

fn holds_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back().is_some_and(part);
        let ends_open = word.ends_with(|c: char| c.is_alphanumeric());
        let after = ends_open && text[at + word.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::file;
    use super::*;

    fn long(name: &str, lines: usize) -> String {
        format!("    pub fn {name}<T>(\n        x: T,\n    ) {{\n{}    }}\n", "        x();\n".repeat(lines - 4))
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let text =
            format!("trait A {{\n    fn none(&self);\n    fn one() {{}}\n{}}}\nfn two() {{\n}}\n", long("three", 9));
        let found: Vec<_> = functions(&text).into_iter().map(|found| (found.name, found.line, found.lines)).collect();
        assert_eq!(found, [("three".to_string(), 4, 9), ("two".to_string(), 14, 2)]);
    }

    #[test]
    fn a_body_may_hold_closures_and_literals() {
        let text = "fn f() {\n    let x = || {\n    };\n    g(Y {\n    })\n}\n";
        assert_eq!(functions(text)[0].lines, 6);
    }

    #[test]
    fn long_functions_need_an_entry_that_fits() {
        let source = file("a.rs", &long("f", 80));
        let count = |allowed: &str| lengths(&[&source], allowed).len();
        assert_eq!(count(""), 1);
        assert_eq!(count("a.rs f 80 # a table"), 0);
        assert_eq!(count("a.rs f 90"), 2, "the entry may only shrink");
        assert_eq!(count("a.rs f 80\na.rs g 71"), 1, "an entry that is not needed goes");
        assert_eq!(count("a.rs"), 2);
    }

    #[test]
    fn long_files_are_tables() {
        let source = file("a.rs", &"x\n".repeat(901));
        assert_eq!(lengths(&[&source], "").len(), 1);
        assert_eq!(lengths(&[&source], "a.rs table").len(), 0);
    }

    #[test]
    fn markers_are_whole_words() {
        let marked = |text: &str| banned_markers(&file("a.rs", text)).len();
        assert_eq!(marked(concat!("// FIX", "ME: later")), 1);
        assert_eq!(marked(concat!("let x = db", "g!(y);")), 1);
        assert_eq!(marked("// XXXX is no marker; hackers are people"), 0);
        assert_eq!(marked("    #[ignore]\n"), 1);
    }

    #[test]
    fn words_about_the_making_are_found() {
        let found = |text: &str| banned_words(&file("a.md", text)).len();
        assert_eq!(found("This Session wrote it"), 1);
        assert_eq!(found("as asked in issue #2"), 1);
        assert_eq!(found("wasmtime#6981 is an issue that 12 people met"), 0);
        assert_eq!(found(concat!("see /work", "/main/x")), 1);
        assert_eq!(found("weir run --mount /work=. a.wasm"), 0);
    }

    #[test]
    fn files_open_with_docs() {
        assert!(opens_with_docs(&file("a.rs", "//! What it is.\n")).is_none());
        assert!(opens_with_docs(&file("a.rs", "use x;\n//! late\n")).is_some());
    }
}
