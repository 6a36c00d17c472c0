//! No circles among the files of a crate: what a file uses does not use it back, so that each can be read
//! after the ones below it. A file that only declares its modules (`mod`) or hands their names on (`pub use`
//! of children, used from elsewhere by full path) is in none.
//!
//! It reads tokens, not meaning: a path in code or in `use` leads to the file that its longest beginning
//! names. Names that come by a glob, and what tests use, are not followed.

use super::finding::{File, Violation};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// The files that are in circles still. It may only shrink.
pub const ALLOWED: &str = "xtask/tidy-circles.txt";

/// A module, as the names from its crate's root to it.
type Path = Vec<String>;
type Graph = BTreeMap<Path, BTreeSet<Path>>;

/// Names each circle of files once, but for those whose files are all on the list, and what is on the list
/// and in no circle.
pub fn circles(files: &[&File], allowed: &str) -> Vec<Violation> {
    let mut listed: BTreeMap<&str, usize> = (1..)
        .zip(allowed.lines())
        .map(|(line, text)| (text.split('#').next().unwrap_or_default().trim(), line))
        .filter(|(path, _)| !path.is_empty())
        .collect();
    let mut violations = Vec::new();
    for (_, modules) in crates(files) {
        let graph = graph(&modules);
        for circle in circles_of(&graph) {
            let new = circle.iter().find(|module| !listed.contains_key(modules[*module].path.as_str()));
            if let Some(new) = new {
                let way: Vec<&str> = way_back(&graph, new).iter().map(|module| modules[module].path.as_str()).collect();
                let message =
                    format!("stands in a circle: {}; move what both use to a file below them", way.join(" -> "));
                violations.push(Violation::new(&modules[new].path, 0, message));
            }
            for module in &circle {
                listed.remove(modules[module].path.as_str());
            }
        }
    }
    let gone = |(path, line): (&str, usize)| {
        Violation::new(ALLOWED, line, format!("`{path}` is in no circle any more: take the line away"))
    };
    violations.extend(listed.into_iter().map(gone));
    violations
}

/// The files of each crate, by the module that each is.
fn crates<'a>(files: &[&'a File]) -> BTreeMap<&'a str, BTreeMap<Path, &'a File>> {
    let mut crates: BTreeMap<&str, BTreeMap<Path, &File>> = BTreeMap::new();
    for file in files {
        let Some((root, inside)) = file.path.split_once("/src/") else { continue };
        let mut path: Path = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if path.last().is_some_and(|name| name == "mod") || path == ["lib"] || path == ["main"] {
            path.pop();
        }
        crates.entry(root).or_default().insert(path, file);
    }
    crates
}

fn graph(modules: &BTreeMap<Path, &File>) -> Graph {
    let uses = modules.iter().map(|(module, file)| {
        let mut paths = Vec::new();
        if let Ok(tokens) = file.text.parse::<TokenStream>() {
            collect(tokens, module, &mut paths);
        }
        let targets = paths.iter().filter_map(|path| target(path, modules));
        (module.clone(), targets.filter(|target| target != module).collect())
    });
    uses.collect()
}

/// The file that the longest beginning of `path` names; none but the crate's root if nothing else fits.
fn target(path: &[String], modules: &BTreeMap<Path, &File>) -> Option<Path> {
    (0..=path.len()).rev().map(|length| &path[..length]).find(|start| modules.contains_key(*start)).map(<[_]>::to_vec)
}

/// Every path in `tokens` that begins in this crate, from its root.
fn collect(tokens: TokenStream, module: &[String], paths: &mut Vec<Path>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                at += 1;
                if tokens.get(at).is_some_and(|group| group.to_string().replace(' ', "") == "[cfg(test)]") {
                    at = after_item(&tokens, at);
                    continue;
                }
            }
            TokenTree::Ident(word) if *word == "mod" && matches!(tokens.get(at + 2), Some(TokenTree::Group(_))) => {
                let inside: Path = module.iter().cloned().chain([tokens[at + 1].to_string()]).collect();
                if let Some(TokenTree::Group(group)) = tokens.get(at + 2) {
                    collect(group.stream(), &inside, paths);
                }
                at += 2;
            }
            // `$crate` in a macro is where it is used: for whoever uses the crate, and in no file's own code.
            TokenTree::Punct(punct) if punct.as_char() == '$' => {
                if matches!(tokens.get(at + 1), Some(TokenTree::Ident(word)) if *word == "crate") {
                    at = path(&tokens, at + 1, module, &[], &mut Vec::new());
                }
            }
            TokenTree::Ident(_) => at = path(&tokens, at, module, &[], paths),
            TokenTree::Group(group) => collect(group.stream(), module, paths),
            _ => {}
        }
        at += 1;
    }
}

/// Reads the path that begins at `at`, with what stands in braces behind it; gives its last token.
fn path(tokens: &[TokenTree], mut at: usize, module: &[String], before: &[String], paths: &mut Vec<Path>) -> usize {
    let mut words = before.to_vec();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) => words.push(word.to_string()),
            Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => words.push("*".into()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && !words.is_empty() => {
                let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                let items = inside.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ','));
                for item in items.filter(|item| !item.is_empty()) {
                    path(item, 0, module, &words, paths);
                }
                return at;
            }
            _ => break,
        }
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
        if !(colon(at + 1) && colon(at + 2)) {
            break;
        }
        at += 3;
    }
    paths.extend(from_root(&words, module));
    at
}

/// `words` from the crate's root; `None` for one alone, which may be anything (`pub(crate)` is no use). The
/// first of several may be a child of `module`, or another crate: then no file of this one has its name.
fn from_root(words: &[String], module: &[String]) -> Option<Path> {
    let supers = words.iter().take_while(|word| *word == "super").count();
    if words.len() < 2 {
        return None;
    }
    let here = match words[0].as_str() {
        "crate" => return Some(words[1..].to_vec()),
        "self" => &words[1..],
        "super" => return Some([&module[..module.len().checked_sub(supers)?], &words[supers..]].concat()),
        _ => words,
    };
    Some([module, here].concat())
}

/// The end of the item that begins after the attribute at `at`.
fn after_item(tokens: &[TokenTree], mut at: usize) -> usize {
    at += 1;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ';' => break,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            _ => {}
        }
    }
    at
}

/// All that is reached from `from`.
fn reached(graph: &Graph, from: &Path) -> BTreeSet<Path> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Path> = graph[from].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module.clone()) {
            open.extend(&graph[module]);
        }
    }
    reached
}

fn circles_of(graph: &Graph) -> BTreeSet<BTreeSet<Path>> {
    let reach: BTreeMap<&Path, BTreeSet<Path>> = graph.keys().map(|module| (module, reached(graph, module))).collect();
    let in_one = reach.keys().copied().filter(|module| reach[module].contains(*module));
    in_one.map(|module| reach[module].iter().filter(|other| reach[other].contains(module)).cloned().collect()).collect()
}

/// The shortest way from `module` to itself, both ends named.
fn way_back(graph: &Graph, module: &Path) -> Vec<Path> {
    let mut ways = std::collections::VecDeque::from([vec![module.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way.last().into_iter().flat_map(|last| &graph[last]) {
            let longer = [&way[..], std::slice::from_ref(next)].concat();
            if next == module {
                return longer;
            }
            if seen.insert(next.clone()) {
                ways.push_back(longer);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::super::finding::file;
    use super::*;

    fn messages(files: &[(&str, &str)], allowed: &str) -> Vec<String> {
        let files: Vec<File> = files.iter().map(|(path, text)| file(&format!("crates/a/src/{path}"), text)).collect();
        let found = circles(&files.iter().collect::<Vec<_>>(), allowed);
        found.into_iter().map(|violation| format!("{}: {}", violation.path, violation.message)).collect()
    }

    #[test]
    fn what_leads_down_passes() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A;"),
            ("a.rs", "mod inner; use crate::b::{B, self as other}; use std::fmt; pub struct A; fn f() { inner::g() }"),
            ("a/inner.rs", "use super::super::b; pub fn g() { b::B }"),
            (
                "b.rs",
                "pub(crate) struct B; pub(super) fn f() { a * b } macro_rules! m { () => { $crate::a::A } } #[cfg(test)] mod tests { use crate::a::A; } // crate::a",
            ),
        ];
        assert_eq!(messages(&files, ""), [""; 0]);
    }

    #[test]
    fn circles_are_named_with_their_way() {
        let two = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "fn f() { super::a::g() }")];
        let found = messages(&two, "");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("crates/a/src/a.rs -> crates/a/src/b.rs -> crates/a/src/a.rs"), "{found:?}");
        // Through the root, from within braces, in the arguments of a macro, and from a child to its parent.
        for (path, text) in
            [("a.rs", "use crate::{Root};"), ("a.rs", "fn f() { x!(crate::ROOT) }"), ("a.rs", "use super::*;")]
        {
            assert_eq!(messages(&[("lib.rs", "mod a; pub use a::A;"), (path, text)], "").len(), 1, "{text}");
        }
    }

    #[test]
    fn the_list_may_only_shrink() {
        let two = [("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")];
        let listed = "crates/a/src/a.rs # why\ncrates/a/src/b.rs\n";
        assert_eq!(messages(&two, listed), [""; 0]);
        assert_eq!(messages(&two, "crates/a/src/a.rs\n").len(), 1);
        assert_eq!(messages(&two[..2], listed).len(), 2);
    }
}
