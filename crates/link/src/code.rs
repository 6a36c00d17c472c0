//! Copying code: instructions are read, checked and copied byte for byte; only the function
//! indices in `call`, `return_call` and `ref.func` are written anew. An index that took more bytes
//! than it needs keeps them, so that the copy can be copied back to the very bytes it was made from.
//!
//! A program that keeps its own indices of everything but functions has no more than this changed
//! in its code, and any instruction that the parser knows comes through untouched. Every
//! index is held against the program's own counts, because behind them lie the shim's memory and
//! globals: a module that was never validated must not reach those by numbers that are too large.

use crate::error::LinkError;
use crate::index::IndexMap;
use crate::module::Counts;
use wasm_encoder::Encode;
use wasmparser::{
    BinaryReader, BlockType, Catch, FunctionBody, Handle, HeapType, OperatorsReader, OperatorsReaderAllocations,
    ResumeTable, TryTable, UnpackedIndex, ValType, VisitOperator, VisitSimdOperator,
};

impl Renumber for IndexMap {
    fn renumber(&self, function: u32) -> Option<u32> {
        self.get(function)
    }

    fn count(&self) -> u32 {
        IndexMap::count(self)
    }
}

/// New function indices for old ones.
pub(crate) trait Renumber {
    /// The new index of a function.
    fn renumber(&self, function: u32) -> Option<u32>;
    /// How many functions there are.
    fn count(&self) -> u32;
    /// What stands in the place of an instruction on the size of memories or the life of segments.
    fn instead(&self, _: Special) -> Instead {
        Instead::Itself
    }
}

/// Instructions whose effect would outlast putting a module back to its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// `memory.size` of this memory.
    MemorySize(u32),
    /// `memory.grow` of this memory.
    MemoryGrow(u32),
    /// `data.drop` and `elem.drop`.
    Drop,
}

/// What stands in the place of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    /// The instruction as it is.
    Itself,
    /// A call of this function of the result.
    Call(u32),
    /// Nothing.
    Nothing,
}

/// Copies instructions with new function indices.
pub(crate) struct Copier<'m, M = IndexMap> {
    bytes: &'m [u8],
    functions: &'m M,
    checker: Checker,
    allocations: OperatorsReaderAllocations,
    scratch: Vec<u8>,
}

impl<'m, M: Renumber> Copier<'m, M> {
    pub fn new(bytes: &'m [u8], counts: Counts, functions: &'m M) -> Copier<'m, M> {
        Copier {
            bytes,
            functions,
            checker: Checker { counts, found: Found::Nothing, last: 0, catches_all: false, tables: Tables::Constant },
            allocations: OperatorsReaderAllocations::default(),
            scratch: Vec::new(),
        }
    }

    /// Whether any copied code has a handler that catches every exception.
    pub fn catches_all(&self) -> bool {
        self.checker.catches_all
    }

    /// What the copied code does to tables.
    pub fn tables(&self) -> Tables {
        self.checker.tables
    }

    /// Appends a function body with its size in front.
    pub fn body(&mut self, body: &FunctionBody<'_>, out: &mut Vec<u8>) -> Result<(), LinkError> {
        for local in body.get_locals_reader().map_err(LinkError::parse)? {
            let (_, ty) = local.map_err(LinkError::parse)?;
            self.checker.value(ty);
        }
        self.complain(body.range().start)?;
        let mut scratch = core::mem::take(&mut self.scratch);
        scratch.clear();
        let operators = body.get_binary_reader_for_operators().map_err(LinkError::parse)?;
        let copied = self.copy(body.range().start, operators, &mut scratch);
        scratch.len().encode(out);
        out.extend_from_slice(&scratch);
        self.scratch = scratch;
        copied
    }

    /// Appends a constant expression including its `end`.
    pub fn expression(&mut self, reader: BinaryReader<'_>, out: &mut Vec<u8>) -> Result<(), LinkError> {
        self.copy(reader.range().start, reader, out)
    }

    /// The new index of a function.
    pub fn function(&self, function: u32, offset: usize) -> Result<u32, LinkError> {
        let count = self.functions.count();
        self.functions.renumber(function).ok_or_else(|| LinkError::out_of_bounds("function", function, count, offset))
    }

    fn copy(&mut self, from: usize, reader: BinaryReader<'_>, out: &mut Vec<u8>) -> Result<(), LinkError> {
        let mut operators = OperatorsReader::new_with_allocs(reader, core::mem::take(&mut self.allocations));
        let mut copied = from;
        while !operators.eof() {
            let at = operators.original_position();
            operators.visit_operator(&mut self.checker).map_err(LinkError::parse)?;
            match self.checker.found {
                Found::Nothing => {}
                Found::Function(function) => {
                    let new = self.function(function, at)?;
                    if new != function {
                        // These three instructions are one byte and the index.
                        out.extend_from_slice(slice(self.bytes, copied, at + 1)?);
                        copied = operators.original_position();
                        let padded = copied - at - 1 > leb_bytes(function);
                        write_index(new, if padded { copied - at - 1 } else { 0 }, out);
                    }
                    self.checker.found = Found::Nothing;
                }
                Found::Special(special) => {
                    let instead = self.functions.instead(special);
                    if instead != Instead::Itself {
                        out.extend_from_slice(slice(self.bytes, copied, at)?);
                        copied = operators.original_position();
                    }
                    if let Instead::Call(function) = instead {
                        out.push(CALL);
                        function.encode(out);
                    }
                    self.checker.found = Found::Nothing;
                }
                Found::OutOfBounds { .. } => self.complain(at)?,
            }
        }
        operators.finish().map_err(LinkError::parse)?;
        out.extend_from_slice(slice(self.bytes, copied, operators.original_position())?);
        self.allocations = operators.into_allocations();
        Ok(())
    }

    fn complain(&mut self, offset: usize) -> Result<(), LinkError> {
        match core::mem::replace(&mut self.checker.found, Found::Nothing) {
            Found::OutOfBounds { what, index, count } => Err(LinkError::out_of_bounds(what, index, count, offset)),
            _ => Ok(()),
        }
    }
}

/// Bytes of a number in LEB128, without padding.
pub(crate) fn leb_bytes(value: u32) -> usize {
    (32 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes an index in at least `width` bytes.
fn write_index(value: u32, width: usize, out: &mut Vec<u8>) {
    let width = width.min(5);
    let start = out.len();
    value.encode(out);
    while out.len() - start < width {
        if let Some(last) = out.last_mut() {
            *last |= 0x80;
        }
        out.push(0);
    }
}

fn slice(bytes: &[u8], from: usize, to: usize) -> Result<&[u8], LinkError> {
    bytes.get(from..to).ok_or_else(|| LinkError::invalid("unexpected end", from))
}

/// The opcode of `call`.
const CALL: u8 = 0x10;

/// What code does to tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tables {
    /// They stay as they are.
    Constant,
    /// It writes into them.
    Written,
    /// It makes them larger.
    Grown,
}

enum Found {
    Nothing,
    Function(u32),
    Special(Special),
    OutOfBounds { what: &'static str, index: u32, count: u32 },
}

/// Sees every immediate of every instruction.
struct Checker {
    counts: Counts,
    found: Found,
    /// The last memory that an instruction named.
    last: u32,
    catches_all: bool,
    tables: Tables,
}

impl Checker {
    #[inline]
    fn bound(&mut self, what: &'static str, index: u32, count: u32) {
        if index >= count {
            self.found = Found::OutOfBounds { what, index, count };
        }
    }

    #[inline]
    fn function(&mut self, index: u32) {
        self.found = Found::Function(index);
    }

    #[inline]
    fn ty(&mut self, index: u32) {
        self.bound("type", index, self.counts.types);
    }

    #[inline]
    fn special(&mut self, special: Special) {
        if matches!(self.found, Found::Nothing) {
            self.found = Found::Special(special);
        }
    }

    #[inline]
    fn writes_table(&mut self, how: Tables) {
        self.tables = self.tables.max(how);
    }

    #[inline]
    fn memory(&mut self, index: u32) {
        self.last = index;
        self.bound("memory", index, self.counts.memories);
    }

    #[inline]
    fn table(&mut self, index: u32) {
        self.bound("table", index, self.counts.tables);
    }

    fn tag(&mut self, index: u32) {
        self.bound("tag", index, self.counts.tags);
    }

    fn heap(&mut self, ty: HeapType) {
        if let HeapType::Concrete(UnpackedIndex::Module(index)) | HeapType::Exact(UnpackedIndex::Module(index)) = ty {
            self.ty(index);
        }
    }

    fn value(&mut self, ty: ValType) {
        if let ValType::Ref(reference) = ty {
            self.heap(reference.heap_type());
        }
    }

    fn block(&mut self, ty: BlockType) {
        match ty {
            BlockType::Empty => {}
            BlockType::Type(value) => self.value(value),
            BlockType::FuncType(index) => self.ty(index),
        }
    }

    fn try_table(&mut self, table: &TryTable) {
        self.block(table.ty);
        for catch in &table.catches {
            match catch {
                Catch::One { tag, .. } | Catch::OneRef { tag, .. } => self.tag(*tag),
                Catch::All { .. } | Catch::AllRef { .. } => self.catches_all = true,
            }
        }
    }

    fn resume_table(&mut self, table: &ResumeTable) {
        for handler in &table.handlers {
            match handler {
                Handle::OnLabel { tag, .. } | Handle::OnSwitch { tag } => self.tag(*tag),
            }
        }
    }
}

/// One method per instruction; what an immediate is follows from its name.
macro_rules! check_immediates {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {$(
        #[inline]
        fn $visit(&mut self $($(, $arg: $argty)*)?) {
            $($(check_immediates!(one self $arg $arg);)*)?
            check_immediates!(itself self $op);
        }
    )*};
    (itself $s:ident CatchAll) => { $s.catches_all = true };
    (itself $s:ident MemorySize) => { $s.special(Special::MemorySize($s.last)) };
    (itself $s:ident MemoryGrow) => { $s.special(Special::MemoryGrow($s.last)) };
    (itself $s:ident DataDrop) => { $s.special(Special::Drop) };
    (itself $s:ident ElemDrop) => { $s.special(Special::Drop) };
    (itself $s:ident TableSet) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableFill) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableCopy) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableInit) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableAtomicSet) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableAtomicRmwXchg) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableAtomicRmwCmpxchg) => { $s.writes_table(Tables::Written) };
    (itself $s:ident TableGrow) => { $s.writes_table(Tables::Grown) };
    (itself $s:ident $other:ident) => {};
    (one $s:ident $v:ident function_index) => { $s.function($v) };
    (one $s:ident $v:ident type_index) => { $s.ty($v) };
    (one $s:ident $v:ident array_type_index) => { $s.ty($v) };
    (one $s:ident $v:ident array_type_index_dst) => { $s.ty($v) };
    (one $s:ident $v:ident array_type_index_src) => { $s.ty($v) };
    (one $s:ident $v:ident struct_type_index) => { $s.ty($v) };
    (one $s:ident $v:ident cont_type_index) => { $s.ty($v) };
    (one $s:ident $v:ident argument_index) => { $s.ty($v) };
    (one $s:ident $v:ident result_index) => { $s.ty($v) };
    (one $s:ident $v:ident global_index) => { $s.bound("global", $v, $s.counts.globals) };
    (one $s:ident $v:ident table) => { $s.table($v) };
    (one $s:ident $v:ident table_index) => { $s.table($v) };
    (one $s:ident $v:ident src_table) => { $s.table($v) };
    (one $s:ident $v:ident dst_table) => { $s.table($v) };
    (one $s:ident $v:ident mem) => { $s.memory($v) };
    (one $s:ident $v:ident src_mem) => { $s.memory($v) };
    (one $s:ident $v:ident dst_mem) => { $s.memory($v) };
    (one $s:ident $v:ident memarg) => { $s.memory($v.memory) };
    (one $s:ident $v:ident data_index) => { $s.bound("data segment", $v, $s.counts.data) };
    (one $s:ident $v:ident array_data_index) => { $s.bound("data segment", $v, $s.counts.data) };
    (one $s:ident $v:ident elem_index) => { $s.bound("element segment", $v, $s.counts.elements) };
    (one $s:ident $v:ident array_elem_index) => { $s.bound("element segment", $v, $s.counts.elements) };
    (one $s:ident $v:ident tag_index) => { $s.tag($v) };
    (one $s:ident $v:ident blockty) => { $s.block($v) };
    (one $s:ident $v:ident hty) => { $s.heap($v) };
    (one $s:ident $v:ident ty) => { $s.value($v) };
    (one $s:ident $v:ident tys) => { for ty in $v { $s.value(ty) } };
    (one $s:ident $v:ident from_ref_type) => { $s.heap($v.heap_type()) };
    (one $s:ident $v:ident to_ref_type) => { $s.heap($v.heap_type()) };
    (one $s:ident $v:ident try_table) => { $s.try_table(&$v) };
    (one $s:ident $v:ident resume_table) => { $s.resume_table(&$v) };
    // Without an index: constants, lanes, labels, locals, fields, orderings.
    (one $s:ident $v:ident $other:ident) => { let _ = $v; };
}

impl<'a> VisitOperator<'a> for Checker {
    type Output = ();

    fn simd_visitor(&mut self) -> Option<&mut dyn VisitSimdOperator<'a, Output = ()>> {
        Some(self)
    }

    wasmparser::for_each_visit_operator!(check_immediates);
}

impl<'a> VisitSimdOperator<'a> for Checker {
    wasmparser::for_each_visit_simd_operator!(check_immediates);
}
