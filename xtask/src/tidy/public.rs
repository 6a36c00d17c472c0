//! The public interface of the front door, as a list that is checked in: whoever changes what embedders call sees it in the
//! change. `BLESS=1 cargo xtask tidy` writes the list anew.

use super::finding::{File, Violation};
use std::path::Path;

/// The list.
pub const LIST: &str = "crates/weir/public.txt";
/// What it is a list of.
const SOURCES: &str = "crates/weir/src/";

/// Holds the list against the sources, or writes it.
pub fn interface(files: &[&File], listed: Option<&str>, root: &Path, bless: bool) -> Option<Violation> {
    let found = listing(files);
    if bless {
        let written = std::fs::write(root.join(LIST), &found);
        return written.err().map(|error| Violation::new(LIST, 0, format!("cannot be written: {error}")));
    }
    let listed = listed.unwrap_or_default();
    let (at, other) =
        found.lines().chain([""]).zip(listed.lines().chain([""])).enumerate().find(|(_, (a, b))| a != b)?;
    let what = format!(
        "the public interface has `{}` here, and not `{}`: if that is meant, BLESS=1 cargo xtask tidy",
        other.0, other.1
    );
    Some(Violation::new(LIST, at + 1, what))
}

/// Each public item on a line, below the file or the block that it is in.
fn listing(files: &[&File]) -> String {
    let mut sources: Vec<&&File> = files.iter().filter(|file| file.path.starts_with(SOURCES)).collect();
    sources.sort_by_key(|file| &file.path);
    let mut list = String::new();
    for file in sources {
        let items = items(&file.text);
        if !items.is_empty() {
            list.push_str(&format!("{}\n", file.path.trim_start_matches(SOURCES)));
            items.iter().for_each(|item| list.push_str(&format!("    {item}\n")));
        }
    }
    list
}

/// Public items, and what traits and public enums have inside; by the shape that rustfmt gives them.
fn items(text: &str) -> Vec<String> {
    let (mut items, mut block) = (Vec::new(), None::<(usize, String)>);
    let mut lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    while let Some(line) = lines.next() {
        let (indent, code) = (line.len() - line.trim_start().len(), line.trim_start());
        if code.starts_with('}') && block.as_ref().is_some_and(|(depth, _)| indent <= *depth) {
            block = None;
        }
        let open =
            block.as_ref().is_some_and(|(_, head)| head.starts_with("pub trait") || head.starts_with("pub enum"));
        let is_head = code.starts_with("impl") || code.starts_with("pub trait ") || code.starts_with("pub enum ");
        let inside = open && !code.is_empty() && !code.starts_with(['/', '#', '}']) && indent == 4;
        if !(is_head || inside || code.starts_with("pub ")) || code.starts_with("//") {
            continue;
        }
        let mut item = code.to_owned();
        while !item.ends_with(['{', ';', ',', '}']) || open_brackets(&item) {
            let Some(more) = lines.next() else { break };
            item.push(' ');
            item.push_str(more.trim());
        }
        let item =
            item.trim_end_matches([' ', '{', ';', ',']).replace("( ", "(").replace(", )", ")").replace("{ ", "{");
        if is_head {
            block = Some((indent, item.clone()));
            // A block of what is listed one by one.
            if code.starts_with("impl ") && !item.contains(" for ")
                || code.starts_with("impl<") && !item.contains(" for ")
            {
                items.push(item);
                continue;
            }
        }
        items.push(item);
    }
    items
}

/// Whether brackets are open that a signature closes.
fn open_brackets(item: &str) -> bool {
    let count = |c: char| item.matches(c).count();
    let in_use = item.starts_with("pub use") && count('{') > count('}');
    count('(') > count(')') || in_use
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::file;

    const TEXT: &str = "//! Doc.\npub use a::{\n    B,\n    C,\n};\nstruct D;\n/// E\npub enum E {\n    /// One\n    One(u8),\n}\nimpl E {\n    \
        fn f() {}\n    pub fn g(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n}\n#[cfg(test)]\nmod tests { pub fn h() {} }\n";

    #[test]
    fn the_list_has_every_public_item_and_no_other() {
        let found = items(TEXT);
        assert_eq!(found, ["pub use a::{B, C, }", "pub enum E", "One(u8)", "impl E", "pub fn g(a: u8) -> u8"]);
    }

    #[test]
    fn a_change_is_told() {
        let source = file("crates/weir/src/a.rs", TEXT);
        let list = listing(&[&source]);
        assert!(interface(&[&source], Some(&list), Path::new(""), false).is_none());
        let other = list.replace("g(a: u8)", "g(a: u16)");
        assert!(interface(&[&source], Some(&other), Path::new(""), false).is_some());
        assert!(interface(&[&source], None, Path::new(""), false).is_some());
    }
}
