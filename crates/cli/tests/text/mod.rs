//! Text of the command-line tests: words and escapes of the heads, and what is compared of the output.

use std::path::Path;

type Result<T> = std::result::Result<T, String>;

/// Takes out what differs between machines and builds: the temporary folder, code addresses and, if asked for, numbers.
pub fn normalise(bytes: Vec<u8>, scratch: &Path, hide_numbers: bool) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes) else { return b"(not UTF-8)\n".to_vec() };
    let text = text.replace(&*scratch.to_string_lossy(), "%t");
    let mut parts = text.split("0x");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        out.push_str("0x#");
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    if hide_numbers {
        let digit = |c: char| c.is_ascii_digit();
        out = out.lines().map(|line| squeeze(&line.replace(digit, "#")) + "\n").collect();
    }
    out.into_bytes()
}

/// One `#` for a number of any length, and one blank for the blanks that align it.
fn squeeze(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        let part_of_number = (c == '#' || c == '.') && out.ends_with('#');
        let part_of_gap = c == ' ' && out.ends_with(' ');
        if !part_of_number && !part_of_gap {
            out.push(c);
        }
    }
    out
}

/// Words as a shell would split them, with single and double quotes.
pub fn split(line: &str) -> Result<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() { Err(format!("a quote stays open: {line}")) } else { Ok(words) }
}

/// Text with `\n`, `\t`, `\\` and `\xNN`.
pub fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.extend(plain.bytes());
        let (byte, length) = match escape.bytes().next() {
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => (escape.get(1..3).and_then(|hex| u8::from_str_radix(hex, 16).ok()).ok_or("write \\xNN")?, 3),
            _ => return Err(format!("unknown escape in {text}")),
        };
        out.push(byte);
        rest = &escape[length..];
    }
    out.extend(rest.bytes());
    Ok(out)
}

/// The lines that differ, by position.
pub fn difference(expected: &[u8], actual: &[u8]) -> String {
    let (expected, actual) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let mut text = String::new();
    for at in 0..old.len().max(new.len()) {
        match (old.get(at), new.get(at)) {
            (Some(old), Some(new)) if old == new => {}
            (old, new) => {
                text.extend(old.map(|line| format!("  - {line}\n")));
                text.extend(new.map(|line| format!("  + {line}\n")));
            }
        }
    }
    text + "  (cargo xtask bless keeps the new text)\n"
}
