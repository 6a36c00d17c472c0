//! Programs in registries, as the subcommands name them: options, references, and the blobs of a pack.

use crate::exit::Failure;
use crate::progress::while_moving;
use clap::Args;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use weir::Program;
use weir_link::pack::{MANIFEST_SECTION, Manifest};
use weir_store::{BlobRef, Kind, Reference};
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
    let Some(reference) = weir::reference(named) else { return Ok(named.to_path_buf()) };
    let registry = registry.collect();
    let located = while_moving("pulling", &registry.meter, || weir::locate(named, &registry))?;
    // A tag may have moved on. That is for people; in a script the line would be among the program's own.
    if let Some(digest) = located.may_be_old.filter(|_| std::io::stderr().is_terminal()) {
        note!("weir: {reference} is sha256:{digest}, as it was pulled; weir pull asks again");
    }
    Ok(located.path)
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
