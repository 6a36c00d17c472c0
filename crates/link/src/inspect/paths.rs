//! Strings in a program's data that look like paths.
//!
//! A hint for whoever grants mounts, not a proof: programs put paths together at run time, and
//! data can look like a path by chance. Names of source files, which compilers leave behind, are
//! left out.

use crate::error::LinkError;
use crate::limits::{PATH_BYTES_MAX, PATHS_MAX, RELATIVE_PATHS_MAX};
use crate::module::Module;
use std::collections::HashSet;

/// A string in the program's data that looks like a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathString {
    /// The string.
    pub text: String,
    /// Whether it begins at the root.
    pub absolute: bool,
    /// The byte of the file where it is.
    pub offset: usize,
}

/// Collects path strings, each once, up to a limit.
#[derive(Default)]
pub(crate) struct Paths {
    found: Vec<PathString>,
    omitted: u64,
    absolute: usize,
    relative: usize,
    seen: HashSet<Vec<u8>>,
}

impl Paths {
    /// Looks through the data segments of a module that begins at `base` in the file.
    pub fn collect(&mut self, module: &Module<'_>, base: usize) -> Result<(), LinkError> {
        for segment in module.data()? {
            let segment = segment?;
            self.scan(segment.data, base + segment.range.end - segment.data.len());
        }
        Ok(())
    }

    fn scan(&mut self, data: &[u8], base: usize) {
        let mut from: usize = 0;
        for at in 0..=data.len() {
            if data.get(at).is_none_or(|byte| !is_path_byte(*byte)) {
                let before = from.checked_sub(1).map(|before| data[before]);
                let clean = is_clean(before) && is_clean(data.get(at).copied());
                self.token(&data[from..at], clean, base + from);
                from = at + 1;
            }
        }
    }

    fn token(&mut self, token: &[u8], clean: bool, offset: usize) {
        if token.len() < 4 || token.len() > PATH_BYTES_MAX || !looks_like_path(token, clean) {
            return;
        }
        let absolute = token[0] == b'/';
        let (count, count_max) =
            if absolute { (&mut self.absolute, PATHS_MAX) } else { (&mut self.relative, RELATIVE_PATHS_MAX) };
        if *count == count_max {
            // Counting each once would take memory by the program's choice.
            self.omitted += u64::from(!self.seen.contains(token));
        } else if self.seen.insert(token.to_vec()) {
            *count += 1;
            let text = String::from_utf8_lossy(token).into_owned();
            self.found.push(PathString { text, absolute, offset });
        }
    }

    /// What was found: absolute paths first, each kind in the order of its places.
    pub fn finish(mut self) -> (Vec<PathString>, u64) {
        self.found.sort_by_key(|path| !path.absolute);
        (self.found, self.omitted)
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@~=".contains(&byte)
}

/// Whether the byte next to a word is one that ends strings and words rather than binary data.
fn is_clean(byte: Option<u8>) -> bool {
    byte.is_none_or(|byte| byte == 0 || byte.is_ascii_whitespace() || byte.is_ascii_graphic())
}

/// What is below `/` on the systems that programs are written on. Anything that begins with one of
/// these is a path even in the midst of binary data.
const ROOTS: [&[u8]; 24] = [
    b"app",
    b"bin",
    b"boot",
    b"config",
    b"data",
    b"dev",
    b"etc",
    b"home",
    b"lib",
    b"media",
    b"mnt",
    b"opt",
    b"proc",
    b"root",
    b"run",
    b"sbin",
    b"share",
    b"srv",
    b"sys",
    b"tmp",
    b"usr",
    b"var",
    b"work",
    b"workspace",
];

fn looks_like_path(token: &[u8], clean: bool) -> bool {
    if !token.contains(&b'/') || token.windows(2).any(|pair| pair == b"//") {
        return false;
    }
    let mut parts: Vec<&[u8]> = token.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    let dots = parts.iter().take_while(|part| [&b"."[..], b"..", b"+"].contains(part)).count();
    parts.drain(..dots);
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if names_source(token, last) {
        return false;
    }
    if token[0] == b'/' && ROOTS.contains(first) {
        return true;
    }
    let words = clean && parts.iter().all(|part| is_word(part));
    match token[0] {
        b'/' => words && (parts.len() > 1 || has_extension(last) || last.len() > 3),
        _ if dots > 0 => words,
        _ => words && has_extension(last),
    }
}

/// A name as people write them: mostly letters, no signs that are rare in names.
fn is_word(part: &[u8]) -> bool {
    let letters = part.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    letters >= 2 && !part.iter().any(|byte| b"~=@+".contains(byte))
}

/// Names of source files, which compilers leave in programs for their messages: those of languages
/// that do so with full paths, and those of others unless the path is absolute.
fn names_source(token: &[u8], last: &[u8]) -> bool {
    if token.windows(4).any(|part| part == b"src/") && token.windows(3).any(|part| part == b".rs") {
        return true;
    }
    let extension = last.iter().rposition(|byte| *byte == b'.').map_or(&b""[..], |dot| &last[dot + 1..]);
    match extension {
        b"rs" | b"go" | b"zig" | b"swift" => true,
        b"c" | b"h" | b"cc" | b"cpp" | b"cxx" | b"hpp" | b"hh" | b"inc" | b"s" | b"S" => !token.starts_with(b"/"),
        _ => false,
    }
}

/// `name.ext` with one to five letters and digits after the last dot.
fn has_extension(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return false };
    let (stem, extension) = (&name[..dot], &name[dot + 1..]);
    !stem.is_empty()
        && (1..=5).contains(&extension.len())
        && extension.iter().all(u8::is_ascii_alphanumeric)
        && extension.iter().any(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &[u8], expected: &[&str]) {
        let mut paths = Paths::default();
        paths.scan(data, 0);
        let found: Vec<&str> = paths.found.iter().map(|path| path.text.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_are_told_from_other_text() {
        check(b"\0/etc/passwd\0hello world\0", &["/etc/passwd"]);
        check(b"cannot open '/dev/null': no", &["/dev/null"]);
        check(b"data/input.txt\0./run\0../up/file\0", &["data/input.txt", "./run", "../up/file"]);
        check(b"text/html and/or 1/2 a/b", &[]);
        check(b"https://example.com/index.html", &[]);
        check(b"/rustc/59807616e1/library/core/src/panicking.rs", &[]);
        check(b"src/main.c: assertion failed\0/usr/include/stdio.h", &["/usr/include/stdio.h"]);
        check(b"/tmp\0/tmp\0/tmp", &["/tmp"]);
        check(b"//\0/\0/a\0////", &[]);
        check(b"\x91/hEut\xf0 \xfe/2Df/S\x80", &[]);
        check(b"z\x09/usr/temp\xe9", &["/usr/temp"]);
        check(b"\0+/ice40/cells.v\0", &["+/ice40/cells.v"]);
        check(b"overflow/home/x/.cargo/registry/src/y-1/src/lib.rsoP", &[]);
    }

    #[test]
    fn the_number_is_limited() {
        let mut data = Vec::new();
        for number in 0..PATHS_MAX + 10 {
            data.extend_from_slice(format!("/file{number}\0").as_bytes());
        }
        let mut paths = Paths::default();
        paths.scan(&data, 0);
        assert_eq!((paths.found.len(), paths.omitted), (PATHS_MAX, 10));
        assert_eq!(paths.found[1].offset, 7);
    }
}
