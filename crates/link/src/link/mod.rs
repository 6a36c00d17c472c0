//! Linking a program with the shim: one core module with two memories.
//!
//! What this never does: run code, read or write anything but the bytes it is given, or let a
//! number in the program reach into the shim's part of the result.

mod emit;
mod generated;
mod names;
mod options;
mod plan;
mod shim;
mod shim_code;

pub use options::{DroppedSection, Exit, LinkOptions, LinkReport, Linked, RemainingImport, Unwind};

use crate::code::FunctionMap;
use crate::error::{LinkError, LinkErrorKind};
use crate::limits;
use crate::module::Module;
pub(crate) use plan::{Carry, Flow, Lift, run_of};
use plan::{Plan, needs_shim, p1_imports};
pub(crate) use shim::{Shim, internal};
use wasmparser::{Parser, TypeRef, Validator, WasmFeatures};

/// Links a program with a shim.
///
/// # Errors
///
/// The program is not a valid core module, or it is one that cannot be linked; the error says
/// where and what to do. An error with [`LinkError::is_internal`] is a fault of the shim.
pub fn link_with_shim(program: &[u8], shim: &[u8], options: &LinkOptions) -> Result<Linked, LinkError> {
    check_header(program)?;
    Validator::new_with_features(WasmFeatures::all()).validate_all(program).map_err(LinkError::parse)?;
    link_unvalidated_with_shim(program, shim, options)
}

/// Links a program that whoever takes the result will validate anyway: three quarters of the work
/// of [`link_with_shim`] is validation.
///
/// Damaged modules are still answered with an error, and an index beyond the program's own is
/// refused; but a program with, say, a type error may be linked, to a module with the same error.
///
/// # Errors
///
/// As [`link_with_shim`].
pub fn link_unvalidated_with_shim(program: &[u8], shim: &[u8], options: &LinkOptions) -> Result<Linked, LinkError> {
    link_carrying(program, shim, options, None)
}

/// Links a program with a shim and what a pack carries.
pub(crate) fn link_carrying(
    program: &[u8],
    shim: &[u8],
    options: &LinkOptions,
    carry: Option<Carry<'_>>,
) -> Result<Linked, LinkError> {
    check_header(program)?;
    let module = Module::parse(program)?;
    refuse_object_file(&module)?;
    let imports = p1_imports(&module)?;
    let shim = if needs_shim(&imports) || carry.is_some() { Some(Shim::parse(shim)?) } else { None };
    let any = imports.iter().any(Option::is_some);
    let exits = imports.iter().flatten().any(|(_, function, _)| !function.returns_errno);
    let renames = imports.iter().flatten().any(|(_, _, unstable)| *unstable);
    let unwinds = options.exit == Exit::Unwind && exits;
    let traces = options.trace && any;
    if shim.is_some() || traces || unwinds || renames {
        emit::emit(Plan::new(module, imports, shim, *options, carry)?)
    } else {
        Ok(unchanged(&module))
    }
}

pub(crate) fn check_header(program: &[u8]) -> Result<(), LinkError> {
    if Parser::is_component(program) {
        return Err(LinkError::new(LinkErrorKind::IsComponent));
    }
    if !program.starts_with(b"\0asm") {
        let text = program.iter().take(64).find(|byte| !byte.is_ascii_whitespace());
        let looks_like = match (program, text) {
            ([], _) => "it is empty",
            ([0x7f, b'E', b'L', b'F', ..], _) => "it is an ELF file of the machine",
            ([0x1f, 0x8b, ..], _) => "it is compressed with gzip",
            ([b'P', b'K', ..], _) => "it is a zip archive",
            (_, Some(b'(' | b';')) => "it looks like WebAssembly text",
            _ => "its first bytes are something else",
        };
        return Err(LinkError::at(LinkErrorKind::NotWasm { looks_like }, 0));
    }
    limits::check("bytes", program.len(), limits::PROGRAM_BYTES_MAX)
}

/// Object files carry sections for a linker and have nothing to start. Programs linked with
/// `--emit-relocs` carry the same sections but export things; those sections are then dropped.
pub(crate) fn refuse_object_file(module: &Module<'_>) -> Result<(), LinkError> {
    let section = module.customs.iter().map(|custom| &custom.reader);
    let mut section = section.filter(|custom| custom.name() == "linking" || custom.name().starts_with("reloc."));
    let Some(found) = section.next() else { return Ok(()) };
    let object_memory = module.imports.iter().any(|(_, import)| {
        import.module == "env" && import.name == "__linear_memory" && matches!(import.ty, TypeRef::Memory(_))
    });
    if object_memory || module.exports.is_empty() {
        let kind = LinkErrorKind::ObjectFile { section: found.name().into() };
        return Err(LinkError::at(kind, found.range().start));
    }
    Ok(())
}

fn unchanged(module: &Module<'_>) -> Linked {
    let size = module.bytes.len() as u64;
    let remaining = module.imports.iter().map(|(_, import)| RemainingImport {
        module: import.module.into(),
        name: import.name.into(),
        by_program: true,
        by_shim: false,
    });
    let report =
        LinkReport { remaining: remaining.collect(), program_bytes: size, linked_bytes: size, ..LinkReport::default() };
    let functions = FunctionMap {
        imports: (0..module.imported.functions).collect(),
        defined: module.imported.functions,
        count: module.counts.functions,
    };
    Linked { bytes: module.bytes.to_vec(), report, functions }
}
