//! A shim's part of the result: what is needed of it, with calls to the program's memory replaced by instructions on it.

use super::parts::{Part, Served};
use super::rewriter::Rewriter;
use super::shim::internal;
use crate::error::LinkError;
use std::borrow::Cow;
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{ConstExpr, ElementSection, Elements, Encode, GlobalSection, HeapType, RefType, TableSection};
use wasmparser::ElementKind;

/// Writes the shim's code and data with the result's indices.
pub(super) type ShimCode<'p, 'a> = Rewriter<'p, Served<'a>>;

impl<'p, 'a> ShimCode<'p, 'a> {
    /// The functions that are kept, in the order of their new indices.
    fn functions(&self) -> impl Iterator<Item = u32> + use<'p, 'a> {
        let part: &'p Part<Served<'a>> = self.part;
        let needed = part.role.shim.needed.functions.iter().copied();
        needed.filter(|function| part.defined(*function).is_some())
    }

    /// Appends the types of the defined functions, and gives how many there are.
    pub fn function_types(&mut self, out: &mut Vec<u8>) -> Result<u32, LinkError> {
        let mut count = 0;
        for function in self.functions() {
            let ty = self.part.role.shim.module.functions.get(function as usize).copied().unwrap_or(u32::MAX);
            let ty = self.type_index(ty);
            self.flat(ty)?.encode(out);
            count += 1;
        }
        Ok(count)
    }

    /// Appends the code of the defined functions, and gives how many there are.
    pub fn code(&mut self, out: &mut Vec<u8>) -> Result<u32, LinkError> {
        let mut count = 0;
        for function in self.functions() {
            let part = self.part;
            self.body(part.role.shim.body(function)?, out)?;
            count += 1;
        }
        Ok(count)
    }

    /// Appends the shim's tables that are used.
    pub fn append_tables(&mut self, section: &mut TableSection) -> Result<(), LinkError> {
        let shim = &self.part.role.shim;
        for index in &shim.needed.tables {
            let table = shim.module.tables.get(*index as usize).cloned().ok_or_else(|| missing("table", *index))?;
            let parsed = self.parse_table(section, table);
            self.flat(parsed)?;
        }
        Ok(())
    }

    /// Appends the shim's globals that are used.
    pub fn append_globals(&mut self, section: &mut GlobalSection) -> Result<(), LinkError> {
        let shim = &self.part.role.shim;
        for index in &shim.needed.globals {
            let global = shim.module.globals.get(*index as usize).cloned().ok_or_else(|| missing("global", *index))?;
            let parsed = self.parse_global(section, global);
            self.flat(parsed)?;
        }
        Ok(())
    }

    /// Appends the shim's element segments, and one that declares every function whose address
    /// its code takes.
    pub fn append_elements(&mut self, section: &mut ElementSection) -> Result<(), LinkError> {
        let shim = &self.part.role.shim;
        for index in shim.live_segments() {
            let element = shim.module.elements[index as usize].clone();
            let entries = self.entries(index as usize)?;
            match element.kind {
                ElementKind::Active { table_index, offset_expr } => {
                    let (table, offset) = (self.table_index(table_index.unwrap_or(0)), self.const_expr(offset_expr));
                    section.active(Some(self.flat(table)?), &self.flat(offset)?, entries);
                }
                ElementKind::Passive => {
                    section.passive(entries);
                }
                ElementKind::Declared => {
                    section.declared(entries);
                }
            }
        }
        if !shim.needed.referenced.is_empty() {
            let declared = self.places(shim.needed.referenced.iter().copied())?;
            section.declared(Elements::Functions(declared.into()));
        }
        Ok(())
    }

    fn places(&mut self, functions: impl IntoIterator<Item = u32>) -> Result<Vec<u32>, LinkError> {
        let places = functions.into_iter().map(|function| {
            let place = self.function_index(function);
            self.flat(place)
        });
        places.collect()
    }

    /// What is in an element segment. As a list of functions where that is possible: engines write such tables when
    /// they are first read, and evaluate expressions in every instance. In empty places lies a function that no call
    /// through a table has the type of, so it traps there as it does at null.
    fn entries(&mut self, segment: usize) -> Result<Elements<'static>, LinkError> {
        let shim = &self.part.role.shim;
        let kept = shim.kept(segment)?;
        let filler = shim.never_called_through_tables()?;
        if let Some(functions) = kept.iter().map(|function| function.or(filler)).collect::<Option<Vec<_>>>() {
            return Ok(Elements::Functions(Cow::Owned(self.places(functions)?)));
        }
        let mut entries = Vec::new();
        for function in kept {
            entries.push(match function {
                Some(function) => {
                    let place = self.function_index(function);
                    ConstExpr::ref_func(self.flat(place)?)
                }
                None => ConstExpr::ref_null(HeapType::FUNC),
            });
        }
        Ok(Elements::Expressions(RefType::FUNCREF, Cow::Owned(entries)))
    }

    /// Appends the shim's data segments as they stand in a data section, and gives how many there are.
    pub fn data(&mut self, out: &mut Vec<u8>) -> Result<u32, LinkError> {
        let mut count = 0;
        for segment in self.part.role.shim.module.data().map_err(internal)? {
            self.data_segment(segment.map_err(internal)?, out)?;
            count += 1;
        }
        Ok(count)
    }
}

fn missing(what: &str, index: u32) -> LinkError {
    LinkError::shim(format!("{what} {index} was not kept"))
}
