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
mod wire;

use crate::error::{LinkError, LinkErrorKind};
use crate::limits;
use std::collections::BTreeSet;
use wasm_encoder::Encode;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use weir_vfs::pack::Codec;

/// The component shim's core module for programs whose files are those of WASI 0.2: `guests/component-shim`,
/// compiled by `scripts/shim.sh`.
const SHIM_P2: &[u8] = include_bytes!("../../component-shim-p2.wasm");
/// The same with WASI 0.3, whose tasks are reached through tables: cutting would not get rid of them.
const SHIM_P3: &[u8] = include_bytes!("../../component-shim.wasm");
/// The component that stands before it for programs of WASI 0.3: `guests/component-shim/bridge.wat`.
const BRIDGE: &[u8] = include_bytes!("../../component-bridge.wasm");

/// The custom sections by which shim and bridge are told from the program.
const SHIM_SECTION: &str = "weir.component-shim";
const BRIDGE_SECTION: &str = "weir.component-bridge";

/// What a packed component carries besides its program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ComponentFiles<'s> {
    /// The bytes of the segment (see `weir_vfs::pack`).
    pub segment: &'s [u8],
    /// How chunks in it are compressed.
    pub codec: Codec,
    /// Whether it has entry arguments or variables, so that those of the host have to be completed.
    pub entry: bool,
    /// Whether files were left out, so that the program's stderr is told when one is opened.
    pub pruned: bool,
}

/// The two parts of a packed component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts<'b> {
    /// The program that was packed.
    pub program: &'b [u8],
    /// The bytes of the segment.
    pub segment: &'b [u8],
}

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

/// The parts of a packed component; `None` if it is another component.
pub(crate) fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut components: Vec<&[u8]> = nested(bytes)?;
    let at = components.iter().position(|component| has_section(component, SHIM_SECTION))?;
    let shim = components.remove(at);
    components.retain(|component| !has_section(component, BRIDGE_SECTION));
    let [program] = components[..] else { return None };
    Some(Parts { program, segment: segment(shim)? })
}

/// The components that lie directly inside a component.
fn nested(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    each(bytes, |payload| {
        if let Payload::ComponentSection { unchecked_range, .. } = payload {
            found.extend(bytes.get(unchecked_range.clone()));
        }
    })?;
    Some(found)
}

fn has_section(component: &[u8], name: &str) -> bool {
    let mut found = false;
    let whole = each(component, |payload| {
        found |= matches!(payload, Payload::CustomSection(section) if section.name() == name);
    });
    whole.is_some() && found
}

/// The last data segment of the first module of the shim.
fn segment(shim: &[u8]) -> Option<&[u8]> {
    let mut module = None;
    each(shim, |payload| {
        if let Payload::ModuleSection { unchecked_range, .. } = payload {
            module = module.take().or(shim.get(unchecked_range.clone()));
        }
    })?;
    let mut last = None;
    each(module?, |payload| {
        if let Payload::DataSection(section) = payload {
            last = section.clone().into_iter().last().and_then(Result::ok).map(|segment| segment.data);
        }
    })?;
    last
}

/// Visits the top level of a module or component; what is nested is passed over.
fn each<'b>(bytes: &'b [u8], mut visit: impl FnMut(&Payload<'b>)) -> Option<()> {
    let mut rest = bytes;
    let mut parser = Parser::new(0);
    while !rest.is_empty() {
        let wasmparser::Chunk::Parsed { consumed, payload } = parser.parse(rest, true).ok()? else { return None };
        visit(&payload);
        let mut passed = consumed;
        match payload {
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                passed += unchecked_range.len();
            }
            Payload::CodeSectionStart { size, .. } => {
                parser.skip_section();
                passed += size as usize;
            }
            Payload::End(_) => return Some(()),
            _ => {}
        }
        rest = rest.get(passed..)?;
    }
    Some(())
}

/// Appends a custom section, which may stand at the end of modules and of components.
pub(crate) fn append_custom(name: &str, data: &[u8], out: &mut Vec<u8>) {
    let mut head = Vec::new();
    name.encode(&mut head);
    out.push(0);
    (head.len() + data.len()).encode(out);
    out.extend_from_slice(&head);
    out.extend_from_slice(data);
}

fn refused(message: String) -> LinkError {
    LinkError::new(LinkErrorKind::Component { message })
}

/// Names of interfaces as they stand in a component, with versions.
type Names = BTreeSet<String>;
