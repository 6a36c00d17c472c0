//! Programs in registries, as the subcommands name them: options, references, and the blobs of a pack.

use crate::exit::Failure;
use crate::progress::while_moving;
use clap::Args;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use weir_engine::Program;
use weir_link::pack::{MANIFEST_SECTION, Manifest};
use weir_store::{BlobRef, Kind, Reference, Store, is_reference, resolve};
use weir_types::Digest;

/// How registries are talked to.
#[derive(Args, Default)]
pub struct RegistryOptions {
    /// Speak plain HTTP with this registry; also from $WEIR_INSECURE_REGISTRIES, divided by commas
    #[arg(long, value_name = "HOST:PORT")]
    insecure: Vec<String>,
    /// Trust the certificates in this file (PEM), too; also from $WEIR_REGISTRY_CA
    #[arg(long, value_name = "FILE")]
    ca: Vec<PathBuf>,
}

impl RegistryOptions {
    /// These options and those of the environment.
    pub fn collect(&self) -> weir_store::Options {
        let mut options = weir_store::Options::of_user();
        options.insecure.extend(self.insecure.iter().map(|host| host.to_ascii_lowercase()));
        options.ca_files.extend(self.ca.iter().cloned());
        options
    }
}

/// The file of a program that is named on the command line: a file, or else an artifact of a registry, from the store
/// if it was pulled before.
///
/// # Errors
/// As for a pull.
pub fn program_file(named: &Path, registry: &RegistryOptions) -> Result<PathBuf, Failure> {
    let reference = named.to_str().filter(|text| !named.exists() && !is_path(text) && is_reference(text));
    let Some(Ok(reference)) = reference.map(str::parse::<Reference>) else { return Ok(named.to_path_buf()) };
    let store = Store::of_user().map_err(|error| failure(&error))?;
    let registry = registry.collect();
    let resolved = while_moving("pulling", &registry.meter, || resolve(&store, &reference, &registry));
    let resolved = resolved.map_err(|error| failure(&error))?;
    // A tag may have moved on. That is for people; in a script the line would be among the program's own.
    if !resolved.refreshed && reference.digest().is_none() && std::io::stderr().is_terminal() {
        note!("weir: {reference} is sha256:{}, as it was pulled; weir pull asks again", resolved.manifest);
    }
    Ok(resolved.program)
}

/// Whether a name that no file has can only have been meant as one: a mistyped path asks no network. Where a tag or a
/// digest is written, no path was meant.
fn is_path(text: &str) -> bool {
    let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
    let tagged = name.contains([':', '@']);
    let first = folder.split('/').next().unwrap_or_default();
    !tagged && (name.ends_with(".wasm") || name.ends_with(".wat") || Path::new(first).is_dir())
}

/// A reference on the command line.
pub fn parse_reference(text: &str) -> Result<Reference, String> {
    text.parse().map_err(|error: weir_store::Error| error.to_string())
}

/// A failure of the store or a registry with its exit code.
pub fn failure(error: &weir_store::Error) -> Failure {
    match error.kind() {
        Kind::Program => Failure::program(error),
        _ => Failure::registry(error),
    }
}

/// The blobs that a pack names; none if it is no pack, or has its files inside.
pub fn references(program: &Program) -> Result<Vec<BlobRef>, Failure> {
    let Some(section) = program.custom_section(MANIFEST_SECTION)? else { return Ok(Vec::new()) };
    let named = |what: &dyn std::fmt::Display| Failure::program(format!("{}: {what}", program.path().display()));
    let manifest = Manifest::decode(&section).map_err(|error| named(&error))?;
    let blob = |(hex, size): &(String, u64)| {
        let digest =
            Digest::from_hex(hex).ok_or_else(|| named(&format!("it names a blob {hex:?}, which is no digest")))?;
        Ok(BlobRef { digest, size: *size })
    };
    manifest.references.iter().map(blob).collect()
}

#[cfg(test)]
mod tests {
    use super::is_path;

    #[test]
    fn mistyped_paths_are_no_names_of_a_registry() {
        for path in ["my.folder/prog.wasm", "./prog.wasm", "a.b/c/prog.wat", "src/prog"] {
            assert!(is_path(path), "{path}");
        }
        for name in ["ghcr.io/me/app", "ghcr.io/me/app.wasm:1", "localhost:5000/app:1.2", "ghcr.io/me/app@sha256:00"] {
            assert!(!is_path(name), "{name}");
        }
    }
}
