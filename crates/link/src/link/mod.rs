//! Linking a program with the shim: one core module with two memories.
//!
//! What this never does: run code, read or write anything but the bytes it is given, or let a
//! number in the program reach into the shim's part of the result.

mod emit;
mod generated;
mod lifting;
mod names;
mod options;
mod parts;
mod plan;
mod planning;
mod shim;
mod shim_code;

pub use options::{DroppedSection, Exit, LinkOptions, LinkReport, Linked, RemainingImport, Unwind};

use crate::code::FunctionMap;
use crate::error::LinkError;
use crate::module::{Module, check_header, refuse_object_file};
pub(crate) use lifting::run_of;
pub(crate) use parts::{Carry, Flow, Lift};
use plan::Plan;
use planning::{needs_shim, p1_imports};
pub(crate) use shim::{Shim, internal};
use wasmparser::{Validator, WasmFeatures};

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
