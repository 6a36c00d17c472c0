//! Packs: when they run as they are, and when they are linked anew.

use crate::error::{Error, Hint, Kind};
use crate::grants::Grants;
use std::path::Path;
use weir_engine::{Carried, Program};
use weir_link::LinkOptions;
use weir_link::pack::{MANIFEST_SECTION, Manifest, Pack, PackError, PackedNode};
use weir_store::Store;
use weir_types::Digest;
use weir_types::grants::Source;
use weir_types::limits::Limits;

/// What a program says of itself if it is a pack.
pub(crate) fn manifest(program: &Program) -> Result<Option<Manifest>, Error> {
    let Some(section) = program.custom_section(MANIFEST_SECTION)? else { return Ok(None) };
    let named = |error: PackError| Error::of_program(program, error);
    Manifest::decode(&section).map(Some).map_err(named)
}

/// Whether a run hands over what the pack as it is has no way in for.
pub(crate) fn needs_more(manifest: &Manifest, grants: &Grants, limits: &Limits) -> bool {
    let default = Limits::default();
    !manifest.references.is_empty()
        || !grants.data.places.is_empty()
        || !grants.objects.is_empty()
        || !grants.saves.is_empty()
        || grants.trace
        || limits.files != default.files
        || !given(manifest, grants).is_empty()
}

/// The pack's variables to which the run gives another value: a program must not find two of a name.
pub(crate) fn given<'m>(manifest: &'m Manifest, grants: &Grants) -> Vec<&'m str> {
    let by_run = |name: &&str| grants.data.env.iter().any(|(given, _)| given == name);
    manifest.env.iter().map(|(name, _)| name.as_str()).filter(by_run).collect()
}

/// What the pack brings along; its blobs have to be in the store.
pub(crate) fn carried(manifest: &Manifest) -> Result<Carried, Error> {
    let mut carried = Carried { preopens: manifest.preopens.clone(), references: Vec::new() };
    if manifest.references.is_empty() {
        return Ok(carried);
    }
    let store = Store::of_user()?;
    for (digest, size) in &manifest.references {
        let parsed = Digest::from_hex(digest);
        let path = parsed.map_or(Ok(None), |digest| store.find(&digest))?;
        let missing = || {
            let what = format!("the pack names a file of {size} bytes that is not in the store ({digest})");
            Error::hinted(Kind::Grant, what, Hint::Pull)
        };
        carried.references.push(path.ok_or_else(missing)?);
    }
    Ok(carried)
}

/// Why no tree can be made of the pack's files and a place of the run, if that is so. Looked for only after a trap: to
/// read the tree of a large pack takes longer than most programs run.
pub(crate) fn contradiction(program: &Program, grants: &Grants) -> Option<Error> {
    let entries = Pack::open(program.bytes().ok()?).ok()??.entries().ok()?;
    let node_at =
        |path: &str| entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok().map(|at| &entries[at].node);
    let is_directory = |source: &Source| match source {
        Source::Mount(host) => Path::new(host).is_dir(),
        Source::Scratch | Source::HostDir { .. } => true,
        Source::Bytes(_) | Source::Stream(_) => false,
    };
    let places = grants.data.places.iter().map(|place| (&place.guest, Some(is_directory(&place.source))));
    let wanted = places.chain(grants.saves.iter().map(|save| (&save.guest, None)));
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
            Some(Error::new(Kind::Grant, wrong))
        })
    })
}

/// The module that serves the run.
pub(crate) fn link(bytes: &[u8], options: &LinkOptions, given: &[&str]) -> Result<Vec<u8>, PackError> {
    let pack = Pack::open(bytes)?.ok_or_else(|| PackError::damaged("it is no pack"))?;
    Ok(pack.link(options, given)?.bytes)
}

/// A component's files are its own: it has no import through which others could come.
pub(crate) fn refuse_grants(program: &Program, grants: &Grants) -> Result<(), Error> {
    let place = grants.data.places.first().map(|place| place.guest.as_str());
    let Some(guest) = place.or(grants.saves.first().map(|save| save.guest.as_str())) else { return Ok(()) };
    let what = format!("{guest} cannot be granted: this pack is a component, which imports no files");
    Err(Error::hinted(Kind::Grant, format!("{}: {what}", program.path().display()), Hint::Unpack))
}
