//! `weir push`.

use crate::exit::{self, Failure};
use crate::launch::open;
use crate::progress::while_moving;
use crate::registry::{RegistryOptions, failure, parse_reference, references};
use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use weir::{Format, Program};
use weir_store::{Component, Reference, Store, push};

/// Puts a program or a pack into a registry, in the form that other tools read, too.
///
/// What the registry has already is not sent again: a new version of a pack by reference costs what
/// changed. Credentials are those of `docker login`.
#[derive(Args)]
#[command(after_help = concat!(
    "Examples:\n",
    "  weir push app.wasm ghcr.io/me/app:1.2\n",
    "  weir push app.wasm localhost:5000/app:1.2 --insecure localhost:5000"
), after_long_help = exit::HELP)]
pub struct Options {
    #[command(flatten)]
    registry: RegistryOptions,
    /// A program or a pack: a .wasm file
    #[arg(value_name = "PACK")]
    pack: PathBuf,
    /// Where to: REGISTRY/NAME:TAG
    #[arg(value_name = "REFERENCE", value_parser = parse_reference)]
    reference: Reference,
}

/// Runs the subcommand.
///
/// # Errors
/// It is no program, its blobs are missing, or the registry does not take it.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let program = open(&options.pack)?;
    let blobs = references(&program)?;
    let component = if program.format() == Format::Component { Some(component(&program)?) } else { None };
    let store = Store::of_user().map_err(|error| failure(&error))?;
    let pushing = weir_store::Program { path: options.pack.clone(), component };
    let registry = options.registry.collect();
    let push = || push(&store, &pushing, &blobs, &options.reference, &registry);
    let pushed = while_moving("pushing", &registry.meter, push);
    let pushed = pushed.map_err(|error| failure(&error))?;
    say!("{}", options.reference);
    say!("  digest        sha256:{}", pushed.manifest);
    say!("  sent          {:>12} bytes, {} of {} layers", pushed.uploaded_bytes, pushed.uploaded_layers, pushed.layers);
    say!("  there already {:>12} bytes", pushed.skipped_bytes);
    Ok(ExitCode::SUCCESS)
}

fn component(program: &Program) -> Result<Component, Failure> {
    let inspection = program.inspect()?;
    let imports: BTreeSet<String> = inspection.imports.into_iter().map(|import| import.module).collect();
    // The world of a command; of other components it is not known which one they were written for.
    let version = inspection.run.as_deref().and_then(|run| run.split_once('@'));
    let target = version.map(|(_, version)| format!("wasi:cli/command@{version}"));
    Ok(Component { exports: inspection.exports, imports: imports.into_iter().collect(), target })
}
