//! Rules about documents: what they list is what is there, and what they point at exists.

use super::crates::Package;
use super::finding::{File, Violation};
use std::collections::BTreeSet;

/// The map of the code.
pub const ARCHITECTURE: &str = "ARCHITECTURE.md";
/// What changed, for users.
pub const CHANGELOG: &str = "CHANGELOG.md";

/// The crate map lists exactly the crates of the workspace.
pub fn crate_map(text: Option<&str>, packages: &[Package]) -> Vec<Violation> {
    let Some(text) = text else { return vec![Violation::new(ARCHITECTURE, 0, "is missing")] };
    let listed = listed_crates(text);
    let folder =
        |package: &Package| package.manifest.strip_prefix("crates/")?.strip_suffix("/Cargo.toml").map(str::to_string);
    let there: BTreeSet<String> = packages.iter().filter_map(folder).collect();
    let missing = there.difference(&listed).map(|name| format!("the table of crates does not list `{name}`"));
    let stale = listed.difference(&there).map(|name| format!("the table of crates lists `{name}`, which is not there"));
    missing.chain(stale).map(|message| Violation::new(ARCHITECTURE, 0, message)).collect()
}

/// The names in backticks that begin the rows of the table whose first column is called `crate`.
fn listed_crates(text: &str) -> BTreeSet<String> {
    let first_cell =
        |line: &str| line.strip_prefix('|').map(|cells| cells.split('|').next().unwrap_or_default().trim().to_string());
    let table = text.lines().skip_while(|line| first_cell(line).as_deref() != Some("crate")).map_while(first_cell);
    table.filter_map(|cell| plain_name(cell.strip_prefix('`')?.trim_start_matches("crates/"))).collect()
}

fn plain_name(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_string())
}

/// There is a place for what comes next.
pub fn changelog(text: Option<&str>) -> Option<Violation> {
    let has = text.is_some_and(|text| text.lines().any(|line| line.starts_with("## ") && line.contains("Unreleased")));
    (!has).then(|| Violation::new(CHANGELOG, 0, "has no `## Unreleased` section: changes that users meet go there"))
}

/// Relative links of a document lead somewhere. `there` answers for paths from the root.
pub fn links(file: &File, there: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut violations = Vec::new();
    let mut in_code = false;
    for (line, text) in (1..).zip(file.text.lines()) {
        in_code ^= text.trim_start().starts_with("```");
        if in_code || text.starts_with("    ") {
            continue;
        }
        for target in targets(text) {
            let Some(path) = resolve(folder, target) else {
                violations.push(Violation::new(&file.path, line, format!("the link {target} leaves the checkout")));
                continue;
            };
            if !there(&path) {
                violations.push(Violation::new(&file.path, line, format!("the link {target} leads nowhere")));
            }
        }
    }
    violations
}

/// What stands in `](...)`, but for addresses of the web and anchors of the same page.
fn targets(line: &str) -> Vec<&str> {
    let links = line.match_indices("](").filter_map(|(at, _)| line[at + 2..].split(')').next());
    links
        .filter(|target| {
            !target.is_empty() && !target.starts_with('#') && !target.contains("://") && !target.starts_with("mailto:")
        })
        .collect()
}

/// `target` of a link in `folder`, as a path from the root; `None` if it climbs out.
fn resolve(folder: &str, target: &str) -> Option<String> {
    let target = target.split(['#', ' ']).next().unwrap_or_default();
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::file;
    use super::*;

    fn packages(names: &[&str]) -> Vec<Package> {
        let package = |name: &&str| Package {
            name: (*name).into(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies: vec![],
        };
        names.iter().map(package).collect()
    }

    #[test]
    fn the_map_is_a_table() {
        let text = "| word |\n|---|\n| `shim` |\n\n| crate | what |\n|---|---|\n| `vfs` | not `pod` |\n| `crates/link` | |\n\n| `guests` |\n";
        assert_eq!(crate_map(Some(text), &packages(&["vfs", "link"])), []);
    }

    #[test]
    fn the_map_is_exact() {
        let packages = packages(&["vfs", "link"]);
        let found = crate_map(Some("| crate |\n|---|\n| `vfs` |\n| `old` |\n"), &packages);
        assert_eq!(found.len(), 2);
        assert_eq!(crate_map(None, &packages).len(), 1);
    }

    #[test]
    fn links_lead_somewhere() {
        let there = |path: &str| ["README.md", "docs/a.md", ""].contains(&path);
        let count = |text: &str| links(&file("docs/b.md", text), &there).len();
        assert_eq!(count("[a](a.md#x) [r](../README.md) [w](https://x.y/z) [h](#here)"), 0);
        assert_eq!(count("[a](c.md)"), 1);
        assert_eq!(count("[a](../../x)"), 1);
        assert_eq!(count("```\n[a](c.md)\n```\n"), 0);
    }

    #[test]
    fn the_changelog_is_open() {
        assert!(changelog(Some("# Changelog\n\n## Unreleased\n")).is_none());
        assert!(changelog(Some("## 0.1.0\n")).is_some() && changelog(None).is_some());
    }
}
