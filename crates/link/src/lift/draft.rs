//! A first binding, from what one run touched: something to correct, not to guess at.

use std::collections::BTreeSet;
use std::fmt::Write;

/// A binding file for a program that read and wrote these files (absolute paths inside the program) in one run. Every
/// file that it read is a parameter, every file that it wrote a part of the result; the arguments are the paths, in
/// the order of their names, because a trace does not know the others.
pub fn draft(program: &str, read: &[String], written: &[String]) -> String {
    // What other paths lie below was a directory.
    let all: Vec<&String> = read.iter().chain(written).collect();
    let is_file = |path: &&String| {
        !all.iter().any(|other| other.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/')))
    };
    let read: Vec<String> = read.iter().filter(is_file).cloned().collect();
    let written: Vec<String> = written.iter().filter(is_file).cloned().collect();
    let mut taken = BTreeSet::from(["failure".to_owned(), "answer".to_owned(), "result".to_owned()]);
    let inputs: Vec<(&String, String)> = read.iter().map(|path| (path, name_of(path, &mut taken))).collect();
    let outputs: Vec<(&String, String)> = written.iter().map(|path| (path, name_of(path, &mut taken))).collect();
    let params: Vec<String> = inputs.iter().map(|(_, name)| format!("{name}: list<u8>")).collect();
    let result = match outputs.len() {
        0 => "string",
        1 => "list<u8>",
        _ => "answer",
    };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "# A first binding, from a trace. To correct: names and types of the parameters (string, option<...>, u32, ...),"
    );
    let _ = writeln!(
        text,
        "# the arguments ({{name}} is a parameter as text), and files that belong to the program: those go into a pack."
    );
    let _ = writeln!(text, "program = {}", quoted(program));
    let _ = writeln!(text, "export  = \"call: func({}) -> result<{result}, failure>\"", params.join(", "));
    if outputs.len() > 1 {
        let fields: Vec<String> = outputs.iter().map(|(_, name)| format!("{name}: option<list<u8>>")).collect();
        let _ = writeln!(text, "types   = \"record answer {{ {} }}\"", fields.join(", "));
    }
    let stem = program.rsplit('/').next().unwrap_or(program);
    let stem = stem.split_once('.').map_or(stem, |(stem, _)| stem);
    let words = std::iter::once(stem).chain(read.iter().chain(&written).map(String::as_str));
    // A brace in a path would be the beginning of a parameter.
    let words: Vec<String> = words.map(|word| quoted(&word.replace('{', "{{").replace('}', "}}"))).collect();
    let _ = writeln!(text, "argv    = [{}]", words.join(", "));
    if outputs.is_empty() {
        let _ = writeln!(text, "stdout  = \"result\"");
    }
    if !inputs.is_empty() || !outputs.is_empty() {
        let _ = writeln!(text, "\n[files]");
    }
    for (path, name) in &inputs {
        let _ = writeln!(text, "{} = {name:?}", quoted(path));
    }
    for (path, name) in &outputs {
        let part = if outputs.len() > 1 { format!("result.{name}") } else { "result".into() };
        let _ = writeln!(text, "{} = {part:?}", quoted(path));
    }
    text
}

/// A string as TOML writes it, as a key or a value.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A name for a file's contents, as WIT allows them, which nothing else has.
fn name_of(path: &str, taken: &mut BTreeSet<String>) -> String {
    let file = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let words = file.split(|c: char| !c.is_ascii_alphanumeric());
    // A word of a name begins with a letter.
    let words: Vec<&str> = words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())).collect();
    let base = if words.is_empty() { "file".to_owned() } else { words.join("-") };
    // Keywords of WIT have no dash, so a second word keeps clear of them.
    let base = if base.contains('-') { base } else { format!("{base}-file") };
    let mut name = base.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{base}-n{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lift::{Binding, lift};

    #[test]
    fn drafts_are_bindings_that_can_be_lifted() {
        let program = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap();
        let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        for (read, written) in [
            (paths(&["/in/a.svg", "/list", "/in/2/a.svg", "/{x}/\u{e4}"]), paths(&["/out.png"])),
            (paths(&[]), paths(&[])),
            (paths(&["/x"]), paths(&["/out.json", "/9"])),
            (paths(&[]), paths(&["/out/sub", "/out/sub/b", "/out/sub/b.txt"])),
            (paths(&["/a \"quoted\" \\ name"]), paths(&["/with\ttab and\u{1b}[1m"])),
        ] {
            let text = draft("programs/tool.wasm", &read, &written);
            let binding = Binding::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            lift(&program, &binding).unwrap_or_else(|error| panic!("{error}\n{text}"));
        }
        let text = draft("resvg.wasm", &paths(&["/w/in.svg"]), &paths(&["/w/out.png"]));
        assert!(text.contains("call: func(in-svg: list<u8>) -> result<list<u8>, failure>"), "{text}");
        assert!(text.contains("argv    = [\"resvg\", \"/w/in.svg\", \"/w/out.png\"]"), "{text}");
    }
}
