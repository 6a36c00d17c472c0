//! Lifting: a program that was written for files becomes a function of the component model.
//!
//! [`lift`] links a command with the shim as a pack is linked, lets the shim answer everything that a host
//! would be asked, and makes a component of it: its only export is the function, and it imports no file, argument,
//! variable, stream or exit. Clock and randomness are imported where the program can ask for them, unless they are
//! pinned. Nothing here runs code.

mod binding;
mod draft;
mod error;
mod main;
mod signature;
mod world;

pub use binding::{Binding, Word};
pub use draft::draft;
pub use error::LiftError;
pub use world::INTERFACE;

use crate::builtin::LIFT_SHIM;
use crate::error::LinkError;
use crate::link::{Carry, Exit, Lift, LinkOptions, Purpose, RemainingImport, link_carrying};
use crate::module::check_header;
use crate::pack::{Carried, Pack};
use crate::restart::{Entry, Restart, restartable};
use signature::{Signature, holds_stream};
use std::collections::BTreeSet;
use std::fmt;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding};

/// A lifted program.
#[derive(Clone, Debug)]
pub struct Lifted {
    /// The component.
    pub bytes: Vec<u8>,
    /// What was done.
    pub report: LiftReport,
}

/// What lifting did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiftReport {
    /// The function's name; nothing for a library.
    pub function: String,
    /// The interfaces that the component imports: clock and randomness, if any.
    pub imports: Vec<String>,
    /// Why an instance of the component serves one call only; nothing if it puts itself back for each.
    pub once: Option<String>,
    /// Files that are read as streams, and whether the program has a way to move in them or to ask for their size, which
    /// would hold them in memory.
    pub streams: Vec<(String, bool)>,
    /// Interfaces of WASI 0.2 that the program asks for and a function has not: a call of those traps.
    pub denied: Vec<String>,
    /// Whether the program has handlers that catch every exception and could swallow its own exit.
    pub catches_all: bool,
    /// Bytes of the program or pack.
    pub program_bytes: u64,
    /// Bytes of the component.
    pub lifted_bytes: u64,
}

/// Lifts a command for WASI 0.1, a pack of one, or a command for WASI 0.2 or 0.3 (as compilers make it: one module, with or
/// without an adapter from 0.1). Without a function in the binding it is a library, a module or a component, which keeps
/// the typed functions that it has, as a component.
///
/// # Errors
/// The binding does not match its own type, or the program cannot be linked.
pub fn lift(program: &[u8], binding: &Binding) -> Result<Lifted, LiftError> {
    let library = binding.export.is_none();
    let (signature, mut function) = if library {
        (Signature::nothing(), binding.library()?)
    } else {
        let signature = world::signature(binding)?;
        let function = binding.function(&signature)?;
        (signature, function)
    };
    let carried = carried(program, library)?;
    // Variables of the pack come behind, as everywhere: the first of a name wins.
    for (name, value) in &carried.entry.env {
        function.env.push((name.clone(), vec![weir_vfs::lift::Part::Text(value.clone())]));
    }
    let segment = carried.with_record(&function.encode());
    check_header(&carried.program)?;
    Validator::new_with_features(WasmFeatures::all()).validate_all(&carried.program).map_err(LinkError::parse)?;
    let flow = signature.flow.as_ref().map(|(flow, _)| flow);
    let kind = if flow.is_some_and(|flow| flow.callback.is_some()) { "[async-lift]" } else { "" };
    let name = format!("{kind}{INTERFACE}#{}", signature.name);
    let pinned = binding.pinned;
    let purpose = match library {
        true => Purpose::Library { pinned },
        false => Purpose::Function(Lift { name: &name, params: &signature.core, pinned, flow }),
    };
    let carry = Carry { segment: &segment, codec: carried.codec, entry: false, purpose };
    let linked = link_carrying(&carried.program, LIFT_SHIM, &OPTIONS, Some(carry))?;
    let of_wasi = linked.report.remaining.iter().filter(|import| !import.by_program).map(|import| &import.module);
    // Streams that the function's type names are its own business.
    let own = |name: &str| name.starts_with("wasi:") && !name.starts_with("wasi:io/");
    let imports: Vec<String> = of_wasi.filter(|name| own(name)).cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let nobody_gives =
        |import: &&RemainingImport| import.by_program && (!library || import.module.starts_with("wasi:"));
    if let Some(foreign) = linked.report.remaining.iter().find(nobody_gives) {
        let (module, name) = (foreign.module.escape_debug(), foreign.name.escape_debug());
        let what = format!("the program imports `{module}.{name}`, which nobody could give to a function");
        return Err(LiftError::new(what));
    }
    let moves = linked.report.resolved.iter().any(|import| MOVES.iter().any(|name| import.ends_with(name)));
    let streams = function.inputs.iter().filter(|input| {
        let param = input.place.first().and_then(|at| signature.params.get(*at as usize));
        param.is_some_and(|(_, param)| holds_stream(&param.ty))
    });
    let streams = streams.map(|input| (format!("/{}", input.path), moves)).collect();
    let entries = [Entry { name: "cabi_realloc", uses: false }, Entry { name: &name, uses: true }];
    let (module, once) = match library {
        true => (linked.bytes, None),
        false => match restartable(&linked.bytes, &entries)? {
            Restart::Possible(module) => (module, None),
            Restart::Impossible(why) => (linked.bytes, Some(why)),
        },
    };
    // Every stream comes with the functions that would make futures of its kind; programs read those that they are given.
    let made = |name: &str| name.contains("[future-");
    let denied = linked.report.stubbed.iter().filter(|name| name.starts_with("wasi:") && !made(name));
    let denied = denied.filter_map(|name| name.split_once('@').map(|(interface, _)| interface.to_owned()));
    let denied: Vec<String> = denied.collect::<BTreeSet<_>>().into_iter().collect();
    let bytes = component(module, binding, &imports)?;
    let report = LiftReport {
        function: signature.name,
        imports: imports_of(&bytes),
        once,
        streams,
        denied,
        catches_all: linked.report.unwind.is_some_and(|unwind| unwind.catches_all),
        program_bytes: program.len() as u64,
        lifted_bytes: bytes.len() as u64,
    };
    Ok(Lifted { bytes, report })
}

/// The interfaces of WASI that a component imports, without the streams that its own types name.
fn imports_of(component: &[u8]) -> Vec<String> {
    let (mut depth, mut names) = (0, BTreeSet::new());
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                let imports = section.into_iter().flatten().map(|import| import.name.name);
                let own = |name: &&str| name.starts_with("wasi:") && !name.starts_with("wasi:io/");
                names.extend(imports.filter(own).map(str::to_owned));
            }
            _ => {}
        }
    }
    names.into_iter().collect()
}

/// What a program moves in a file with, or asks for its size.
const MOVES: [&str; 5] = [".fd_seek", ".fd_tell", ".fd_pread", ".fd_filestat_get", ".path_filestat_get"];

const OPTIONS: LinkOptions =
    LinkOptions { host_dirs: false, mounts: true, streams: false, control: false, trace: false, exit: Exit::Unwind };

fn carried(program: &[u8], library: bool) -> Result<Carried, LiftError> {
    if Parser::is_component(program) && library {
        return Ok(Carried::nothing(&main::of_library(program)?)?);
    }
    if Parser::is_component(program) {
        return Ok(Carried::nothing(main::of_command(program)?)?);
    }
    Ok(match Pack::open(program)? {
        Some(pack) => pack.carried()?,
        None => Carried::nothing(program)?,
    })
}

/// Makes a component of a linked module.
fn component(mut module: Vec<u8>, binding: &Binding, imports: &[String]) -> Result<Vec<u8>, LiftError> {
    let failed =
        |error: &dyn fmt::Display| LiftError::new(format!("no component can be made of the program: {error:#}"));
    // A library brings the rest of its world along.
    let library = binding.export.is_none();
    let (resolve, world) = if library { world::imports(imports)? } else { world::world(binding, imports)? };
    if library && !says_its_types(&module) {
        let what = "the program is a library that does not say the types of its functions: give `export` for a command, or \
                    build it with wit-bindgen, or add its types by `wasm-tools component embed`";
        return Err(LiftError::new(what));
    }
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .map_err(|error| failed(&error))?;
    let encoder = ComponentEncoder::default().validate(true).module(&module).map_err(|error| failed(&error))?;
    let mut encoder = encoder;
    encoder.encode().map_err(|error| failed(&error))
}

/// Whether a module has a section with the types of its interfaces.
fn says_its_types(module: &[u8]) -> bool {
    let mut payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads
        .any(|payload| matches!(payload, Payload::CustomSection(custom) if custom.name().starts_with("component-type")))
}

/// The WIT of a component, as text.
///
/// # Errors
/// It is no component, or its interfaces cannot be read.
pub fn wit(component: &[u8]) -> Result<String, LiftError> {
    if !Parser::is_component(component) {
        return Err(LiftError::new("it is no component, so it has no WIT"));
    }
    let unreadable = |error: &dyn fmt::Display| LiftError::new(format!("its interfaces cannot be read: {error:#}"));
    let decoded = wit_component::decode(component).map_err(|error| unreadable(&error))?;
    let resolve = decoded.resolve();
    let main = decoded.package();
    let others: Vec<_> = resolve.packages.iter().map(|(id, _)| id).filter(|id| *id != main).collect();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(resolve, main, &others).map_err(|error| unreadable(&error))?;
    Ok(printer.output.to_string())
}
