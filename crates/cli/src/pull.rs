//! `weir pull`, and what the other subcommands need to name a program in a registry.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::progress::while_moving;
use crate::push::references;
use crate::target;
use clap::Args;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_store::{Kind, Reference, Store, is_reference, pull, resolve};

/// Gets a program or a pack from a registry into the local store.
///
/// Every byte is checked by its digest before it is used. What the store has already does not come again, and an
/// interrupted pull goes on where it was. After it, `weir run REFERENCE` needs no network.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir pull ghcr.io/me/app:1.2\n",
    "  weir pull ghcr.io/me/app:1.2 -o app.wasm\n",
    "  weir run ghcr.io/me/app:1.2"
), after_long_help = exit::HELP)]
pub struct Options {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Write the program to a file, too
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What: REGISTRY/NAME:TAG, or REGISTRY/NAME@sha256:DIGEST
    #[arg(value_name = "REFERENCE", value_parser = parse_reference)]
    reference: Reference,
}

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

/// Runs the subcommand.
///
/// # Errors
/// The registry cannot be reached, does not have it, or gives something else; or a file cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    options.output.as_deref().map_or(Ok(()), target::judge)?;
    let store = Store::of_user().map_err(|error| failure(&error))?;
    let registry = options.registry.collect();
    let pulled = while_moving("pulling", &registry.meter, || pull(&store, &options.reference, &registry));
    let pulled = pulled.map_err(|error| failure(&error))?;
    say!("{}", options.reference);
    say!("  digest        sha256:{}", pulled.manifest);
    say!("  came          {:>12} bytes", pulled.fetched_bytes);
    say!("  there already {:>12} bytes", pulled.reused_bytes);
    match &options.output {
        None => say!("  program       {}", pulled.program.display()),
        Some(output) => {
            write_out(&store, &pulled.program, output)?;
            say!("  program       {}", output.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write_out(store: &Store, program: &Path, output: &Path) -> Result<(), Failure> {
    let bytes = fs::read(program)
        .map_err(|error| Failure::registry(format!("cannot read {} from the store: {error}", program.display())))?;
    target::write(output, &bytes)?;
    let blobs = references(&open(output, None)?)?;
    if blobs.is_empty() {
        return Ok(());
    }
    // The file needs its blobs as long as it is there.
    store.keep_pack(output, &blobs).map_err(|error| failure(&error))
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
