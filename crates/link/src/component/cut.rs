//! The shim's core module, cut down to what a program needs.
//!
//! Everything that no kept export reaches goes, so that the imports that stay are those that the
//! program's own calls can come to. Functions of weir's own module names are replaced: the pack's bytes
//! become a passive data segment that `memory.init` reads, and the clock, stderr and decompressor are
//! chosen among the shim's own functions.

use crate::contract::{CODEC, HOST, PACK};
use crate::error::LinkError;
use crate::link::{Shim, internal};
use std::borrow::Cow;
use std::collections::BTreeMap;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataCountSection, DataSection, ElementSection, Elements, Encode, EntityType,
    ExportKind, ExportSection, Function, FunctionSection, GlobalSection, HeapType, ImportSection, Instruction,
    MemorySection, Module, RawSection, RefType, TableSection,
};
use wasmparser::{DataKind, ElementKind, ExternalKind, Operator};

/// Exports that every core module of a component needs.
const ALWAYS: [&str; 4] = ["memory", "cabi_realloc", "_initialize", "__wasm_call_ctors"];

/// What of the shim stays, and what is put in.
pub(super) struct Cut<'c> {
    /// The bytes that the pack carries.
    pub segment: &'c [u8],
    /// The shim's function that decompresses, if anything is compressed.
    pub codec: Option<&'static str>,
    /// The shim's function that tells the time.
    pub now: &'static str,
    /// The shim's function that writes to stderr.
    pub complain: &'static str,
    /// The shim's function that knows what the program is called.
    pub name: &'static str,
    /// Whether an export for an interface stays.
    pub keep: &'c dyn Fn(&str) -> bool,
    /// A name of an interface with the version that the program uses.
    pub rename: &'c dyn Fn(&str) -> String,
    /// The section that says what the module's imports and exports are as a component.
    pub component_type: &'c [u8],
}

/// What becomes of an import of weir's own.
enum Resolved {
    /// These instructions stand in place of a call.
    Inline(Vec<Instruction<'static>>),
    /// Calls go to this function of the shim.
    Function(u32),
}

/// The name of the interface in the name of an import's module or of an export.
pub(super) fn interface_of(name: &str) -> Option<&str> {
    let end = name.find('#').unwrap_or(name.len());
    let start = name.get(..end)?.find("wasi:")?;
    name.get(start..end)
}

pub(super) fn cut(bytes: &[u8], cut: &Cut<'_>) -> Result<Vec<u8>, LinkError> {
    let mut shim = Shim::parse(bytes)?;
    let resolved = resolve(&shim, cut)?;
    let kept = |name: &str| match interface_of(name) {
        Some(_) => (cut.keep)(name),
        None => ALWAYS.contains(&name),
    };
    let mut roots: Vec<u32> = shim.exports.iter().filter(|(name, _)| kept(name)).map(|(_, index)| *index).collect();
    while !roots.is_empty() {
        shim.need(roots)?;
        let targets = resolved.iter().filter(|(index, _)| shim.needed.functions.contains(index));
        let targets = targets.filter_map(|(_, resolved)| match resolved {
            Resolved::Function(function) => Some(*function),
            Resolved::Inline(_) => None,
        });
        roots = targets.filter(|function| !shim.needed.functions.contains(function)).collect();
    }
    let imports = shim.needed.functions.iter().filter(|index| **index < shim.module.imported.functions);
    let imports = imports.filter(|index| !resolved.contains_key(*index)).copied();
    let defined = shim.needed.functions.iter().filter(|index| **index >= shim.module.imported.functions).copied();
    let order: Vec<u32> = imports.chain(defined).collect();
    let functions = order.iter().zip(0..).map(|(old, new)| (*old, new)).collect();
    Writer { shim: &shim, cut, resolved, order, functions }.module(&kept)
}

fn resolve(shim: &Shim<'_>, cut: &Cut<'_>) -> Result<BTreeMap<u32, Resolved>, LinkError> {
    let mut resolved = BTreeMap::new();
    let own = |name: &str| {
        let function = shim.exports.get(name).copied();
        function.map(Resolved::Function).ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))
    };
    for ((_, import, _), index) in shim.module.function_imports().zip(0..) {
        let found = match (import.module, import.name) {
            (PACK, "size") => {
                let size = u32::try_from(cut.segment.len()).map_err(|_| LinkError::shim("its segment is too large"))?;
                Resolved::Inline(vec![Instruction::I32Const(size.cast_signed())])
            }
            (PACK, "init_shim") => {
                Resolved::Inline(vec![Instruction::MemoryInit { mem: 0, data_index: shim.module.counts.data }])
            }
            (CODEC, "decode") => match cut.codec {
                Some(name) => own(name)?,
                None => Resolved::Inline([vec![Instruction::Drop; 4], vec![Instruction::I32Const(0)]].concat()),
            },
            (HOST, "now") => own(cut.now)?,
            (HOST, "complain") => own(cut.complain)?,
            (HOST, "name") => own(cut.name)?,
            (PACK | CODEC | HOST, name) => {
                return Err(LinkError::shim(format!("it imports `{}.{name}`, which does not exist", import.module)));
            }
            _ => continue,
        };
        resolved.insert(index, found);
    }
    Ok(resolved)
}

struct Writer<'w, 'a> {
    shim: &'w Shim<'a>,
    cut: &'w Cut<'w>,
    resolved: BTreeMap<u32, Resolved>,
    /// The old indices of the functions that stay.
    order: Vec<u32>,
    functions: BTreeMap<u32, u32>,
}

impl Writer<'_, '_> {
    fn module(&mut self, kept: &dyn Fn(&str) -> bool) -> Result<Vec<u8>, LinkError> {
        let mut module = Module::new();
        let mut types = Vec::new();
        self.shim.module.type_items.count.encode(&mut types);
        types.extend_from_slice(self.shim.module.raw(&self.shim.module.type_items));
        module.section(&RawSection { id: 1, data: &types });
        self.declarations(&mut module)?;
        module.section(&self.exports(kept)?);
        let elements = self.elements()?;
        if !elements.is_empty() {
            module.section(&elements);
        }
        module.section(&DataCountSection { count: self.shim.module.counts.data + 1 });
        module.section(&self.code()?);
        module.section(&self.data()?);
        module.section(&CustomSection { name: "component-type:weir".into(), data: self.cut.component_type.into() });
        Ok(module.finish())
    }

    /// Imports, types of functions, tables, memory and globals.
    fn declarations(&mut self, module: &mut Module) -> Result<(), LinkError> {
        let mut imports = ImportSection::new();
        let all: Vec<_> = self.shim.module.function_imports().collect();
        let mut types = FunctionSection::new();
        for old in &self.order {
            match all.get(*old as usize) {
                Some((_, import, ty)) => {
                    imports.import(&(self.cut.rename)(import.module), import.name, EntityType::Function(*ty));
                }
                None => {
                    let ty = self.shim.module.functions.get(*old as usize);
                    types.function(*ty.ok_or_else(|| LinkError::shim(format!("function {old} has no type")))?);
                }
            }
        }
        module.section(&imports);
        module.section(&types);
        if !self.shim.module.tables.is_empty() {
            let mut tables = TableSection::new();
            for table in self.shim.module.tables.clone() {
                self.parse_table(&mut tables, table).map_err(flatten)?;
            }
            module.section(&tables);
        }
        let mut memories = MemorySection::new();
        for memory in self.shim.module.memories.clone() {
            memories.memory(self.memory_type(memory).map_err(flatten)?);
        }
        module.section(&memories);
        let mut globals = GlobalSection::new();
        for global in self.shim.module.globals.clone() {
            self.parse_global(&mut globals, global).map_err(flatten)?;
        }
        module.section(&globals);
        Ok(())
    }

    fn exports(&self, kept: &dyn Fn(&str) -> bool) -> Result<ExportSection, LinkError> {
        let mut exports = ExportSection::new();
        for export in self.shim.module.exports.iter().filter(|export| kept(export.name)) {
            let name = (self.cut.rename)(export.name);
            match export.kind {
                ExternalKind::Func => {
                    let function = self.functions.get(&export.index);
                    let missing = || LinkError::shim(format!("its export `{name}` was not kept"));
                    exports.export(&name, ExportKind::Func, *function.ok_or_else(missing)?);
                }
                ExternalKind::Memory => {
                    exports.export(&name, ExportKind::Memory, export.index);
                }
                _ => {}
            }
        }
        Ok(exports)
    }

    fn elements(&mut self) -> Result<ElementSection, LinkError> {
        let mut section = ElementSection::new();
        for (at, element) in self.shim.module.elements.clone().into_iter().enumerate() {
            let mut entries = Vec::new();
            for function in self.shim.kept(at)? {
                entries.push(match function {
                    Some(function) => ConstExpr::ref_func(self.function_index(function).map_err(flatten)?),
                    None => ConstExpr::ref_null(HeapType::FUNC),
                });
            }
            let entries = Elements::Expressions(RefType::FUNCREF, Cow::Owned(entries));
            match element.kind {
                ElementKind::Active { table_index, offset_expr } => {
                    let offset = self.const_expr(offset_expr).map_err(flatten)?;
                    section.active(Some(table_index.unwrap_or(0)), &offset, entries);
                }
                ElementKind::Passive => {
                    section.passive(entries);
                }
                ElementKind::Declared => {
                    section.declared(entries);
                }
            }
        }
        let mut declared = Vec::new();
        for function in &self.shim.needed.referenced {
            declared.push(self.function_index(*function).map_err(flatten)?);
        }
        if !declared.is_empty() {
            section.declared(Elements::Functions(declared.into()));
        }
        Ok(section)
    }

    fn code(&mut self) -> Result<CodeSection, LinkError> {
        let mut code = CodeSection::new();
        let imported = self.shim.module.imported.functions;
        let defined: Vec<u32> = self.order.iter().copied().filter(|old| *old >= imported).collect();
        for old in defined {
            let body = self.shim.body(old)?.clone();
            code.function(&self.body(body).map_err(flatten)?);
        }
        Ok(code)
    }

    fn body(&mut self, body: wasmparser::FunctionBody<'_>) -> Result<Function, Error<LinkError>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            let (called, returns) = match operator {
                Operator::Call { function_index } => (function_index, false),
                Operator::ReturnCall { function_index } => (function_index, true),
                _ => (u32::MAX, false),
            };
            match self.resolved.get(&called) {
                Some(Resolved::Inline(instructions)) => {
                    for instruction in instructions {
                        function.instruction(instruction);
                    }
                    if returns {
                        function.instruction(&Instruction::Return);
                    }
                }
                _ => {
                    let instruction = self.instruction(operator)?;
                    function.instruction(&instruction);
                }
            }
        }
        Ok(function)
    }

    fn data(&mut self) -> Result<DataSection, LinkError> {
        let mut section = DataSection::new();
        for segment in self.shim.module.data().map_err(internal)? {
            let segment = segment.map_err(internal)?;
            match segment.kind {
                DataKind::Active { memory_index, offset_expr } => {
                    let offset = self.const_expr(offset_expr).map_err(flatten)?;
                    section.active(memory_index, &offset, segment.data.iter().copied());
                }
                DataKind::Passive => {
                    section.passive(segment.data.iter().copied());
                }
            }
        }
        let mut carried = vec![1];
        self.cut.segment.encode(&mut carried);
        section.raw(&carried);
        Ok(section)
    }
}

impl Reencode for Writer<'_, '_> {
    type Error = LinkError;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<LinkError>> {
        let function = match self.resolved.get(&function) {
            Some(Resolved::Function(own)) => *own,
            _ => function,
        };
        let missing = || LinkError::shim(format!("function {function} was not kept"));
        self.functions.get(&function).copied().ok_or_else(|| Error::UserError(missing()))
    }
}

fn flatten(error: Error<LinkError>) -> LinkError {
    match error {
        Error::UserError(error) => internal(error),
        Error::ParseError(error) => internal(LinkError::parse(error)),
        other => LinkError::shim(other.to_string()),
    }
}
