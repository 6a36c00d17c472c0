//! Which crate may use which: the import table and the owners of heavy dependencies.
//!
//! The table is about what reaches users. Dev-dependencies may reach further (a test of the linker may
//! write its input as text), except across the wall between `link` and `engine`.

use super::finding::{File, Violation};
use anyhow::{Context, Result};
use serde_json::Value;

/// Crates of this workspace and those of it that each may import.
const IMPORTS: [(&str, &[&str]); 9] = [
    ("weir-types", &[]),
    ("weir-vfs", &["weir-types"]),
    ("weir-link", &["weir-types", "weir-vfs"]),
    ("weir-engine", &["weir-types", "weir-vfs"]),
    ("weir-store", &["weir-types"]),
    ("weir", &["weir-types", "weir-link", "weir-engine", "weir-store"]),
    ("weir-cli", &["weir", "weir-types", "weir-link", "weir-engine", "weir-store"]),
    ("weir-testkit", &["weir-types", "weir-vfs", "weir-link", "weir-engine"]),
    ("xtask", &[]),
];

/// Crates that may be used as a library by tests only.
const TESTS_ONLY: &str = "weir-testkit";

/// Heavy dependencies (a `*` stands for any ending) and the crates that may name each,
/// one as a rule.
const OWNERS: [(&str, &str); 9] = [
    ("wasmtime*", "weir-engine"),
    ("wac-*", "weir-link"),
    ("zstd*", "weir-link weir-store"),
    ("reqwest", "weir-store"),
    // Each of the two has a runtime of its own: one for what programs wait for, one for what registries send.
    ("tokio*", "weir-engine weir-store"),
    ("wasmparser", "weir-link"),
    ("wasm-encoder", "weir-link"),
    ("wit-*", "weir-link"),
    ("clap*", "weir-cli"),
];

/// Crates that also run inside modules, and everything they may depend on: nothing that needs `std`.
const NO_STD: [(&str, &[&str]); 2] = [("weir-types", &[]), ("weir-vfs", &["weir-types", "hashbrown"])];

/// A package of the workspace, as cargo sees it.
pub struct Package {
    pub name: String,
    /// Its manifest, from the root of the checkout.
    pub manifest: String,
    pub dependencies: Vec<Dependency>,
}

/// A line of a package's manifest.
pub struct Dependency {
    pub name: String,
    pub dev: bool,
}

/// The packages in what `cargo metadata --no-deps` printed.
pub fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let root = metadata["workspace_root"].as_str().context("no workspace_root")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    packages.iter().map(|package| package_of(package, root)).collect()
}

fn package_of(package: &Value, root: &str) -> Result<Package> {
    let manifest = package["manifest_path"].as_str().context("no manifest_path")?;
    let dependencies = package["dependencies"].as_array().context("no dependencies")?.iter().map(|dependency| {
        let name = dependency["name"].as_str().context("a dependency without a name")?.to_string();
        Ok(Dependency { name, dev: dependency["kind"] == "dev" })
    });
    Ok(Package {
        name: package["name"].as_str().context("no name")?.into(),
        manifest: manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/').into(),
        dependencies: dependencies.collect::<Result<_>>()?,
    })
}

/// Holds what each crate imports of this workspace against the table.
pub fn imports(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some((_, allowed)) = IMPORTS.iter().find(|(name, _)| *name == package.name) else {
            let message =
                format!("{} is not in the import table: give it a row in xtask/src/tidy/crates.rs", package.name);
            violations.push(Violation::new(&package.manifest, 0, message));
            continue;
        };
        let ours = |dependency: &&Dependency| packages.iter().any(|other| other.name == dependency.name);
        for dependency in package.dependencies.iter().filter(ours) {
            let name = &dependency.name;
            let for_tests = dependency.dev && (name == TESTS_ONLY || !across_the_wall(&package.name, name));
            if !allowed.contains(&name.as_str()) && !for_tests {
                let message = format!("{} may not import {name}; it may import: {}", package.name, list(allowed));
                violations.push(Violation::new(&package.manifest, 0, message));
            }
        }
    }
    violations
}

fn across_the_wall(from: &str, to: &str) -> bool {
    matches!((from, to), ("weir-link", "weir-engine") | ("weir-engine", "weir-link"))
}

/// Holds the heavy dependencies against their owners, and the crates without `std` against their lists.
pub fn owners(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.dev) {
            let name = &dependency.name;
            if let Some((_, owner)) = OWNERS.iter().find(|(pattern, _)| matches(pattern, name))
                && !owner.split(' ').any(|owner| owner == package.name)
            {
                let message = format!("{} names {name}, which only {owner} may: call {owner} instead", package.name);
                violations.push(Violation::new(&package.manifest, 0, message));
            }
            if let Some((_, allowed)) = NO_STD.iter().find(|(crate_name, _)| *crate_name == package.name)
                && !allowed.contains(&name.as_str())
            {
                let message = format!(
                    "{} also runs inside modules and may depend on nothing but: {}",
                    package.name,
                    list(allowed)
                );
                violations.push(Violation::new(&package.manifest, 0, message));
            }
        }
    }
    violations
}

/// Every crate takes the workspace's lints, and those that run inside modules say `no_std`.
pub fn manifests(files: &[File]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files {
        // A package deeper inside is a guest with a workspace of its own.
        let parts: Vec<&str> = file.path.split('/').collect();
        let a_crate = matches!(parts[..], ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"]);
        if a_crate && !file.text.contains("[lints]\nworkspace = true") {
            violations.push(Violation::new(&file.path, 0, "takes no lints: add `[lints]` with `workspace = true`"));
        }
        let no_std = ["crates/types/src/lib.rs", "crates/vfs/src/lib.rs"].contains(&file.path.as_str());
        if no_std && !file.text.lines().any(|line| line.starts_with("#![") && line.contains("no_std")) {
            violations.push(Violation::new(&file.path, 0, "also runs inside modules: must say `#![no_std]`"));
        }
    }
    violations
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, bool)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, dev)| Dependency { name: (*name).into(), dev: *dev });
        Package { name: name.into(), manifest: "Cargo.toml".into(), dependencies: dependencies.collect() }
    }

    #[test]
    fn what_the_table_allows_passes() {
        let packages = [
            package("weir-types", &[]),
            package("weir-vfs", &[("weir-types", false), ("hashbrown", false), ("rustix", true)]),
            package("weir-engine", &[("weir-vfs", false), ("wasmtime-wasi", false)]),
            package("weir-link", &[("wat", true), ("wasmparser", false), ("weir-testkit", true)]),
            package("weir-testkit", &[("weir-link", false), ("weir-engine", false)]),
        ];
        assert_eq!(imports(&packages), []);
        assert_eq!(owners(&packages), []);
    }

    #[test]
    fn what_it_does_not_allow_is_named() {
        let packages = [
            package("weir-types", &[("weir-vfs", false), ("serde", false)]),
            package("weir-vfs", &[("wasmtime", false)]),
            package("weir-link", &[("weir-engine", true), ("clap_builder", false)]),
            package("weir-engine", &[("weir-testkit", false)]),
            package("weir-testkit", &[]),
            package("weir-new", &[]),
        ];
        let found: Vec<String> = imports(&packages).into_iter().map(|violation| violation.message).collect();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("weir-types may not import weir-vfs"));
        assert!(found[1].starts_with("weir-link may not import weir-engine"));
        assert!(found[2].starts_with("weir-engine may not import weir-testkit"));
        assert!(found[3].starts_with("weir-new is not in the import table"));
        // serde and weir-vfs in types; wasmtime in vfs, twice wrong; clap in link.
        assert_eq!(owners(&packages).len(), 5);
    }

    #[test]
    fn manifests_take_the_lints() {
        let wrong = super::super::finding::file("crates/a/Cargo.toml", "[package]\n");
        let right = super::super::finding::file("crates/b/Cargo.toml", "[lints]\nworkspace = true\n");
        let std = super::super::finding::file("crates/vfs/src/lib.rs", "//! Says #![no_std] only in words.\n");
        assert_eq!(manifests(&[wrong, right, std]).len(), 2);
    }
}
