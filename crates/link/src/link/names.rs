//! The name section of the result: the programs' names under their new numbers, the shims' with
//! `weir:` in front.

use super::parts::{Part, Program, Served, Use};
use super::plan::Plan;
use crate::error::LinkError;
use std::collections::BTreeMap;
use wasm_encoder::{Encode, IndirectNameMap, NameMap};
use wasmparser::{
    BinaryReader, CustomSectionReader, IndirectNameMap as ParsedIndirect, Name, NameMap as ParsedMap, NameSectionReader,
};

const FUNCTIONS: u8 = 1;

/// The content of the name section, without its name. Of each program, its own name section.
///
/// # Errors
///
/// A program's own name section is damaged (which does not make a program invalid).
pub(crate) fn name_section(
    plan: &Plan<'_>,
    programs: &[(usize, &CustomSectionReader<'_>)],
) -> Result<Vec<u8>, LinkError> {
    let mut names = Names::default();
    for (of, section) in programs {
        for name in NameSectionReader::new(section.data_reader()) {
            let name = name.map_err(LinkError::parse)?;
            // Only functions of a program that is alone have new numbers: all other maps are copied.
            if plan.programs.len() == 1 {
                names.copy(&plan.programs[*of].role, &name);
            }
            names.program(plan, *of, name)?;
        }
    }
    // The subsection is there even if no function has a name.
    let functions = names.functions();
    for (index, generated) in (plan.generated_base..).zip(&plan.generated) {
        functions.insert(index, generated.name(plan));
    }
    for part in &plan.shims {
        names.shim(part);
    }
    Ok(names.encode())
}

/// Names by the subsection that they stand in, under their new numbers.
#[derive(Default)]
struct Names {
    direct: BTreeMap<u8, BTreeMap<u32, String>>,
    indirect: BTreeMap<u8, BTreeMap<u32, NameMap>>,
    /// Subsections that are there as bytes.
    copied: BTreeMap<u8, Vec<u8>>,
}

impl Names {
    fn functions(&mut self) -> &mut BTreeMap<u32, String> {
        self.direct.entry(FUNCTIONS).or_default()
    }

    fn copy(&mut self, program: &Program<'_>, name: &Name<'_>) {
        let (id, range) = match name {
            Name::Type(map) => (4, map.range()),
            Name::Table(map) => (5, map.range()),
            Name::Memory(map) => (6, map.range()),
            Name::Global(map) => (7, map.range()),
            Name::Element(map) => (8, map.range()),
            Name::Data(map) => (9, map.range()),
            Name::Field(map) => (10, map.range()),
            Name::Tag(map) => (11, map.range()),
            _ => return,
        };
        self.copied.insert(id, program.module.bytes.get(range).unwrap_or(&[]).to_vec());
    }

    fn program(&mut self, plan: &Plan<'_>, of: usize, name: Name<'_>) -> Result<(), LinkError> {
        let Part { role: program, maps } = &plan.programs[of];
        let defined = |function: u32| maps.functions.get(function).filter(|_| function as usize >= program.uses.len());
        match name {
            Name::Function(map) => self.map(FUNCTIONS, map, |function| match program.uses.get(function as usize) {
                // An import that was resolved is known by the shim's name for it.
                Some(Use::Shim { .. } | Use::Exit { .. } | Use::Inside { .. } | Use::Denied) => None,
                Some(Use::Foreign | Use::Host { .. }) => plan.target(of, function).ok(),
                None => maps.functions.get(function),
            })?,
            // Imports have no inside.
            Name::Local(map) => self.inside(2, map, defined)?,
            Name::Label(map) => self.inside(3, map, defined)?,
            // What is said of the whole is said by the first.
            Name::Module { .. } | Name::Unknown { .. } if of > 0 => {}
            Name::Module { name, .. } => {
                let bytes = self.copied.entry(0).or_default();
                bytes.clear();
                name.encode(bytes);
            }
            Name::Unknown { ty, data, .. } => {
                self.copied.insert(ty, data.to_vec());
            }
            Name::Type(map) => self.map(4, map, |index| maps.types.get(index))?,
            Name::Table(map) => self.map(5, map, |index| maps.tables.get(index))?,
            Name::Memory(map) => self.map(6, map, |index| maps.memories.get(index))?,
            Name::Global(map) => self.map(7, map, |index| maps.globals.get(index))?,
            Name::Element(map) => self.map(8, map, |index| maps.elements.get(index))?,
            Name::Data(map) => self.map(9, map, |index| maps.data.get(index))?,
            Name::Field(map) => self.inside(10, map, |index| maps.types.get(index))?,
            Name::Tag(map) => self.map(11, map, |index| maps.tags.get(index))?,
        }
        Ok(())
    }

    fn map(&mut self, id: u8, map: ParsedMap<'_>, place: impl Fn(u32) -> Option<u32>) -> Result<(), LinkError> {
        if self.copied.contains_key(&id) {
            return Ok(());
        }
        let names = self.direct.entry(id).or_default();
        for naming in map {
            let naming = naming.map_err(LinkError::parse)?;
            if let Some(new) = place(naming.index) {
                names.insert(new, naming.name.to_owned());
            }
        }
        Ok(())
    }

    /// Names of things inside of others.
    fn inside(&mut self, id: u8, map: ParsedIndirect<'_>, place: impl Fn(u32) -> Option<u32>) -> Result<(), LinkError> {
        if self.copied.contains_key(&id) {
            return Ok(());
        }
        let all = self.indirect.entry(id).or_default();
        for naming in map {
            let naming = naming.map_err(LinkError::parse)?;
            let mut names = NameMap::new();
            for inner in naming.names {
                let inner = inner.map_err(LinkError::parse)?;
                names.append(inner.index, inner.name);
            }
            if let Some(new) = place(naming.index) {
                all.insert(new, names);
            }
        }
        Ok(())
    }

    fn shim(&mut self, part: &Part<Served<'_>>) {
        let functions = self.functions();
        let shim = &part.role.shim;
        for (name, function) in &shim.exports {
            if let Some(new) = part.defined(*function) {
                functions.insert(new, format!("weir:{name}"));
            }
        }
        let section = shim.module.customs.iter().find(|custom| custom.reader.name() == "name");
        let Some(section) = section else { return };
        let reader = BinaryReader::new(section.reader.data(), section.reader.data_offset());
        for name in NameSectionReader::new(reader) {
            let Ok(Name::Function(map)) = name else { continue };
            for naming in map.into_iter().map_while(Result::ok) {
                if let Some(new) = part.defined(naming.index) {
                    functions.entry(new).or_insert_with(|| format!("weir:{}", naming.name));
                }
            }
        }
    }

    fn encode(self) -> Vec<u8> {
        let mut subsections = self.copied;
        for (id, names) in self.direct {
            let mut map = NameMap::new();
            names.iter().for_each(|(index, name)| map.append(*index, name));
            let bytes = subsections.entry(id).or_default();
            bytes.clear();
            map.encode(bytes);
        }
        for (id, names) in self.indirect {
            let mut map = IndirectNameMap::new();
            names.iter().for_each(|(index, names)| map.append(*index, names));
            let bytes = subsections.entry(id).or_default();
            bytes.clear();
            map.encode(bytes);
        }
        let mut out = Vec::new();
        for (id, bytes) in subsections {
            out.push(id);
            bytes.len().encode(&mut out);
            out.extend_from_slice(&bytes);
        }
        out
    }
}
