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
mod program_code;
mod rewriter;
mod shim;
mod shim_code;
#[cfg(test)]
mod tests;

pub use options::{DroppedSection, Exit, LinkOptions, LinkReport, Linked, RemainingImport, Unwind};

use crate::error::LinkError;
use crate::index::IndexMap;
use crate::module::{Module, check_header, refuse_object_file};
use crate::p1;
pub(crate) use lifting::run_of;
use parts::Input;
pub(crate) use parts::{Carry, Flow, Lift, Purpose};
use planning::{needs_shim, p1_imports, plan};
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
    let program = input("", program, shim, carry)?;
    if changes(&program, options) { merge(vec![program], options) } else { Ok(unchanged(&program.module)) }
}

/// Takes a program apart that is to be linked, and its shim if it needs one.
fn input<'a>(
    label: &'a str,
    program: &'a [u8],
    shim: &'a [u8],
    carry: Option<Carry<'a>>,
) -> Result<Input<'a>, LinkError> {
    check_header(program)?;
    let module = Module::parse(program)?;
    refuse_object_file(&module)?;
    let p1 = p1_imports(&module)?;
    let shim = if needs_shim(&p1) || carry.is_some() { Some(Shim::parse(shim)?) } else { None };
    Ok(Input { label, module, p1, shim, carry })
}

/// Whether linking a program alone changes anything in it.
fn changes(program: &Input<'_>, options: &LinkOptions) -> bool {
    let mut functions = program.p1.iter().flatten();
    let ends = |function: &p1::P1Function| options.exit == Exit::Unwind && !function.returns_errno;
    program.shim.is_some() || functions.any(|(_, function, unstable)| options.trace || *unstable || ends(function))
}

/// Makes one module of any number of programs, each with its own shim.
fn merge(programs: Vec<Input<'_>>, options: &LinkOptions) -> Result<Linked, LinkError> {
    emit::emit(plan(programs, *options)?)
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
    let imports = (0..module.imported.functions).collect();
    let functions = IndexMap::whole(imports, module.imported.functions, module.counts.functions);
    Linked { bytes: module.bytes.to_vec(), report, functions }
}
