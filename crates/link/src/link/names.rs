//! The name section of the result: the program's names under their new numbers, the shim's with
//! `weir:` in front.

use super::parts::Use;
use super::plan::Plan;
use crate::error::LinkError;
use std::collections::BTreeMap;
use wasm_encoder::{Encode, IndirectNameMap, NameMap};
use wasmparser::{BinaryReader, CustomSectionReader, IndirectNameMap as ParsedIndirect, Name, NameSectionReader};

const FUNCTIONS: u8 = 1;

/// The content of the name section, without its name.
///
/// # Errors
///
/// The program's own name section is damaged (which does not make a program invalid).
pub(crate) fn name_section(plan: &Plan<'_>, program: Option<&CustomSectionReader<'_>>) -> Result<Vec<u8>, LinkError> {
    let mut subsections: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut functions: BTreeMap<u32, String> = BTreeMap::new();
    if let Some(section) = program {
        for name in NameSectionReader::new(section.data_reader()) {
            let name = name.map_err(LinkError::parse)?;
            program_names(plan, name, &mut subsections, &mut functions)?;
        }
    }
    for (at, generated) in plan.generated.iter().enumerate() {
        functions.insert(plan.generated_base + at as u32, generated.name(plan));
    }
    shim_names(plan, &mut functions);
    let mut map = NameMap::new();
    for (index, name) in &functions {
        map.append(*index, name);
    }
    let mut bytes = Vec::new();
    map.encode(&mut bytes);
    subsections.insert(FUNCTIONS, bytes);
    let mut out = Vec::new();
    for (id, bytes) in subsections {
        out.push(id);
        bytes.len().encode(&mut out);
        out.extend_from_slice(&bytes);
    }
    Ok(out)
}

fn program_names(
    plan: &Plan<'_>,
    name: Name<'_>,
    subsections: &mut BTreeMap<u8, Vec<u8>>,
    functions: &mut BTreeMap<u32, String>,
) -> Result<(), LinkError> {
    // Only functions have new numbers; all other maps are copied.
    let mut copy = |id: u8, range: core::ops::Range<usize>| {
        subsections.insert(id, plan.program.bytes.get(range).unwrap_or(&[]).to_vec());
    };
    match name {
        Name::Function(map) => {
            for naming in map {
                let naming = naming.map_err(LinkError::parse)?;
                // An import that was resolved is known by the shim's name for it.
                let new = match plan.uses.get(naming.index as usize) {
                    Some(Use::Shim { .. } | Use::Exit { .. } | Use::Inside { .. } | Use::Denied) => None,
                    Some(Use::Foreign | Use::Host { .. }) => plan.target(naming.index).ok(),
                    None => plan.functions.get(naming.index),
                };
                if let Some(new) = new {
                    functions.insert(new, naming.name.to_owned());
                }
            }
        }
        Name::Local(map) => {
            subsections.insert(2, by_function(plan, map)?);
        }
        Name::Label(map) => {
            subsections.insert(3, by_function(plan, map)?);
        }
        Name::Module { name, .. } => {
            let mut bytes = Vec::new();
            name.encode(&mut bytes);
            subsections.insert(0, bytes);
        }
        Name::Type(map) => copy(4, map.range()),
        Name::Table(map) => copy(5, map.range()),
        Name::Memory(map) => copy(6, map.range()),
        Name::Global(map) => copy(7, map.range()),
        Name::Element(map) => copy(8, map.range()),
        Name::Data(map) => copy(9, map.range()),
        Name::Field(map) => copy(10, map.range()),
        Name::Tag(map) => copy(11, map.range()),
        Name::Unknown { ty, data, .. } => {
            subsections.insert(ty, data.to_vec());
        }
    }
    Ok(())
}

/// Names of things inside of functions. Imports have no inside.
fn by_function(plan: &Plan<'_>, map: ParsedIndirect<'_>) -> Result<Vec<u8>, LinkError> {
    let mut all: BTreeMap<u32, NameMap> = BTreeMap::new();
    for naming in map {
        let naming = naming.map_err(LinkError::parse)?;
        let mut names = NameMap::new();
        for inner in naming.names {
            let inner = inner.map_err(LinkError::parse)?;
            names.append(inner.index, inner.name);
        }
        if naming.index as usize >= plan.uses.len()
            && let Some(new) = plan.functions.get(naming.index)
        {
            all.insert(new, names);
        }
    }
    let mut out = IndirectNameMap::new();
    for (index, names) in &all {
        out.append(*index, names);
    }
    let mut bytes = Vec::new();
    out.encode(&mut bytes);
    Ok(bytes)
}

fn shim_names(plan: &Plan<'_>, functions: &mut BTreeMap<u32, String>) {
    let Some(shim) = &plan.shim else { return };
    for (name, function) in &shim.exports {
        if let Some(new) = plan.shim_functions.get(function) {
            functions.insert(*new, format!("weir:{name}"));
        }
    }
    let section = shim.module.customs.iter().find(|custom| custom.reader.name() == "name");
    let Some(section) = section else { return };
    let reader = BinaryReader::new(section.reader.data(), section.reader.data_offset());
    for name in NameSectionReader::new(reader) {
        let Ok(Name::Function(map)) = name else { continue };
        for naming in map.into_iter().map_while(Result::ok) {
            if let Some(new) = plan.shim_functions.get(&naming.index) {
                functions.entry(*new).or_insert_with(|| format!("weir:{}", naming.name));
            }
        }
    }
}
