//! What a packed component is made of: the sections by which its parts are told apart, and getting them out again.

use crate::error::{LinkError, LinkErrorKind};
use std::collections::BTreeSet;
use wasm_encoder::Encode;
use wasmparser::{Parser, Payload};
use weir_vfs::pack::Codec;

/// The component that stands before the shim for programs of WASI 0.3: `guests/component-shim/bridge.wat`.
pub(super) const BRIDGE: &[u8] = include_bytes!("../../component-bridge.wasm");

/// The custom sections by which shim and bridge are told from the program.
pub(super) const SHIM_SECTION: &str = "weir.component-shim";
pub(super) const BRIDGE_SECTION: &str = "weir.component-bridge";

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

/// Names of interfaces as they stand in a component, with versions.
pub(super) type Names = BTreeSet<String>;

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

pub(super) fn refused(message: String) -> LinkError {
    LinkError::new(LinkErrorKind::Component { message })
}
