//! `weir pull`.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::progress::while_moving;
use crate::registry::{RegistryOptions, failure, parse_reference, references};
use crate::target;
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use weir_store::{Reference, Store, pull};

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
    let blobs = references(&open(output)?)?;
    if blobs.is_empty() {
        return Ok(());
    }
    // The file needs its blobs as long as it is there.
    store.keep_pack(output, &blobs).map_err(|error| failure(&error))
}
