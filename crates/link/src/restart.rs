//! A module that can be put back to its beginning, so that one instance serves many calls.
//!
//! Memories get their first contents again, globals and tables their first values. For that, segments that are copied
//! at instantiation become passive ones, which can be copied again. No memory can be made smaller, so its size becomes
//! a number of the module's own: `memory.size` and `memory.grow` are calls, and what a memory was grown by is zeroed
//! and given out again. A module thus finds at each beginning what it finds in a fresh instance; only an access
//! beyond a memory's present size may read zeros instead of trapping.
//!
//! Whoever uses each instance once gains nothing by this. The custom section [`weir_vfs::lift::ONCE`] says that the
//! start function is [`Writer::begin`] and the function behind it [`Writer::restart`], so that such a host can have
//! the segments mapped rather than copied.

use crate::code::{Copier, Instead, Renumber, Special, Tables};
use crate::error::LinkError;
use crate::module::{Module, ORDER};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Encode, ExportSection, Function, GlobalType, Instruction, RefType, ValType};
use wasmparser::{ConstExpr, DataKind, ElementItems, ElementKind, ExternalKind, TableInit};

/// An exported function through which a call comes in. Before it runs, a module that was used is put back.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'n> {
    pub name: &'n str,
    /// Whether it makes use of the module, so that the next call finds it used.
    pub uses: bool,
}

/// What came of it.
pub(crate) enum Restart {
    /// The module that can be put back.
    Possible(Vec<u8>),
    /// It cannot be done, because of this.
    Impossible(String),
}

/// Lets `module` be put back at each of `entries`.
///
/// # Errors
/// The module is damaged.
pub(crate) fn restartable(module: &[u8], entries: &[Entry<'_>]) -> Result<Restart, LinkError> {
    let module = Module::parse(module)?;
    if module.imported.memories + module.imported.tables > 0 || module.imports.iter().any(|(_, import)| mutable(import))
    {
        return Ok(Restart::Impossible("it imports memories, tables or variables".into()));
    }
    if module.memories.iter().any(|memory| memory.memory64 || memory.shared || memory.page_size_log2.is_some()) {
        return Ok(Restart::Impossible("it has a memory that is shared, of 64 bits or of other pages".into()));
    }
    let layout = Layout::of(&module);
    let mut copier = Copier::new(module.bytes, module.counts, &layout);
    let mut code = Vec::with_capacity(module.code.range.len() + module.code.range.len() / 64);
    for body in module.bodies()? {
        copier.body(&body?, &mut code)?;
    }
    if copier.tables() == Tables::Grown {
        return Ok(Restart::Impossible("it makes tables larger, and none can be made smaller again".into()));
    }
    let tables_written = copier.tables() == Tables::Written;
    let writer = Writer { module: &module, layout: &layout, tables_written, out: Vec::new() };
    writer.module(entries, &code).map(Restart::Possible)
}

fn mutable(import: &wasmparser::Import<'_>) -> bool {
    matches!(import.ty, wasmparser::TypeRef::Global(global) if global.mutable)
}

/// Where the functions and globals are that come behind the module's own.
struct Layout {
    functions: u32,
    globals: u32,
    types: u32,
    memories: u32,
}

/// Types that are added, in this order.
const TY_SIZE: u32 = 0;
const TY_GROW: u32 = 1;
const TY_NOTHING: u32 = 2;
const TYPES: [(&[ValType], &[ValType]); 3] = [(&[], &[ValType::I32]), (&[ValType::I32], &[ValType::I32]), (&[], &[])];

impl Layout {
    fn of(module: &Module<'_>) -> Layout {
        let counts = module.counts;
        Layout { functions: counts.functions, globals: counts.globals, types: counts.types, memories: counts.memories }
    }

    /// Functions come in this order: those of each memory, the two below, and the entries.
    fn size_of(&self, memory: u32) -> u32 {
        self.functions + memory * 2
    }

    fn grow_of(&self, memory: u32) -> u32 {
        self.size_of(memory) + 1
    }

    /// Copies the segments and runs the module's own start function.
    fn begin(&self) -> u32 {
        self.functions + self.memories * 2
    }

    /// Zeroes memories, sets globals and tables, and begins.
    fn restart(&self) -> u32 {
        self.begin() + 1
    }

    fn entry(&self, number: usize) -> u32 {
        self.restart() + 1 + number as u32
    }

    fn used_global(&self) -> u32 {
        self.globals
    }

    fn size_global(&self, memory: u32) -> u32 {
        self.globals + 1 + memory
    }
}

/// Functions keep their numbers.
impl Renumber for Layout {
    fn renumber(&self, function: u32) -> Option<u32> {
        (function < self.functions).then_some(function)
    }

    fn count(&self) -> u32 {
        self.functions
    }

    fn instead(&self, special: Special) -> Instead {
        match special {
            Special::MemorySize(memory) => Instead::Call(self.size_of(memory)),
            Special::MemoryGrow(memory) => Instead::Call(self.grow_of(memory)),
            // A segment has to be there the next time.
            Special::Drop => Instead::Nothing,
        }
    }
}

struct Writer<'m, 'a> {
    module: &'m Module<'a>,
    layout: &'m Layout,
    tables_written: bool,
    out: Vec<u8>,
}

impl<'a> Writer<'_, 'a> {
    fn module(mut self, entries: &[Entry<'_>], code: &[u8]) -> Result<Vec<u8>, LinkError> {
        let entries = self.exported(entries)?;
        self.out.extend_from_slice(&wasm_encoder::Module::HEADER);
        self.customs(0);
        for (at, id) in ORDER.into_iter().enumerate() {
            match id {
                1 => self.types(),
                3 => self.functions(&entries),
                6 => self.globals(),
                7 => self.exports(&entries)?,
                8 => self.section(8, None, &encoded(self.layout.begin())),
                9 => self.elements(),
                12 => self.data_count(),
                10 => self.code(code, &entries)?,
                11 => self.data()?,
                _ => self.copy(id)?,
            }
            self.customs(at + 1);
        }
        let mut marker = Vec::new();
        weir_vfs::lift::ONCE.encode(&mut marker);
        self.section(0, None, &marker);
        Ok(self.out)
    }

    /// The functions behind the entries.
    fn exported<'n>(&self, entries: &[Entry<'n>]) -> Result<Vec<(Entry<'n>, u32)>, LinkError> {
        let found = entries.iter().map(|entry| {
            let export = self.module.exports.iter().find(|export| export.name == entry.name);
            let export = export.filter(|export| export.kind == ExternalKind::Func);
            let export = export.ok_or_else(|| LinkError::shim(format!("there is no function `{}`", entry.name)))?;
            Ok((*entry, export.index))
        });
        found.collect()
    }

    /// A section: with a count, its items behind it.
    fn section(&mut self, id: u8, count: Option<u32>, items: &[u8]) {
        let head = count.map(encoded).unwrap_or_default();
        self.out.push(id);
        (head.len() + items.len()).encode(&mut self.out);
        self.out.extend_from_slice(&head);
        self.out.extend_from_slice(items);
    }

    /// A section as it is.
    fn copy(&mut self, id: u8) -> Result<(), LinkError> {
        for payload in wasmparser::Parser::new(0).parse_all(self.module.bytes) {
            let payload = payload.map_err(LinkError::parse)?;
            if let Some((found, range)) = payload.as_section()
                && found == id
            {
                let bytes = self.module.bytes.get(range).unwrap_or_default();
                self.section(id, None, bytes);
            }
        }
        Ok(())
    }

    fn customs(&mut self, rank: usize) {
        let module = self.module;
        for custom in module.customs.iter().filter(|custom| custom.rank == rank) {
            let mut bytes = Vec::new();
            custom.reader.name().encode(&mut bytes);
            bytes.extend_from_slice(custom.reader.data());
            self.section(0, None, &bytes);
        }
    }

    fn types(&mut self) {
        let mut items = self.module.raw(&self.module.type_items).to_vec();
        for (params, results) in TYPES {
            items.push(0x60);
            params.encode(&mut items);
            results.encode(&mut items);
        }
        self.section(1, Some(self.module.type_items.count + TYPES.len() as u32), &items);
    }

    fn functions(&mut self, entries: &[(Entry<'_>, u32)]) {
        let mut items = self.module.raw(&self.module.function_items).to_vec();
        let mut count = self.module.function_items.count;
        let base = self.layout.types;
        let added = (0..self.layout.memories).flat_map(|_| [base + TY_SIZE, base + TY_GROW]);
        let entries = entries.iter().map(|(_, function)| self.module.functions[*function as usize]);
        for ty in added.chain([base + TY_NOTHING; 2]).chain(entries) {
            ty.encode(&mut items);
            count += 1;
        }
        self.section(3, Some(count), &items);
    }

    fn globals(&mut self) {
        let mut items = Vec::new();
        let mut count = 0;
        for payload in &self.module.globals {
            let Ok(ty) = RoundtripReencoder.global_type(payload.ty) else { continue };
            ty.encode(&mut items);
            items.extend_from_slice(self.expression(&payload.init_expr));
            count += 1;
        }
        let number = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        let sizes = self.module.memories.iter().map(|memory| memory.initial as i32);
        for value in std::iter::once(0).chain(sizes) {
            number.encode(&mut items);
            wasm_encoder::ConstExpr::i32_const(value).encode(&mut items);
            count += 1;
        }
        self.section(6, Some(count), &items);
    }

    fn exports(&mut self, entries: &[(Entry<'_>, u32)]) -> Result<(), LinkError> {
        let mut section = ExportSection::new();
        for export in &self.module.exports {
            let entry = entries.iter().position(|(entry, _)| entry.name == export.name);
            let index = entry.map_or(export.index, |number| self.layout.entry(number));
            section.export(export.name, export.kind.into(), index);
        }
        wasm_encoder::Section::append_to(&section, &mut self.out);
        Ok(())
    }

    /// A constant with its `end`.
    fn expression(&self, expression: &ConstExpr<'a>) -> &'a [u8] {
        self.module.bytes.get(expression.get_binary_reader().range()).unwrap_or_default()
    }

    fn elements(&mut self) {
        let mut items = Vec::new();
        for element in &self.module.elements {
            let bytes = self.module.bytes.get(element.range.clone()).unwrap_or_default();
            let ElementKind::Active { table_index, offset_expr } = &element.kind else {
                items.extend_from_slice(bytes);
                continue;
            };
            if !self.tables_written {
                items.extend_from_slice(bytes);
                continue;
            }
            // The kinds are 0 to 7, of which the third bit says that items are expressions; behind the head lie
            // the type of the items, which two kinds leave out, and the items.
            let offset = offset_expr.get_binary_reader().range();
            let expressions = matches!(element.items, ElementItems::Expressions(..));
            items.push(if expressions { 5 } else { 1 });
            if table_index.is_none() {
                items.push(if expressions { FUNCREF } else { 0 });
            }
            items.extend_from_slice(self.module.bytes.get(offset.end..element.range.end).unwrap_or_default());
        }
        if !self.module.elements.is_empty() {
            self.section(9, Some(self.module.elements.len() as u32), &items);
        }
    }

    fn data_count(&mut self) {
        if self.module.data_items.count > 0 {
            self.section(12, None, &encoded(self.module.data_items.count));
        }
    }

    fn data(&mut self) -> Result<(), LinkError> {
        let mut items = Vec::with_capacity(self.module.data_items.range.len());
        for segment in self.module.data()? {
            let segment = segment?;
            match &segment.kind {
                DataKind::Passive => items.extend_from_slice(self.module.bytes.get(segment.range).unwrap_or_default()),
                DataKind::Active { .. } => {
                    items.push(1);
                    segment.data.encode(&mut items);
                }
            }
        }
        if self.module.data_items.count > 0 {
            self.section(11, Some(self.module.data_items.count), &items);
        }
        Ok(())
    }

    fn code(&mut self, code: &[u8], entries: &[(Entry<'_>, u32)]) -> Result<(), LinkError> {
        let mut items = code.to_vec();
        let mut count = self.module.code.count;
        let mut add = |function: Function| {
            function.encode(&mut items);
            count += 1;
        };
        for memory in 0..self.layout.memories {
            add(self.size(memory));
            add(self.grow(memory));
        }
        add(self.begin()?);
        add(self.restart()?);
        for (entry, function) in entries {
            add(self.entry(*entry, *function)?);
        }
        self.section(10, Some(count), &items);
        Ok(())
    }

    fn size(&self, memory: u32) -> Function {
        let mut function = Function::new([]);
        function.instructions().global_get(self.layout.size_global(memory)).end();
        function
    }

    /// Grows the memory itself by as much as was not grown before.
    fn grow(&self, memory: u32) -> Function {
        let size = self.layout.size_global(memory);
        let mut function = Function::new([(1, ValType::I64)]);
        let mut code = function.instructions();
        code.global_get(size).i64_extend_i32_u().local_get(0).i64_extend_i32_u().i64_add();
        code.memory_size(memory).i64_extend_i32_u().i64_sub().local_tee(1).i64_const(0).i64_gt_s();
        code.if_(BlockType::Empty);
        code.local_get(1).i32_wrap_i64().memory_grow(memory).i32_const(-1).i32_eq();
        code.if_(BlockType::Empty).i32_const(-1).return_().end();
        code.end();
        code.global_get(size).global_get(size).local_get(0).i32_add().global_set(size).end();
        function
    }

    /// A constant as instructions that leave its value.
    fn push(&self, expression: &ConstExpr<'a>, function: &mut Function) {
        let bytes = self.expression(expression);
        function.raw(bytes.get(..bytes.len().saturating_sub(1)).unwrap_or_default().iter().copied());
    }

    fn begin(&self) -> Result<Function, LinkError> {
        let mut function = Function::new([]);
        let constant = |function: &mut Function, value: usize| {
            function.instruction(&Instruction::I32Const(value as u32 as i32));
        };
        for (number, element) in self.module.elements.iter().enumerate().filter(|_| self.tables_written) {
            if let ElementKind::Active { table_index, offset_expr } = &element.kind {
                let count = match &element.items {
                    ElementItems::Functions(items) => items.count(),
                    ElementItems::Expressions(_, items) => items.count(),
                };
                self.push(offset_expr, &mut function);
                constant(&mut function, 0);
                constant(&mut function, count as usize);
                let table = table_index.unwrap_or(0);
                function.instruction(&Instruction::TableInit { elem_index: number as u32, table });
            }
        }
        for (number, segment) in self.module.data()?.enumerate() {
            let segment = segment?;
            if let DataKind::Active { memory_index, offset_expr } = &segment.kind {
                self.push(offset_expr, &mut function);
                constant(&mut function, 0);
                constant(&mut function, segment.data.len());
                function.instruction(&Instruction::MemoryInit { mem: *memory_index, data_index: number as u32 });
            }
        }
        if let Some(start) = self.module.start {
            function.instruction(&Instruction::Call(start));
        }
        function.instruction(&Instruction::End);
        Ok(function)
    }

    fn restart(&self) -> Result<Function, LinkError> {
        let mut function = Function::new([]);
        for memory in 0..self.layout.memories {
            let size = self.layout.size_global(memory);
            let mut code = function.instructions();
            // In two halves: all of 4 GiB is no number of 32 bits.
            code.i32_const(0).i32_const(0).global_get(size).i32_const(15).i32_shl().memory_fill(memory);
            code.global_get(size).i32_const(15).i32_shl().i32_const(0);
            code.global_get(size).i32_const(15).i32_shl().memory_fill(memory);
            code.i32_const(self.module.memories[memory as usize].initial as i32).global_set(size);
        }
        for (number, global) in self.module.globals.iter().enumerate().filter(|(_, global)| global.ty.mutable) {
            self.push(&global.init_expr, &mut function);
            function.instruction(&Instruction::GlobalSet(self.module.imported.globals + number as u32));
        }
        for (number, table) in self.module.tables.iter().enumerate().filter(|_| self.tables_written) {
            let zero = if table.ty.table64 { Instruction::I64Const(0) } else { Instruction::I32Const(0) };
            function.instruction(&zero);
            match &table.init {
                TableInit::Expr(value) => self.push(value, &mut function),
                TableInit::RefNull => {
                    let ty: Result<RefType, _> = RoundtripReencoder.ref_type(table.ty.element_type);
                    let ty = ty.map_err(|error| LinkError::invalid(error.to_string(), 0))?;
                    function.instruction(&Instruction::RefNull(ty.heap_type));
                }
            }
            function.instruction(&Instruction::TableSize(number as u32));
            function.instruction(&Instruction::TableFill(number as u32));
        }
        function.instruction(&Instruction::I32Const(0));
        function.instruction(&Instruction::GlobalSet(self.layout.used_global()));
        function.instruction(&Instruction::Call(self.layout.begin()));
        function.instruction(&Instruction::End);
        Ok(function)
    }

    fn entry(&self, entry: Entry<'_>, function: u32) -> Result<Function, LinkError> {
        let ty = self.module.function_type(function);
        let ty = ty.ok_or_else(|| LinkError::shim("an entry without a type"))?;
        let mut body = Function::new([]);
        let mut code = body.instructions();
        let used = self.layout.used_global();
        code.global_get(used).i32_const(LEFT).i32_eq().if_(BlockType::Empty).call(self.layout.restart()).end();
        if entry.uses {
            // A call that trapped has left the module in the middle of things; whoever calls it all the same is told.
            code.global_get(used).if_(BlockType::Empty).unreachable().end();
            code.i32_const(RUNNING).global_set(used);
        }
        for param in 0..ty.params().len() as u32 {
            code.local_get(param);
        }
        code.call(function);
        if entry.uses {
            code.i32_const(LEFT).global_set(used);
        }
        code.end();
        Ok(body)
    }
}

/// The states of a module besides that of the beginning, which is 0: in a call, and after one.
const RUNNING: i32 = 1;
const LEFT: i32 = 2;
/// The code of the type `funcref`.
const FUNCREF: u8 = 0x70;

fn encoded(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    number.encode(&mut bytes);
    bytes
}
