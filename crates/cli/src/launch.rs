//! From a program on disk to its outcome: which kind it is decides whether it is linked with the shim
//! or run as a component. Used by every subcommand that runs something.

use crate::exit::Failure;
use std::path::Path;
use weir_engine::{Cache, ComponentProgram, CoreProgram, Error, Format, Function, Kind, Outcome, Program, Run};
use weir_link::p1::P1_FUNCTIONS;
use weir_link::{Exit, LinkOptions};
use weir_types::grants::{Grants, Source};

/// Opens the program at `path`.
///
/// # Errors
/// It is missing or no WebAssembly.
pub fn open(path: &Path, cache: Option<&Cache>) -> Result<Program, Failure> {
    Ok(Program::open(path, cache.map(Cache::folder))?)
}

/// Runs `program` to its end.
///
/// # Errors
/// Whatever keeps it from starting or ending by itself.
pub fn launch(program: &Program, run: &Run<'_>, cache: Option<&Cache>) -> Result<Outcome, Failure> {
    match program.format() {
        Format::Module => {
            let options = link_options(run.grants, run.trace);
            let core = CoreProgram::load(program, &variant(&options), run.limits, cache, |bytes| {
                let linked = weir_link::link(bytes, &options)
                    .map_err(|error| Error::new(Kind::Program, format!("{}: {error}", program.path().display())))?;
                Ok(linked.bytes)
            })?;
            Ok(core.run(run)?)
        }
        Format::Component => Ok(ComponentProgram::load(program, run.limits, cache)?.run(run)?),
    }
}

/// What of the shim a run with these grants needs.
fn link_options(grants: &Grants, trace: bool) -> LinkOptions {
    let has = |wanted: fn(&Source) -> bool| grants.places.iter().any(|place| wanted(&place.source));
    LinkOptions {
        host_dirs: has(|source| matches!(source, Source::HostDir { .. })),
        mounts: true,
        streams: has(|source| matches!(source, Source::Stream(_))),
        // The host copies mounted data into the shim's memory, which comes with these exports.
        control: true,
        trace,
        exit: Exit::Host,
    }
}

/// The options and the shim by name, for the cache of compiled code.
fn variant(options: &LinkOptions) -> Vec<u8> {
    format!("{options:?} {}", weir_engine::digest(weir_link::SHIM)).into_bytes()
}

/// The name of a recorded function.
pub fn function_name(function: Function) -> &'static str {
    match function {
        Function::P1(id) => P1_FUNCTIONS.get(id as usize).map_or("?", |function| function.name),
        Function::Component(name) => name,
    }
}
