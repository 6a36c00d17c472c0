//! Writing the result, section by section.

use super::generated::exit_initial;
use super::names::name_section;
use super::options::Linked;
use super::parts::PlannedType;
use super::plan::Plan;
use super::program_code::ProgramCode;
use super::shim_code::ShimCode;
use crate::error::{LinkError, LinkErrorKind};
use crate::limits;
use crate::module::{Custom, ORDER};
use crate::p1::Signature;
use std::borrow::Cow;
use std::collections::HashMap;
use wasm_encoder::{
    ElementSection, Elements, Encode, EntityType, ExportKind, ExportSection, GlobalSection, GlobalType, ImportSection,
    MemorySection, MemoryType, Module, Section, TableSection, TagKind, TagSection, TagType, ValType,
};
use wasmparser::ExternalKind;

/// Writes what was planned.
pub(crate) fn emit(mut plan: Plan<'_>) -> Result<Linked, LinkError> {
    check_exports(&plan)?;
    let customs = choose_customs(&mut plan);
    let mut emitter = Emitter::new(&plan);
    emitter.check_limits()?;
    emitter.customs(&customs, 0);
    for (at, id) in ORDER.into_iter().enumerate() {
        emitter.section(id)?;
        emitter.customs(&customs, at + 1);
    }
    let catches_all = emitter.programs.iter().any(ProgramCode::catches_all);
    let mut bytes = emitter.out;
    let names = customs.iter().filter(|custom| matches!(custom.content, Content::Names));
    let names: Vec<_> = names.map(|custom| (custom.of, &custom.section.reader)).collect();
    let names = match name_section(&plan, &names) {
        Ok(names) => names,
        Err(_) => {
            plan.drop_section("name", 0, "it is damaged");
            name_section(&plan, &[])?
        }
    };
    custom_section("name", &names, &mut bytes);
    let mut report = plan.report.clone();
    report.remaining = plan.remaining();
    report.linked_bytes = bytes.len() as u64;
    limits::check("bytes with its files", bytes.len(), limits::PROGRAM_BYTES_MAX)?;
    let functions = plan.programs.first().map(|part| part.maps.functions.clone()).unwrap_or_default();
    if let Some(unwind) = &mut report.unwind {
        unwind.catches_all = catches_all;
    }
    Ok(Linked { bytes, report, functions })
}

/// Names that linking adds must be free, and no two programs may export the same.
fn check_exports(plan: &Plan<'_>) -> Result<(), LinkError> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (of, part) in plan.programs.iter().enumerate() {
        let program = &part.role;
        for export in program.module.exports.iter().filter(|export| program.stays(export.name)) {
            let name = format!("{}{}", program.label, export.name);
            if taken.get(&name).is_some_and(|other| *other != of) {
                return Err(LinkError::new(LinkErrorKind::ExportTaken { name, wanted: "that of one program" }));
            }
            taken.insert(name, of);
        }
    }
    for (name, kind, _) in plan.added_exports() {
        let wanted = match kind {
            ExternalKind::Memory => "weir's memory",
            ExternalKind::Global => "the exit code",
            _ => "weir's control function",
        };
        if taken.insert(name.clone(), usize::MAX).is_some() {
            return Err(LinkError::new(LinkErrorKind::ExportTaken { name, wanted }));
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
    /// The program that it is of.
    of: usize,
    section: Custom<'a>,
    content: Content,
}

fn choose_customs<'a>(plan: &mut Plan<'a>) -> Vec<KeptCustom<'a>> {
    let mut kept = Vec::new();
    for of in 0..plan.programs.len() {
        let mut named = false;
        for section in plan.program(of).module.customs.clone() {
            let (name, bytes) = (section.reader.name(), section.reader.data().len());
            let reason = match name {
                "name" if named => Some("there is another one before it"),
                "name" => {
                    named = true;
                    kept.push(KeptCustom { of, section, content: Content::Names });
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
                None => kept.push(KeptCustom { of, section, content: Content::Copy }),
            }
        }
    }
    kept
}

struct Emitter<'p, 'a> {
    plan: &'p Plan<'a>,
    programs: Vec<ProgramCode<'p, 'a>>,
    shims: Vec<ShimCode<'p, 'a>>,
    out: Vec<u8>,
}

impl<'p, 'a> Emitter<'p, 'a> {
    fn new(plan: &'p Plan<'a>) -> Emitter<'p, 'a> {
        // Little grows beyond the parts; the rest is for indices that need one byte more.
        let programs = plan.programs.iter().map(|part| {
            let carried = part.role.carry.map_or(0, |carry| carry.segment.len());
            part.role.module.bytes.len() + part.role.module.bytes.len() / 64 + carried
        });
        let shims = plan.shims.iter().map(|part| part.role.shim.module.bytes.len());
        let mut out = Vec::with_capacity(programs.chain(shims).sum::<usize>() + 4096);
        out.extend_from_slice(&Module::HEADER);
        Emitter {
            plan,
            programs: plan.programs.iter().map(ProgramCode::new).collect(),
            shims: plan.shims.iter().map(ShimCode::new).collect(),
            out,
        }
    }

    fn section(&mut self, id: u8) -> Result<(), LinkError> {
        match id {
            1 => self.types(),
            2 => self.imports(),
            3 => self.functions(),
            4 => self.tables(),
            5 => self.memories(),
            13 => self.tags(),
            6 => self.globals(),
            7 => self.exports(),
            8 => self.start(),
            9 => self.elements(),
            12 => self.data_count(),
            10 => self.code(),
            _ => self.data(),
        }
    }

    fn check_limits(&self) -> Result<(), LinkError> {
        let plan = self.plan;
        // Of shims, everything counts that they have.
        let sum = |count: fn(&crate::module::Counts) -> u32| {
            let programs = plan.programs.iter().map(|part| count(&part.role.module.counts) as usize);
            let shims = plan.shims.iter().map(|part| count(&part.role.shim.module.counts) as usize);
            programs.chain(shims).sum::<usize>()
        };
        limits::check("types", plan.counts.types as usize, limits::TYPES_MAX)?;
        limits::check("imports", plan.imports.len(), limits::IMPORTS_MAX)?;
        limits::check("functions", plan.counts.functions as usize, limits::FUNCTIONS_MAX)?;
        limits::check("tables", sum(|counts| counts.tables), limits::TABLES_MAX)?;
        limits::check("memories", sum(|counts| counts.memories), limits::MEMORIES_MAX)?;
        let programs = plan.programs.len();
        limits::check("tags", programs + sum(|counts| counts.tags), limits::TAGS_MAX)?;
        limits::check("globals", programs + sum(|counts| counts.globals), limits::GLOBALS_MAX)?;
        let exports = plan.programs.iter().map(|part| part.role.module.exports.len()).sum::<usize>();
        limits::check("exports", exports + plan.added_exports().len(), limits::EXPORTS_MAX)?;
        let declared = 1 + plan.shims.len().max(1);
        limits::check("element segments", declared + sum(|counts| counts.elements), limits::ELEMENT_SEGMENTS_MAX)?;
        let carried = plan.programs.iter().filter(|part| part.role.carry.is_some()).count();
        limits::check("data segments", carried + sum(|counts| counts.data), limits::DATA_SEGMENTS_MAX)
    }

    /// A section whose items are there as bytes.
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

    fn types(&mut self) -> Result<(), LinkError> {
        let (mut items, mut count) = (Vec::new(), self.plan.types.added.len() as u32);
        for program in &mut self.programs {
            count += program.types(&mut items)?;
        }
        for Signature { params, results } in &self.plan.types.added {
            items.push(0x60);
            params.len().encode(&mut items);
            params.iter().for_each(|ty| ty.encode(&mut items));
            results.len().encode(&mut items);
            results.iter().for_each(|ty| ty.encode(&mut items));
        }
        self.raw_section(1, count, &[&items]);
        Ok(())
    }

    fn imports(&mut self) -> Result<(), LinkError> {
        let mut section = ImportSection::new();
        for import in &self.plan.imports {
            let ty = match import.ty {
                PlannedType::Function(ty) => EntityType::Function(ty),
                PlannedType::Program(of, ty) => self.programs[of].entity(ty)?,
            };
            section.import(import.module, import.name, ty);
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn functions(&mut self) -> Result<(), LinkError> {
        let (mut items, mut count) = (Vec::new(), self.plan.generated_types.len() as u32);
        for program in &mut self.programs {
            count += program.function_types(&mut items)?;
        }
        self.plan.generated_types.iter().for_each(|ty| ty.encode(&mut items));
        for shim in &mut self.shims {
            count += shim.function_types(&mut items)?;
        }
        self.raw_section(3, count, &[&items]);
        Ok(())
    }

    fn tables(&mut self) -> Result<(), LinkError> {
        let mut section = TableSection::new();
        for program in &mut self.programs {
            program.tables(&mut section)?;
        }
        for shim in &mut self.shims {
            shim.append_tables(&mut section)?;
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn memories(&mut self) -> Result<(), LinkError> {
        let mut section = MemorySection::new();
        for program in &self.programs {
            program.memories(&mut section);
        }
        for _ in self.plan.programs.iter().filter(|part| part.role.memory_added) {
            section.memory(MemoryType {
                minimum: 0,
                maximum: Some(0),
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
        }
        for part in &self.plan.shims {
            section.memory(part.role.shim.module.memories[0].into());
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    /// How many programs can be ended by throwing.
    fn exits(&self) -> usize {
        self.plan.programs.iter().filter(|part| part.role.exit.is_some()).count()
    }

    fn tags(&mut self) -> Result<(), LinkError> {
        let mut section = TagSection::new();
        for program in &mut self.programs {
            program.tags(&mut section)?;
        }
        for _ in 0..self.exits() {
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
        for program in &mut self.programs {
            program.globals(&mut section)?;
        }
        for _ in 0..self.exits() {
            let ty = GlobalType { val_type: ValType::I64, mutable: true, shared: false };
            section.global(ty, &exit_initial());
        }
        for shim in &mut self.shims {
            shim.append_globals(&mut section)?;
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn exports(&mut self) -> Result<(), LinkError> {
        let mut section = ExportSection::new();
        for program in &mut self.programs {
            program.exports(&mut section)?;
        }
        for (name, kind, index) in self.plan.added_exports() {
            section.export(&name, ExportKind::from(kind), index);
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn start(&mut self) -> Result<(), LinkError> {
        if let Some(function_index) = self.plan.start {
            append(&wasm_encoder::StartSection { function_index }, false, &mut self.out);
        }
        Ok(())
    }

    fn elements(&mut self) -> Result<(), LinkError> {
        let mut section = ElementSection::new();
        for program in &mut self.programs {
            program.elements(&mut section)?;
        }
        for shim in &mut self.shims {
            shim.append_elements(&mut section)?;
        }
        // An export is what lets code take the address of a function. The exports are the entries
        // now, so the functions behind them need another declaration.
        let mut declared = Vec::new();
        for program in &mut self.programs {
            declared.append(&mut program.undeclared()?);
        }
        if !declared.is_empty() {
            section.declared(Elements::Functions(declared.into()));
        }
        append(&section, section.is_empty(), &mut self.out);
        Ok(())
    }

    fn data_count(&mut self) -> Result<(), LinkError> {
        let programs = self.plan.programs.iter().map(|part| &part.role.module);
        let shims = self.plan.shims.iter().map(|part| &part.role.shim.module);
        let carried = self.plan.programs.iter().filter(|part| part.role.carry.is_some()).count() as u32;
        let mut modules = programs.clone().chain(shims.clone());
        if modules.any(|module| module.data_count.is_some()) || carried > 0 {
            let of_programs: u32 = programs.map(|module| module.data_count.unwrap_or(module.counts.data)).sum();
            let count = of_programs + shims.map(|module| module.counts.data).sum::<u32>() + carried;
            append(&wasm_encoder::DataCountSection { count }, false, &mut self.out);
        }
        Ok(())
    }

    fn code(&mut self) -> Result<(), LinkError> {
        let room: usize = self.plan.programs.iter().map(|part| part.role.module.code.range.len()).sum();
        let mut bytes = Vec::with_capacity(room + room / 64);
        let mut count = self.plan.generated.len() as u32;
        for program in &mut self.programs {
            count += program.code(&mut bytes)?;
        }
        for generated in &self.plan.generated {
            generated.body(self.plan)?.encode(&mut bytes);
        }
        for shim in &mut self.shims {
            count += shim.code(&mut bytes)?;
        }
        self.raw_section(10, count, &[&bytes]);
        Ok(())
    }

    fn data(&mut self) -> Result<(), LinkError> {
        let mut count = 0;
        let mut parts: Vec<Cow<'_, [u8]>> = Vec::new();
        for (program, part) in self.programs.iter_mut().zip(&self.plan.programs) {
            count += part.role.module.data_items.count;
            parts.push(program.data()?);
        }
        for shim in &mut self.shims {
            let mut items = Vec::new();
            count += shim.data(&mut items)?;
            parts.push(items.into());
        }
        for carry in self.plan.programs.iter().filter_map(|part| part.role.carry) {
            // A passive segment is this kind, its length, and its bytes.
            let mut head = vec![1];
            carry.segment.len().encode(&mut head);
            parts.extend([head.into(), carry.segment.into()]);
            count += 1;
        }
        let parts: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
        self.raw_section(11, count, &parts);
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
