//! A program's part of the result. Where functions are all whose numbers change, its sections and code are copied byte
//! for byte; otherwise everything is written anew.

use super::parts::{Part, Program};
use super::rewriter::{Rewriter, only_item};
use crate::code::Copier;
use crate::error::LinkError;
use crate::limits;
use std::borrow::Cow;
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    ConstExpr, ElementSection, Elements, Encode, EntityType, ExportKind, ExportSection, GlobalSection, MemorySection,
    RefType, TableSection, TagSection, TypeSection,
};
use wasmparser::{
    BinaryReader, ConstExpr as ParsedExpr, DataKind, ElementItems, ElementKind, ExternalKind, RecGroup, TableInit,
    TypeRef,
};

/// Writes a program's things with the result's indices.
pub(super) struct ProgramCode<'p, 'a> {
    part: &'p Part<Program<'a>>,
    rewriter: Rewriter<'p, Program<'a>>,
    /// What copies its code, if functions are all that moves.
    copier: Option<Copier<'p>>,
}

impl<'p, 'a> ProgramCode<'p, 'a> {
    pub fn new(part: &'p Part<Program<'a>>) -> ProgramCode<'p, 'a> {
        let module = &part.role.module;
        let copied = part.maps.only_functions_move();
        let copier = copied.then(|| Copier::new(module.bytes, module.counts, &part.maps.functions));
        ProgramCode { part, rewriter: Rewriter::new(part), copier }
    }

    /// Whether the code has a handler that catches every exception.
    pub fn catches_all(&self) -> bool {
        self.copier.as_ref().map_or(self.rewriter.catches_all, Copier::catches_all)
    }

    /// Appends its types, and gives how many items of a section they are.
    pub fn types(&mut self, out: &mut Vec<u8>) -> Result<u32, LinkError> {
        let items = &self.part.role.module.type_items;
        let raw = self.part.role.module.raw(items);
        if self.copier.is_some() {
            out.extend_from_slice(raw);
            return Ok(items.count);
        }
        let mut reader = BinaryReader::new(raw, items.range.start);
        for _ in 0..items.count {
            let group = reader.read::<RecGroup>().map_err(LinkError::parse)?;
            let mut section = TypeSection::new();
            let parsed = self.rewriter.parse_recursive_type_group(section.ty(), group);
            self.rewriter.flat(parsed)?;
            out.extend_from_slice(&only_item(&section));
        }
        Ok(items.count)
    }

    /// What an import is.
    pub fn entity(&mut self, ty: TypeRef) -> Result<EntityType, LinkError> {
        self.rewriter.at = 0;
        let entity = self.rewriter.entity_type(ty);
        self.rewriter.flat(entity)
    }

    /// Appends the types of the functions that it defines, and gives how many there are.
    pub fn function_types(&mut self, out: &mut Vec<u8>) -> Result<u32, LinkError> {
        let module = &self.part.role.module;
        let mut types = Vec::new();
        self.rewriter.at = module.function_items.range.start;
        for ty in &module.functions {
            let ty = self.rewriter.type_index(*ty);
            types.push(self.rewriter.flat(ty)?);
        }
        if self.copier.is_some() {
            out.extend_from_slice(module.raw(&module.function_items));
        } else {
            types.iter().skip(module.imported.functions as usize).for_each(|ty| ty.encode(out));
        }
        Ok(module.function_items.count)
    }

    /// Appends the tables that it defines.
    pub fn tables(&mut self, section: &mut TableSection) -> Result<(), LinkError> {
        self.rewriter.at = 0;
        for table in &self.part.role.module.tables {
            let ty = self.rewriter.table_type(table.ty);
            let ty = self.rewriter.flat(ty)?;
            match &table.init {
                TableInit::RefNull => section.table(ty),
                TableInit::Expr(init) => section.table_with_init(ty, &self.expression(init)?),
            };
        }
        Ok(())
    }

    /// Appends the memories that it defines.
    pub fn memories(&self, section: &mut MemorySection) {
        let module = &self.part.role.module;
        for memory in module.memories.iter().skip(module.imported.memories as usize) {
            section.memory((*memory).into());
        }
    }

    /// Appends the tags that it defines.
    pub fn tags(&mut self, section: &mut TagSection) -> Result<(), LinkError> {
        self.rewriter.at = 0;
        for tag in &self.part.role.module.tags {
            let tag = self.rewriter.tag_type(*tag);
            section.tag(self.rewriter.flat(tag)?);
        }
        Ok(())
    }

    /// Appends the globals that it defines.
    pub fn globals(&mut self, section: &mut GlobalSection) -> Result<(), LinkError> {
        for global in &self.part.role.module.globals {
            self.rewriter.at = 0;
            let ty = self.rewriter.global_type(global.ty);
            let ty = self.rewriter.flat(ty)?;
            section.global(ty, &self.expression(&global.init_expr)?);
        }
        Ok(())
    }

    /// Appends the exports that stay.
    pub fn exports(&mut self, section: &mut ExportSection) -> Result<(), LinkError> {
        let program = &self.part.role;
        self.rewriter.at = 0;
        for export in program.module.exports.iter().filter(|export| program.stays(export.name)) {
            let entry = program.entries.get(&export.index).filter(|_| is_function(export.kind));
            let index = match entry {
                Some(entry) => *entry,
                None => {
                    let index = self.rewriter.external_index(export.kind, export.index);
                    self.rewriter.flat(index)?
                }
            };
            section.export(&format!("{}{}", program.label, export.name), ExportKind::from(export.kind), index);
        }
        Ok(())
    }

    /// The functions whose addresses code may take, and that the exports no longer say so of: those behind entries, and
    /// those whose exports do not stay.
    pub fn undeclared(&mut self) -> Result<Vec<u32>, LinkError> {
        let program = &self.part.role;
        let dropped = program.module.exports.iter().filter(|export| !program.stays(export.name));
        let dropped = dropped.filter(|export| is_function(export.kind)).map(|export| export.index);
        program.entries.keys().copied().chain(dropped).map(|function| self.function(function, 0)).collect()
    }

    fn function(&mut self, function: u32, at: usize) -> Result<u32, LinkError> {
        self.rewriter.at = at;
        let index = self.rewriter.function_index(function);
        self.rewriter.flat(index)
    }

    /// Appends its element segments.
    pub fn elements(&mut self, section: &mut ElementSection) -> Result<(), LinkError> {
        for element in &self.part.role.module.elements {
            let start = element.range.start;
            self.rewriter.at = start;
            let (functions, expressions);
            let items = match &element.items {
                ElementItems::Functions(items) => {
                    let places = items.clone().into_iter();
                    functions = places
                        .map(|item| self.function(item.map_err(LinkError::parse)?, start))
                        .collect::<Result<Vec<_>, _>>()?;
                    Elements::Functions(Cow::Borrowed(&functions))
                }
                ElementItems::Expressions(ty, items) => {
                    let ty = self.rewriter.ref_type(*ty);
                    let ty: RefType = self.rewriter.flat(ty)?;
                    let items = items.clone().into_iter();
                    expressions = items
                        .map(|item| self.expression(&item.map_err(LinkError::parse)?))
                        .collect::<Result<Vec<_>, _>>()?;
                    Elements::Expressions(ty, Cow::Borrowed(&expressions))
                }
            };
            match &element.kind {
                ElementKind::Passive => section.passive(items),
                ElementKind::Declared => section.declared(items),
                ElementKind::Active { table_index, offset_expr } => {
                    self.rewriter.at = start;
                    let table = self.rewriter.table_index(table_index.unwrap_or(0));
                    let table = self.rewriter.flat(table)?;
                    // Table 0 can be left unsaid, and is where it was.
                    let table = Some(table).filter(|table| *table != 0 || table_index.is_some());
                    section.active(table, &self.expression(offset_expr)?, items)
                }
            };
        }
        Ok(())
    }

    fn expression(&mut self, expression: &ParsedExpr<'_>) -> Result<ConstExpr, LinkError> {
        let Some(copier) = &mut self.copier else {
            self.rewriter.at = expression.get_binary_reader().range().start;
            let written = self.rewriter.const_expr(expression.clone());
            return self.rewriter.flat(written);
        };
        let mut bytes = Vec::new();
        copier.expression(expression.get_binary_reader(), &mut bytes)?;
        // The encoder writes the `end` itself.
        bytes.pop();
        Ok(ConstExpr::raw(bytes))
    }

    /// Appends the code of the functions that it defines, and gives how many there are.
    pub fn code(&mut self, out: &mut Vec<u8>) -> Result<u32, LinkError> {
        let module = &self.part.role.module;
        for body in module.bodies()? {
            let body = body?;
            let before = out.len();
            match &mut self.copier {
                Some(copier) => copier.body(&body, out)?,
                None => self.rewriter.body(&body, out)?,
            }
            let length = out.len() - before;
            if length as u64 > limits::FUNCTION_BYTES_MAX && body.range().len() as u64 <= limits::FUNCTION_BYTES_MAX {
                limits::check("bytes in one function", length, limits::FUNCTION_BYTES_MAX)?;
            }
        }
        Ok(module.code.count)
    }

    /// Its data segments as they stand in a data section.
    pub fn data(&mut self) -> Result<Cow<'a, [u8]>, LinkError> {
        let module = &self.part.role.module;
        let mut written = Vec::new();
        for segment in module.data()? {
            let segment = segment?;
            self.rewriter.at = segment.range.start;
            let Some(copier) = &mut self.copier else {
                self.rewriter.data_segment(segment, &mut written)?;
                continue;
            };
            if let DataKind::Active { memory_index, offset_expr } = segment.kind {
                let memory = self.rewriter.memory_index(memory_index);
                self.rewriter.flat(memory)?;
                written.clear();
                // No constant of a memory address refers to a function, so the bytes are copied.
                copier.expression(offset_expr.get_binary_reader(), &mut written)?;
            }
        }
        Ok(if self.copier.is_some() { Cow::Borrowed(module.raw(&module.data_items)) } else { Cow::Owned(written) })
    }
}

fn is_function(kind: ExternalKind) -> bool {
    matches!(kind, ExternalKind::Func | ExternalKind::FuncExact)
}
