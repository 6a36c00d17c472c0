//! Writing the result, section by section.

use super::generated::exit_initial;
use super::names::name_section;
use super::options::Linked;
use super::parts::PlannedType;
use super::plan::Plan;
use super::shim_code::ShimCode;
use crate::code::Copier;
use crate::error::{LinkError, LinkErrorKind};
use crate::limits;
use crate::module::ORDER;
use crate::p1::Signature;
use std::borrow::Cow;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{
    ConstExpr, ElementSection, Elements, Encode, EntityType, ExportKind, ExportSection, GlobalSection, GlobalType,
    ImportSection, Module, RefType, Section, TableSection, TagKind, TagSection, TagType, ValType,
};
use wasmparser::{ConstExpr as ParsedExpr, ElementItems, ElementKind, ExternalKind, TableInit, TypeRef};

/// Writes what was planned.
pub(crate) fn emit(mut plan: Plan<'_>) -> Result<Linked, LinkError> {
    check_exports(&plan)?;
    let mut generated_types = Vec::new();
    for generated in plan.generated.clone() {
        generated_types.push(generated.ty(&mut plan)?);
    }
    let customs = choose_customs(&mut plan);
    let mut emitter = Emitter::new(&plan);
    emitter.check_limits()?;
    emitter.customs(&customs, 0);
    for (at, id) in ORDER.into_iter().enumerate() {
        emitter.section(id, &generated_types)?;
        emitter.customs(&customs, at + 1);
    }
    let Emitter { out: mut bytes, catches_all, .. } = emitter;
    let names = customs.iter().find(|custom| matches!(custom.content, Content::Names));
    let names = match name_section(&plan, names.map(|custom| &custom.section.reader)) {
        Ok(names) => names,
        Err(_) => {
            plan.drop_section("name", 0, "it is damaged");
            name_section(&plan, None)?
        }
    };
    custom_section("name", &names, &mut bytes);
    let mut report = plan.report.clone();
    report.remaining = plan.remaining();
    report.linked_bytes = bytes.len() as u64;
    limits::check("bytes with its files", bytes.len(), limits::PROGRAM_BYTES_MAX)?;
    let functions = plan.functions.clone();
    if let Some(unwind) = &mut report.unwind {
        unwind.catches_all = catches_all;
    }
    Ok(Linked { bytes, report, functions })
}

/// Names that linking adds must be free.
fn check_exports(plan: &Plan<'_>) -> Result<(), LinkError> {
    let added = plan.added_exports();
    for (name, kind, _) in &added {
        if plan.lift().is_none() && plan.program.exports.iter().any(|export| export.name == *name) {
            let wanted = match kind {
                ExternalKind::Memory => "weir's memory",
                ExternalKind::Global => "the exit code",
                _ => "weir's control function",
            };
            return Err(LinkError::new(LinkErrorKind::ExportTaken { name: (*name).into(), wanted }));
        }
    }
    Ok(())
}

/// What to do with a custom section.
enum Content {
    Copy,
    /// The name section, which is written anew at the end.
    Names,
}

struct KeptCustom<'a> {
    section: crate::module::Custom<'a>,
    content: Content,
}

fn choose_customs<'a>(plan: &mut Plan<'a>) -> Vec<KeptCustom<'a>> {
    let mut kept = Vec::new();
    let mut named = false;
    for section in plan.program.customs.clone() {
        let (name, bytes) = (section.reader.name(), section.reader.data().len());
        let reason = match name {
            "name" if named => Some("there is another one before it"),
            "name" => {
                named = true;
                kept.push(KeptCustom { section, content: Content::Names });
                continue;
            }
            "external_debug_info" | "sourceMappingURL" => Some("it describes places in the code, which moved"),
            _ if name.starts_with(".debug_") => Some("it describes places in the code, which moved"),
            _ if name.starts_with("metadata.code.") => Some("it describes places in the code, which moved"),
            _ if name == "linking" || name.starts_with("reloc.") => Some("it is for another linker"),
            _ => None,
        };
        match reason {
            Some(reason) => plan.drop_section(name, bytes, reason),
            None => kept.push(KeptCustom { section, content: Content::Copy }),
        }
    }
    kept
}

struct Emitter<'p, 'a> {
    plan: &'p Plan<'a>,
    copier: Copier<'p>,
    shim: Option<ShimCode<'p, 'a>>,
    out: Vec<u8>,
    catches_all: bool,
}

impl<'p, 'a> Emitter<'p, 'a> {
    fn new(plan: &'p Plan<'a>) -> Emitter<'p, 'a> {
        let shim_bytes = plan.shim.as_ref().map_or(0, |shim| shim.module.bytes.len());
        // Little grows beyond the two inputs; the rest is for indices that need one byte more.
        let carried = plan.carry.map_or(0, |carry| carry.segment.len());
        let room = plan.program.bytes.len() + carried + shim_bytes + plan.program.bytes.len() / 64 + 4096;
        let mut out = Vec::with_capacity(room);
        out.extend_from_slice(&Module::HEADER);
        Emitter {
            plan,
            copier: Copier::new(plan.program.bytes, plan.program.counts, &plan.functions),
            shim: plan.shim.as_ref().map(|shim| ShimCode::new(plan, shim)),
            out,
            catches_all: false,
        }
    }

    fn section(&mut self, id: u8, generated_types: &[u32]) -> Result<(), LinkError> {
        match id {
            1 => self.types(),
            2 => return self.imports(),
            3 => return self.functions(generated_types),
            4 => return self.tables(),
            5 => self.memories(),
            13 => return self.tags(),
            6 => return self.globals(),
            7 => return self.exports(),
            8 => return self.start(),
            9 => return self.elements(),
            12 => self.data_count(),
            10 => return self.code(),
            _ => return self.data(),
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), LinkError> {
        let plan = self.plan;
        let of_shim =
            |count: fn(&crate::module::Module<'_>) -> u32| plan.shim.as_ref().map_or(0, |shim| count(&shim.module));
        let counts = plan.program.counts;
        let functions = plan.generated_base as usize + plan.generated.len() + plan.shim_functions.len();
        let check = |what, program: u32, added: u32, max| limits::check(what, program as usize + added as usize, max);
        check("types", counts.types, plan.types.added.len() as u32, limits::TYPES_MAX)?;
        limits::check("imports", plan.imports.len(), limits::IMPORTS_MAX)?;
        limits::check("functions", functions, limits::FUNCTIONS_MAX)?;
        check("tables", counts.tables, of_shim(|shim| shim.counts.tables), limits::TABLES_MAX)?;
        check("memories", counts.memories, u32::from(plan.shim.is_some()), limits::MEMORIES_MAX)?;
        check("tags", counts.tags, 1, limits::TAGS_MAX)?;
        check("globals", counts.globals, 1 + of_shim(|shim| shim.counts.globals), limits::GLOBALS_MAX)?;
        let exports = plan.program.exports.len() + plan.added_exports().len();
        limits::check("exports", exports, limits::EXPORTS_MAX)?;
        let carried = u32::from(plan.carry.is_some());
        let segments = 2 + of_shim(|shim| shim.counts.elements);
        check("element segments", counts.elements, segments, limits::ELEMENT_SEGMENTS_MAX)?;
        check("data segments", counts.data, carried + of_shim(|shim| shim.counts.data), limits::DATA_SEGMENTS_MAX)
    }

    /// A section whose items are partly copied bytes.
    fn raw_section(&mut self, id: u8, count: u32, parts: &[&[u8]]) {
        if count == 0 {
            return;
        }
        let mut head = Vec::with_capacity(5);
        count.encode(&mut head);
        let size = head.len() + parts.iter().map(|part| part.len()).sum::<usize>();
        self.out.push(id);
        size.encode(&mut self.out);
        self.out.extend_from_slice(&head);
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn customs(&mut self, customs: &[KeptCustom<'_>], rank: usize) {
        for custom in customs.iter().filter(|custom| custom.section.rank == rank) {
            if matches!(custom.content, Content::Copy) {
                custom_section(custom.section.reader.name(), custom.section.reader.data(), &mut self.out);
            }
        }
    }

    fn types(&mut self) {
        let mut added = Vec::new();
        for Signature { params, results } in &self.plan.types.added {
            added.push(0x60);
            params.len().encode(&mut added);
            params.iter().for_each(|ty| ty.encode(&mut added));
            results.len().encode(&mut added);
            results.iter().for_each(|ty| ty.encode(&mut added));
        }
        let items = &self.plan.program.type_items;
        let count = items.count + self.plan.types.added.len() as u32;
        self.raw_section(1, count, &[self.plan.program.raw(items), &added]);
    }

    fn imports(&mut self) -> Result<(), LinkError> {
        let mut section = ImportSection::new();
        for import in &self.plan.imports {
            let ty = match import.ty {
                PlannedType::Function(ty) => EntityType::Function(ty),
                PlannedType::Program(ty) => self.entity(ty)?,
            };
            section.import(import.module, import.name, ty);
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn entity(&mut self, ty: TypeRef) -> Result<EntityType, LinkError> {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.copier.index("type", ty, 0)?;
            }
            TypeRef::Tag(tag) => {
                self.copier.index("type", tag.func_type_idx, 0)?;
            }
            TypeRef::Table(table) => self.copier.reference(table.element_type, 0)?,
            TypeRef::Global(global) => self.value_type(global.content_type)?,
            TypeRef::Memory(_) => {}
        }
        RoundtripReencoder.entity_type(ty).map_err(unwritable)
    }

    fn value_type(&mut self, ty: wasmparser::ValType) -> Result<(), LinkError> {
        match ty.as_reference_type() {
            Some(reference) => self.copier.reference(reference, 0),
            None => Ok(()),
        }
    }

    fn functions(&mut self, generated_types: &[u32]) -> Result<(), LinkError> {
        for ty in &self.plan.program.functions {
            self.copier.index("type", *ty, self.plan.program.function_items.range.start)?;
        }
        let mut added = Vec::new();
        generated_types.iter().for_each(|ty| ty.encode(&mut added));
        let of_shim = self.shim.as_ref().map_or(Ok(Vec::new()), |shim| shim.function_types())?;
        of_shim.iter().for_each(|ty| ty.encode(&mut added));
        let items = &self.plan.program.function_items;
        let count = items.count + (generated_types.len() + of_shim.len()) as u32;
        self.raw_section(3, count, &[self.plan.program.raw(items), &added]);
        Ok(())
    }

    fn tables(&mut self) -> Result<(), LinkError> {
        let mut section = TableSection::new();
        for table in &self.plan.program.tables {
            self.copier.reference(table.ty.element_type, 0)?;
            let ty = RoundtripReencoder.table_type(table.ty).map_err(unwritable)?;
            match &table.init {
                TableInit::RefNull => section.table(ty),
                TableInit::Expr(init) => section.table_with_init(ty, &self.expression(init)?),
            };
        }
        if let Some(shim) = &mut self.shim {
            shim.append_tables(&mut section)?;
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn memories(&mut self) {
        let program = &self.plan.program;
        let mut section = wasm_encoder::MemorySection::new();
        for memory in program.memories.iter().skip(program.imported.memories as usize) {
            section.memory((*memory).into());
        }
        if self.plan.report.memory_added {
            let empty = wasm_encoder::MemoryType {
                minimum: 0,
                maximum: Some(0),
                memory64: false,
                shared: false,
                page_size_log2: None,
            };
            section.memory(empty);
        }
        if let Some(shim) = &self.plan.shim {
            section.memory(shim.module.memories[0].into());
        }
        append(&section, section.is_empty(), &mut self.out);
    }

    fn tags(&mut self) -> Result<(), LinkError> {
        let mut section = TagSection::new();
        for tag in &self.plan.program.tags {
            self.copier.index("type", tag.func_type_idx, 0)?;
            section.tag((*tag).try_into().map_err(unwritable)?);
        }
        if self.plan.exit_function.is_some() {
            // Planned with the exit function.
            let nothing = Signature::new(&[], &[]);
            let func_type_idx = self.plan.types.find(&nothing).ok_or_else(|| LinkError::shim("no type for exits"))?;
            section.tag(TagType { kind: TagKind::Exception, func_type_idx });
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn globals(&mut self) -> Result<(), LinkError> {
        let mut section = GlobalSection::new();
        for global in &self.plan.program.globals {
            self.value_type(global.ty.content_type)?;
            let ty = RoundtripReencoder.global_type(global.ty).map_err(unwritable)?;
            let init = self.expression(&global.init_expr)?;
            section.global(ty, &init);
        }
        if self.plan.exit_function.is_some() {
            let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
            section.global(ty, &exit_initial());
        }
        if let Some(shim) = &mut self.shim {
            shim.append_globals(&mut section)?;
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn exports(&mut self) -> Result<(), LinkError> {
        let mut section = ExportSection::new();
        let program = self.plan.program.exports.iter().filter(|export| self.plan.stays(export.name));
        for export in program {
            let index = match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact => match self.plan.entries.get(&export.index) {
                    Some(entry) => *entry,
                    None => self.copier.function(export.index, 0)?,
                },
                ExternalKind::Table => self.copier.index("table", export.index, 0)?,
                ExternalKind::Memory => self.copier.index("memory", export.index, 0)?,
                ExternalKind::Global => self.copier.index("global", export.index, 0)?,
                ExternalKind::Tag => self.copier.index("tag", export.index, 0)?,
            };
            section.export(export.name, export.kind.into(), index);
        }
        for (name, kind, index) in self.plan.added_exports() {
            section.export(name, ExportKind::from(kind), index);
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn start(&mut self) -> Result<(), LinkError> {
        // Of a function it is a part of each call: only then is there what the program asks for.
        let of_call = self.plan.lift().is_some_and(|lift| !lift.library);
        if let Some(start) = self.plan.program.start.filter(|_| !of_call) {
            let function_index = match self.plan.entries.get(&start) {
                Some(entry) => *entry,
                None => self.copier.function(start, 0)?,
            };
            append(&wasm_encoder::StartSection { function_index }, false, &mut self.out);
        }
        Ok(())
    }

    fn elements(&mut self) -> Result<(), LinkError> {
        let mut section = ElementSection::new();
        for element in &self.plan.program.elements {
            let (functions, expressions);
            let items = match &element.items {
                ElementItems::Functions(items) => {
                    functions = self.element_functions(items.clone(), element.range.start)?;
                    Elements::Functions(Cow::Borrowed(&functions))
                }
                ElementItems::Expressions(ty, items) => {
                    self.copier.reference(*ty, element.range.start)?;
                    let ty: RefType = RoundtripReencoder.ref_type(*ty).map_err(unwritable)?;
                    expressions = self.element_expressions(items.clone())?;
                    Elements::Expressions(ty, Cow::Borrowed(&expressions))
                }
            };
            match &element.kind {
                ElementKind::Passive => section.passive(items),
                ElementKind::Declared => section.declared(items),
                ElementKind::Active { table_index, offset_expr } => {
                    self.copier.index("table", table_index.unwrap_or(0), element.range.start)?;
                    section.active(*table_index, &self.expression(offset_expr)?, items)
                }
            };
        }
        if let Some(shim) = &mut self.shim {
            shim.append_elements(&mut section)?;
        }
        // An export is what lets code take the address of a function. The exports are the entries
        // now, so the functions behind them need another declaration.
        let mut declared = Vec::new();
        for function in self.plan.entries.keys() {
            declared.push(self.copier.function(*function, 0)?);
        }
        let dropped = self.plan.program.exports.iter().filter(|export| !self.plan.stays(export.name));
        for export in dropped.filter(|export| matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact)) {
            declared.push(self.copier.function(export.index, 0)?);
        }
        if !declared.is_empty() {
            section.declared(Elements::Functions(declared.into()));
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn element_functions(
        &mut self,
        items: wasmparser::SectionLimited<'_, u32>,
        offset: usize,
    ) -> Result<Vec<u32>, LinkError> {
        let mut functions = Vec::new();
        for item in items {
            functions.push(self.copier.function(item.map_err(LinkError::parse)?, offset)?);
        }
        Ok(functions)
    }

    fn element_expressions(
        &mut self,
        items: wasmparser::SectionLimited<'_, ParsedExpr<'_>>,
    ) -> Result<Vec<ConstExpr>, LinkError> {
        let mut expressions = Vec::new();
        for item in items {
            expressions.push(self.expression(&item.map_err(LinkError::parse)?)?);
        }
        Ok(expressions)
    }

    fn expression(&mut self, expression: &ParsedExpr<'_>) -> Result<ConstExpr, LinkError> {
        let mut bytes = Vec::new();
        self.copier.expression(expression.get_binary_reader(), &mut bytes)?;
        // The encoder writes the `end` itself.
        bytes.pop();
        Ok(ConstExpr::raw(bytes))
    }

    fn data_count(&mut self) {
        let of_program = self.plan.program.data_count;
        let of_shim = self.plan.shim.as_ref().and_then(|shim| shim.module.data_count);
        let carried = u32::from(self.plan.carry.is_some());
        if of_program.is_some() || of_shim.is_some() || carried > 0 {
            let added = carried + self.plan.shim.as_ref().map_or(0, |shim| shim.module.counts.data);
            let count = of_program.unwrap_or(self.plan.program.counts.data) + added;
            append(&wasm_encoder::DataCountSection { count }, false, &mut self.out);
        }
    }

    fn code(&mut self) -> Result<(), LinkError> {
        let items = &self.plan.program.code;
        let mut bytes = Vec::with_capacity(items.range.len() + items.range.len() / 64);
        for body in self.plan.program.bodies()? {
            let body = body?;
            let before = bytes.len();
            self.copier.body(&body, &mut bytes)?;
            let length = bytes.len() - before;
            if length as u64 > limits::FUNCTION_BYTES_MAX && body.range().len() as u64 <= limits::FUNCTION_BYTES_MAX {
                return limits::check("bytes in one function", length, limits::FUNCTION_BYTES_MAX);
            }
        }
        self.catches_all = self.copier.catches_all();
        for generated in &self.plan.generated {
            generated.body(self.plan)?.encode(&mut bytes);
        }
        if let Some(shim) = &mut self.shim {
            shim.code(&mut bytes)?;
        }
        let added = self.plan.generated.len() + self.plan.shim_functions.len();
        self.raw_section(10, items.count + added as u32, &[&bytes]);
        Ok(())
    }

    fn data(&mut self) -> Result<(), LinkError> {
        let mut offset = Vec::new();
        for segment in self.plan.program.data()? {
            let segment = segment?;
            if let wasmparser::DataKind::Active { memory_index, offset_expr } = segment.kind {
                self.copier.index("memory", memory_index, segment.range.start)?;
                offset.clear();
                // No constant of a memory address refers to a function, so the bytes are copied.
                self.copier.expression(offset_expr.get_binary_reader(), &mut offset)?;
            }
        }
        let (mut added, mut of_shim) = match &mut self.shim {
            Some(shim) => shim.data()?,
            None => (0, Vec::new()),
        };
        let mut carried: &[u8] = &[];
        if let Some(carry) = self.plan.carry {
            // A passive segment is this kind, its length, and its bytes.
            1u32.encode(&mut of_shim);
            carry.segment.len().encode(&mut of_shim);
            (added, carried) = (added + 1, carry.segment);
        }
        let items = &self.plan.program.data_items;
        self.raw_section(11, items.count + added, &[self.plan.program.raw(items), &of_shim, carried]);
        Ok(())
    }
}

fn append(section: &impl Section, empty: bool, out: &mut Vec<u8>) {
    if !empty {
        section.append_to(out);
    }
}

fn custom_section(name: &str, data: &[u8], out: &mut Vec<u8>) {
    let mut head = Vec::new();
    name.encode(&mut head);
    out.push(0);
    (head.len() + data.len()).encode(out);
    out.extend_from_slice(&head);
    out.extend_from_slice(data);
}

fn unwritable(error: wasm_encoder::reencode::Error) -> LinkError {
    LinkError::new(LinkErrorKind::Invalid { message: error.to_string() })
}
