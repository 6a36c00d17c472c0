//! From a program on disk to its outcome: which kind it is decides whether it is linked with the shim
//! or run as a component. Used by every subcommand that runs something.

use crate::exit::Failure;
use crate::notice::while_compiling;
use std::path::Path;
use weir_engine::{
    Cache, Carried, ComponentProgram, CoreProgram, Error, Format, Function, Kind, Outcome, Program, Run, Stats,
    check_module,
};
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

/// A program whose code is there.
pub enum Loaded {
    /// A core module, linked; with what it carries, if it is a pack that was linked anew.
    Core(CoreProgram, Option<Carried>),
    /// A component.
    Component(ComponentProgram),
}

impl Loaded {
    /// What it took to load it.
    pub fn stats(&self) -> &Stats {
        match self {
            Loaded::Core(program, _) => program.stats(),
            Loaded::Component(program) => program.stats(),
        }
    }
}

/// Runs `program` to its end.
///
/// # Errors
/// Whatever keeps it from starting or ending by itself.
pub fn launch(program: &Program, run: &Run<'_>, cache: Option<&Cache>) -> Result<Outcome, Failure> {
    match load(program, run, cache)? {
        Loaded::Core(core, carried) => {
            let ended = core.run(&Run { carried: carried.as_ref(), ..*run });
            ended.map_err(|error| match (error.kind(), &carried) {
                (Kind::Trap, Some(_)) => packed::contradiction(program, run).unwrap_or_else(|| error.into()),
                _ => error.into(),
            })
        }
        Loaded::Component(component) => Ok(component.run(run)?),
    }
}

/// Loads `program` for a run, compiled now or before.
///
/// # Errors
/// It cannot be linked or compiled, or imports what nobody grants.
pub fn load(program: &Program, run: &Run<'_>, cache: Option<&Cache>) -> Result<Loaded, Failure> {
    let manifest = packed::manifest(program)?;
    match (program.format(), &manifest) {
        (Format::Module, Some(manifest)) if packed::needs_more(manifest, run) => {
            let carried = packed::carried(manifest)?;
            let options = link_options(run.grants, run.trace);
            let given = packed::given(manifest, &Run { carried: Some(&carried), ..*run });
            let variant = [variant(&options).as_slice(), b" pack ", given.join(" ").as_bytes()].concat();
            let link = |bytes: &[u8]| packed::link(bytes, &options, &given).map_err(|error| failed(program, &error));
            let load = || CoreProgram::load(program, &variant, run.limits, cache, link);
            Ok(Loaded::Core(while_compiling(program.path(), load)?, Some(carried)))
        }
        (Format::Module, _) => {
            let options = link_options(run.grants, run.trace);
            let link = |bytes: &[u8]| {
                check_module(bytes, run.grants.unknown_imports)?;
                let linked = weir_link::link(bytes, &options).map_err(|error| failed(program, &error))?;
                Ok(linked.bytes)
            };
            let load = || CoreProgram::load(program, &variant(&options), run.limits, cache, link);
            Ok(Loaded::Core(while_compiling(program.path(), load)?, None))
        }
        (Format::Component, manifest) => {
            if manifest.is_some() {
                packed::refuse_grants(program, run)?;
            }
            let load = || ComponentProgram::load(program, run.grants.unknown_imports, run.limits, cache);
            Ok(Loaded::Component(while_compiling(program.path(), load)?))
        }
    }
}

fn failed(program: &Program, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Program, format!("{}: {error}", program.path().display()))
}

/// Packs: when they run as they are, and when they are linked anew.
mod packed {
    use super::{Failure, Program, Run};
    use std::path::Path;
    use weir_engine::Carried;
    use weir_link::LinkOptions;
    use weir_link::pack::{MANIFEST_SECTION, Manifest, Pack, PackError, PackedNode};
    use weir_store::Store;
    use weir_types::Digest;
    use weir_types::grants::Source;
    use weir_types::limits::Limits;

    /// What a program says of itself if it is a pack.
    pub fn manifest(program: &Program) -> Result<Option<Manifest>, Failure> {
        let Some(section) = program.custom_section(MANIFEST_SECTION)? else { return Ok(None) };
        let named = |error: PackError| Failure::program(format!("{}: {error}", program.path().display()));
        Manifest::decode(&section).map(Some).map_err(named)
    }

    /// Whether a run hands over what the pack as it is has no way in for.
    pub fn needs_more(manifest: &Manifest, run: &Run<'_>) -> bool {
        let default = Limits::default();
        !manifest.references.is_empty()
            || !run.grants.places.is_empty()
            || !run.saves.is_empty()
            || run.trace
            || run.limits.files != default.files
            || !given(manifest, run).is_empty()
    }

    /// The pack's variables to which the run gives another value: a program must not find two of a name.
    pub fn given<'m>(manifest: &'m Manifest, run: &Run<'_>) -> Vec<&'m str> {
        let by_run = |name: &&str| run.grants.env.iter().any(|(given, _)| given == name);
        manifest.env.iter().map(|(name, _)| name.as_str()).filter(by_run).collect()
    }

    /// What the pack brings along; its blobs have to be in the store.
    pub fn carried(manifest: &Manifest) -> Result<Carried, Failure> {
        let mut carried = Carried { preopens: manifest.preopens.clone(), references: Vec::new() };
        if manifest.references.is_empty() {
            return Ok(carried);
        }
        let store = Store::of_user().map_err(Failure::registry)?;
        for (digest, size) in &manifest.references {
            let parsed = Digest::from_hex(digest);
            let path = parsed.map_or(Ok(None), |digest| store.find(&digest)).map_err(Failure::registry)?;
            let missing = || {
                Failure::grant(format!(
                    "the pack names a file of {size} bytes that is not in the store ({digest}): \
                     `weir pull` the pack from its registry, or pack it again"
                ))
            };
            carried.references.push(path.ok_or_else(missing)?);
        }
        Ok(carried)
    }

    /// Why no tree can be made of the pack's files and a place of the run, if that is so. Looked for only after a trap: to
    /// read the tree of a large pack takes longer than most programs run.
    pub fn contradiction(program: &Program, run: &Run<'_>) -> Option<Failure> {
        let entries = Pack::open(program.bytes().ok()?).ok()??.entries().ok()?;
        let node_at = |path: &str| {
            entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok().map(|at| &entries[at].node)
        };
        let is_directory = |source: &Source| match source {
            Source::Mount(host) => Path::new(host).is_dir(),
            Source::Scratch | Source::HostDir { .. } => true,
            Source::Bytes(_) | Source::Stream(_) => false,
        };
        let places = run.grants.places.iter().map(|place| (&place.guest, Some(is_directory(&place.source))));
        let wanted = places.chain(run.saves.iter().map(|save| (&save.guest, None)));
        wanted.into_iter().find_map(|(guest, directory)| {
            let parts: Vec<&str> = guest.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            (1..=parts.len()).find_map(|end| {
                let path = parts[..end].join("/");
                let what = match (node_at(&path)?, directory) {
                    (PackedNode::Directory, Some(false)) if end == parts.len() => "a directory",
                    (PackedNode::Directory, _) => return None,
                    (_, Some(true)) => "a file",
                    (_, _) if end < parts.len() => "a file",
                    _ => return None,
                };
                let wrong = format!("{guest} cannot be granted: the pack has {what} at /{path}; name another place");
                Some(Failure::grant(wrong))
            })
        })
    }

    /// The module that serves the run.
    pub fn link(bytes: &[u8], options: &LinkOptions, given: &[&str]) -> Result<Vec<u8>, PackError> {
        let pack = Pack::open(bytes)?.ok_or_else(|| PackError::damaged("it is no pack"))?;
        Ok(pack.link(options, given)?.bytes)
    }

    /// A component's files are its own: it has no import through which others could come.
    pub fn refuse_grants(program: &Program, run: &Run<'_>) -> Result<(), Failure> {
        let place = run.grants.places.first().map(|place| place.guest.as_str());
        let Some(guest) = place.or(run.saves.first().map(|save| save.guest.as_str())) else { return Ok(()) };
        Err(Failure::grant(format!(
            "{}: {guest} cannot be granted: this pack is a component, which imports no files; \
             `weir unpack` it and run its program with --mount",
            program.path().display()
        )))
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
