//! A tree of files as data: what a pack is made from, and what it is unpacked to. Names and kinds only;
//! the bytes of files stay where they are until somebody asks for them.

use alloc::{string::String, vec::Vec};

/// Everything that is put into a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The places, in the order in which they were given.
    pub mounts: Vec<Mount>,
    /// Everything at and below them, sorted by path, parents before what they hold.
    pub entries: Vec<Entry>,
}

/// A place in the program's file tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path inside, exactly as given: the name of the preopened directory.
    pub guest: String,
    /// The same as a path from the root of the tree, without a leading slash.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
}

/// One node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path from the root of the tree, without a leading slash; empty for the root itself.
    pub path: String,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub modified: u64,
    /// What it is.
    pub node: Node,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// Whether its owner may run it. WebAssembly programs do not see this.
        executable: bool,
    },
    /// A symbolic link with this target.
    Symlink(String),
}

/// The path `path`, seen from the root of the tree, where symbolic links of the tree lead it; `None` where
/// it leads nowhere. `find` gives the target of a link, or nothing for other nodes.
pub fn resolve<'a>(path: &str, links_max: u32, find: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut resolved = String::new();
    let mut rest: Vec<String> = path.split('/').rev().map(String::from).collect();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                let parent = resolved.rfind('/').unwrap_or(0);
                resolved.truncate(parent);
                continue;
            }
            _ => {}
        }
        let parent = resolved.len();
        if parent > 0 {
            resolved.push('/');
        }
        resolved.push_str(&name);
        if let Some(target) = find(&resolved) {
            links += 1;
            if links > links_max {
                return None;
            }
            resolved.truncate(if target.starts_with('/') { 0 } else { parent });
            rest.extend(target.split('/').rev().map(String::from));
        }
    }
    Some(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_tree() {
        let find = |path: &str| match path {
            "a/link" => Some("../b"),
            "b/abs" => Some("/c/./d"),
            "loop" => Some("loop"),
            _ => None,
        };
        for (path, expected) in [
            ("/a//x", Some("a/x")),
            ("a/link/f", Some("b/f")),
            ("a/link/abs", Some("c/d")),
            ("../../x", Some("x")),
            ("loop", None),
            ("", Some("")),
        ] {
            assert_eq!(resolve(path, 40, find).as_deref(), expected, "{path}");
        }
    }
}
