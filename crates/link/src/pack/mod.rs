//! Packs: a program with its files inside it.
//!
//! [`pack`] links a program with the shim (a component: composes it with the component shim) and puts its
//! files into one passive data segment of the result; [`Pack`] reads such a module or component: its files,
//! its program byte for byte, and the module linked anew for a run that grants more. Nothing here touches a file: contents come through [`Contents`].

mod carried;
mod compress;
mod error;
mod manifest;
mod options;
mod original;
mod read;
mod segment;

pub(crate) use carried::Carried;
pub use error::{PackError, PackErrorKind};
pub use manifest::{MANIFEST_SECTION, Manifest, ORIGINAL_SECTION, ProgramManifest};
pub use options::{Contents, PackOptions, PackReport, Reference};
pub use read::{Pack, PackedEntry, PackedNode, Stored};
pub use weir_vfs::pack::{Codec, Entry as EntryPoint};

use crate::builtin::SHIM;
use crate::component::{ComponentFiles, append_custom, compose};
use crate::error::LinkError;
use crate::limits;
use crate::link::{Carry, Exit, LinkOptions, Purpose, link_carrying};
use crate::module::check_header;
use manifest::FORMAT;
use wasmparser::{Parser, Validator, WasmFeatures};
use weir_types::tree::{Node, Tree};

/// A finished pack.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The module or component.
    pub bytes: Vec<u8>,
    /// What was done.
    pub report: PackReport,
    /// The blobs that have to be had beside it.
    pub references: Vec<Reference>,
}

/// Puts a program and its files into one: a module for WASI 0.1, a component for 0.2 and 0.3.
///
/// # Errors
/// The program cannot be linked, a file cannot be read, or the result would be larger than any engine takes.
pub fn pack(
    program: &[u8],
    tree: &Tree,
    contents: &mut dyn Contents,
    options: &PackOptions,
) -> Result<Packed, PackError> {
    let refused = |what: &str| Err(PackError::new(PackErrorKind::Program, what));
    if Pack::open(program)?.is_some() {
        return refused("the program is a pack already: unpack it, add the files, and pack again");
    }
    let is_component = Parser::is_component(program);
    if is_component && options.by_reference {
        return refused(
            "the program is a component, and a component has no way to get files that lie elsewhere: \
             put them inside",
        );
    }
    if !is_component {
        check_header(program)?;
        Validator::new_with_features(WasmFeatures::all()).validate_all(program).map_err(LinkError::parse)?;
    }
    let segment = segment::segment(tree, contents, options)?;
    let (mut bytes, kind) = if is_component {
        (component(program, options, &segment)?, "component")
    } else {
        (module(program, options, &segment)?, "module")
    };
    append_custom(MANIFEST_SECTION, &manifest(program, kind, tree, options, &segment).encode(), &mut bytes);
    limits::check("bytes with its files", bytes.len(), limits::PROGRAM_BYTES_MAX)?;
    let mut report = segment.report;
    (report.program_bytes, report.pack_bytes) = (program.len() as u64, bytes.len() as u64);
    Ok(Packed { bytes, report, references: segment.references })
}

/// The program linked with its files, and the record of what that changed in it.
fn module(program: &[u8], options: &PackOptions, segment: &segment::Segment) -> Result<Vec<u8>, PackError> {
    let carry =
        Carry { segment: &segment.bytes, codec: segment.codec, entry: has_entry(options), purpose: Purpose::Run };
    let linked = link_carrying(program, SHIM, &link_options(!segment.references.is_empty()), Some(carry))?;
    let original = original::record(program, &linked.bytes, &linked.functions)?;
    let mut bytes = linked.bytes;
    append_custom(ORIGINAL_SECTION, &original, &mut bytes);
    Ok(bytes)
}

/// The program, which stays as it is, composed with its files.
fn component(program: &[u8], options: &PackOptions, segment: &segment::Segment) -> Result<Vec<u8>, PackError> {
    let files = ComponentFiles {
        segment: &segment.bytes,
        codec: segment.codec,
        entry: has_entry(options),
        pruned: segment.report.pruned > 0,
    };
    Ok(compose(program, &files)?)
}

fn has_entry(options: &PackOptions) -> bool {
    !(options.entry.args.is_empty() && options.entry.env.is_empty())
}

/// What of the shim a pack needs: no way out but streams, clocks and, for references, blobs.
fn link_options(references: bool) -> LinkOptions {
    LinkOptions { host_dirs: false, mounts: references, streams: false, control: false, trace: false, exit: Exit::Host }
}

fn manifest(program: &[u8], kind: &str, tree: &Tree, options: &PackOptions, segment: &segment::Segment) -> Manifest {
    let executable = |entry: &&weir_types::tree::Entry| matches!(entry.node, Node::File { executable: true, .. });
    let references = segment.references.iter().map(|reference| (reference.digest.to_hex(), reference.size));
    Manifest {
        format: FORMAT,
        program: ProgramManifest {
            kind: kind.into(),
            bytes: program.len() as u64,
            blake3: blake3::hash(program).to_hex().to_string(),
        },
        compress: options.codec.name().into(),
        files: segment.report.files,
        file_bytes: segment.report.file_bytes,
        entry: options.entry.args.clone(),
        env: options.entry.env.clone(),
        preopens: segment.preopens.clone(),
        executable: tree.entries.iter().filter(executable).map(|entry| entry.path.clone()).collect(),
        pruned: segment.report.pruned,
        references: references.collect(),
    }
}
