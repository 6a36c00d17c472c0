//! Strings in a program's data that look like paths.
//!
//! A hint for whoever grants mounts, not a proof: programs put paths together at run time, and
//! data can look like a path by chance.

use crate::error::LinkError;
use crate::limits::{PATH_BYTES_MAX, PATHS_MAX};
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
    pub found: Vec<PathString>,
    pub omitted: u64,
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
        let mut from = 0;
        for (at, byte) in data.iter().enumerate() {
            if !is_path_byte(*byte) {
                self.token(&data[from..at], base + from);
                from = at + 1;
            }
        }
        self.token(&data[from..], base + from);
    }

    fn token(&mut self, token: &[u8], offset: usize) {
        if token.len() < 3 || token.len() > PATH_BYTES_MAX || !looks_like_path(token) {
            return;
        }
        if self.found.len() == PATHS_MAX {
            // Counting each once would take memory by the program's choice.
            self.omitted += u64::from(!self.seen.contains(token));
            return;
        }
        if self.seen.insert(token.to_vec()) {
            let text = String::from_utf8_lossy(token).into_owned();
            self.found.push(PathString { text, absolute: token[0] == b'/', offset });
        }
    }
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@~=".contains(&byte)
}

fn looks_like_path(token: &[u8]) -> bool {
    if !token.contains(&b'/') || token.windows(2).any(|pair| pair == b"//") {
        return false;
    }
    // Places in the compiler's own libraries, which panic messages name.
    if token.starts_with(b"/rustc/") || token.windows(17).any(|part| part == b".cargo/registry/s") {
        return false;
    }
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    let Some(last) = parts.last() else { return false };
    let has_letters = token.iter().filter(|byte| byte.is_ascii_alphabetic()).count() >= 2;
    match token {
        [b'/', second, ..] => {
            token.len() >= 4 && has_letters && (second.is_ascii_alphanumeric() || b"._".contains(second))
        }
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] => has_letters,
        _ => has_letters && has_extension(last),
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
        check(b"data/input.txt\0./run\0../up/x\0", &["data/input.txt", "./run", "../up/x"]);
        check(b"text/html and/or 1/2 a/b", &[]);
        check(b"https://example.com/index.html", &[]);
        check(b"/rustc/59807616e1/library/core/src/panicking.rs", &[]);
        check(b"/tmp\0/tmp\0/tmp", &["/tmp"]);
        check(b"//\0/\0/a\0////", &[]);
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
