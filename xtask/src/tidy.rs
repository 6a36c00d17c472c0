//! The house rules, as code. Each rule is a function from text to violations, so that it can be tested on a
//! few lines; this file only finds the text.
//!
//! It does not format and does not know the language: it reads lines, and relies on rustfmt for their shape.

mod circles;
mod crates;
mod docs;
mod finding;
mod public;
mod rooms;
mod source;

use crate::process;
use anyhow::{Context, Result};
pub use finding::File;
use finding::Violation;
use std::fs;
use std::path::{Path, PathBuf};

/// Checks everything and prints what is wrong. False: something is.
pub fn run(root: &Path) -> Result<bool> {
    let files = read_all(root)?;
    let violations = check(root, &files)?;
    for violation in &violations {
        match violation.line {
            0 => println!("{}: {}", violation.path, violation.message),
            line => println!("{}:{line}: {}", violation.path, violation.message),
        }
    }
    match violations.len() {
        0 => println!("tidy: {} files, nothing to complain about", files.len()),
        count => println!("tidy: {count} to mend in {} files", files.len()),
    }
    Ok(violations.is_empty())
}

fn check(root: &Path, files: &[File]) -> Result<Vec<Violation>> {
    let metadata =
        process::text(process::cargo(root).args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    let packages = crates::packages(&metadata)?;
    let rust: Vec<&File> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let find = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());

    let mut violations = crates::imports(&packages);
    violations.extend(crates::owners(&packages));
    violations.extend(crates::manifests(files));
    violations.extend(rust.iter().flat_map(|file| source::opens_with_docs(file)));
    violations.extend(source::lengths(&rust, find(source::ALLOWED).unwrap_or_default()));
    violations.extend(circles::circles(&rust, find(circles::ALLOWED).unwrap_or_default()));
    let bless = std::env::var_os("BLESS").is_some_and(|value| value == "1");
    violations.extend(public::interface(&rust, find(public::LIST), root, bless));
    violations.extend(rust.iter().flat_map(|file| rooms::one_place(file)));
    violations.extend(rust.iter().flat_map(|file| rooms::no_options(file)));
    violations.extend(files.iter().flat_map(source::banned_markers));
    violations.extend(files.iter().flat_map(source::banned_words));
    violations.extend(docs::crate_map(find(docs::ARCHITECTURE), &packages));
    violations.extend(docs::changelog(find(docs::CHANGELOG)));
    let there = |path: &str| root.join(path).exists();
    violations.extend(files.iter().flat_map(|file| docs::links(file, &there)));
    Ok(violations)
}

/// Folders that hold nothing of ours: what was built or fetched.
const SKIPPED: [&str; 8] =
    ["target", ".git", ".programs", "corpus", "artifacts", "node_modules", "__pycache__", "runs"];
/// Kinds of files that are read.
const KINDS: [&str; 7] = ["rs", "md", "toml", "sh", "wat", "txt", "c"];

/// Reads every file of ours that the rules are about.
pub fn read_all(root: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if KINDS.iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
                let bytes = fs::read(root.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
                let text = String::from_utf8_lossy(&bytes).into_owned();
                files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
