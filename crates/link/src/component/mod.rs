//! Packs of components (WASI 0.2, 0.3): the program is composed with the file system as a component.
//!
//! [`compose`] cuts the component shim (`guests/component-shim`) down to what the program imports, puts
//! the files into it, and makes one component of both: the program's imports of wasi:filesystem, and of all
//! that shares streams and pollables with it, are wired to the shim; everything else stays an import. The
//! program is inside, byte for byte, and [`parts`] gets it out again.
//!
//! Wiring goes by interface and by the first two numbers of its version, so a program built against any 0.2.x
//! works; what is left to import keeps the version that the program asked for.

mod cut;
mod parts;
mod wire;

pub(crate) use parts::{ComponentFiles, append_custom, parts};

use crate::error::LinkError;
use crate::limits;
use parts::refused;
use wasmparser::{Validator, WasmFeatures};

/// The component shim's core module for programs whose files are those of WASI 0.2: `guests/component-shim`,
/// compiled by `scripts/shim.sh`.
const SHIM_P2: &[u8] = include_bytes!("../../component-shim-p2.wasm");
/// The same with WASI 0.3, whose tasks are reached through tables: cutting would not get rid of them.
const SHIM_P3: &[u8] = include_bytes!("../../component-shim.wasm");

/// Composes a program with its files.
///
/// # Errors
/// The program is not a valid component, or it uses the file system together with something that cannot be
/// wired to the files inside; the error names it.
pub(crate) fn compose(program: &[u8], files: &ComponentFiles<'_>) -> Result<Vec<u8>, LinkError> {
    limits::check("bytes", program.len(), limits::PROGRAM_BYTES_MAX)?;
    Validator::new_with_features(WasmFeatures::all()).validate_all(program).map_err(LinkError::parse)?;
    let uses = wire::Uses::of(program)?;
    let shim = if uses.imports_track(wire::FILES_AS_STREAMS) { SHIM_P3 } else { SHIM_P2 };
    let (shim, kept) = wire::shim_component(shim, &uses, files)?;
    uses.check(&kept)?;
    let (bytes, imports) = wire::compose(program, shim, &kept)?;
    check_no_files(&imports)?;
    Ok(bytes)
}

/// No packed component imports a file system: what would be left is of a version that is not known here.
fn check_no_files(imports: &[String]) -> Result<(), LinkError> {
    match imports.iter().find(|name| name.starts_with("wasi:filesystem/")) {
        None => Ok(()),
        Some(name) => Err(refused(format!(
            "the program imports `{name}`, a version that cannot be packed; build it for WASI 0.2 or 0.3"
        ))),
    }
}
