//! The shim taken apart: what of it is needed, and its code with new indices.
//!
//! The shim is a module of ours with a narrow contract: it defines one memory (exported as
//! `memory`), imports functions only, has plain function types and no start function, and its
//! tables hold functions. Whatever breaks the contract is refused rather than guessed at.

use crate::error::LinkError;
use crate::module::Module;
use crate::p1::Signature;
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{BlockType, ElementItems, ElementKind, ExternalKind, Operator, TypeRef};

/// A shim and the part of it that is reachable from the functions that were asked for.
pub(crate) struct Shim<'a> {
    pub module: Module<'a>,
    bodies: Vec<wasmparser::FunctionBody<'a>>,
    /// Exported functions by name.
    pub exports: BTreeMap<&'a str, u32>,
    pub needed: Needed,
    /// The functions in each element segment.
    segments: Vec<Segment>,
}

/// What of the shim has to be linked in.
#[derive(Default)]
pub(crate) struct Needed {
    /// Function indices of the shim, imports included.
    pub functions: BTreeSet<u32>,
    /// Functions whose address is taken by `ref.func`.
    pub referenced: BTreeSet<u32>,
    /// Imports that sit in a table or are referenced, so they have to be real functions.
    pub imports_by_address: BTreeSet<u32>,
    pub globals: BTreeSet<u32>,
    pub types: BTreeSet<u32>,
    pub tables: BTreeSet<u32>,
    /// Signatures that are called through tables.
    indirect: BTreeSet<Signature>,
    /// Tables are read or changed by code, so every entry counts.
    tables_escape: bool,
}

/// One element segment: its table, and its functions where they are not null.
pub(crate) struct Segment {
    pub table: Option<u32>,
    pub functions: Vec<Option<u32>>,
}

impl<'a> Shim<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Shim<'a>, LinkError> {
        let module = Module::parse(bytes).map_err(|error| LinkError::shim(error.to_string()))?;
        let broken = |what: &str| Err(LinkError::shim(what));
        if module.memories.len() != 1 || module.imported.memories != 0 || module.memories[0].memory64 {
            return broken("it does not define exactly one 32-bit memory");
        }
        if !module.exports.iter().any(|export| export.name == "memory" && export.kind == ExternalKind::Memory) {
            return broken("it does not export its memory as `memory`");
        }
        if module.start.is_some() {
            return broken("it has a start function");
        }
        if module.imports.iter().any(|(_, import)| !matches!(import.ty, TypeRef::Func(_))) {
            return broken("it imports something that is not a function");
        }
        if !module.tags.is_empty() {
            return broken("it has exception tags");
        }
        let mut bodies = Vec::new();
        for body in module.bodies().map_err(internal)? {
            bodies.push(body.map_err(internal)?);
        }
        let exports = module.exports.iter().filter(|export| export.kind == ExternalKind::Func);
        let exports = exports.map(|export| (export.name, export.index)).collect();
        let segments = segments(&module)?;
        Ok(Shim { module, bodies, exports, needed: Needed::default(), segments })
    }

    /// The body of a defined function.
    pub fn body(&self, function: u32) -> Result<&wasmparser::FunctionBody<'a>, LinkError> {
        let at = function.checked_sub(self.module.imported.functions);
        at.and_then(|at| self.bodies.get(at as usize))
            .ok_or_else(|| LinkError::shim(format!("function {function} has no body")))
    }

    /// The signature of a function.
    pub fn signature(&self, function: u32) -> Result<Signature, LinkError> {
        let ty = self.module.functions.get(function as usize).copied();
        ty.and_then(|ty| self.module.signature(ty))
            .ok_or_else(|| LinkError::shim(format!("function {function} does not have a plain type of numbers")))
    }

    /// Marks everything reachable from the given functions as needed.
    pub fn need(&mut self, roots: impl IntoIterator<Item = u32>) -> Result<(), LinkError> {
        let mut work: Vec<u32> = roots.into_iter().collect();
        loop {
            while let Some(function) = work.pop() {
                if self.needed.functions.insert(function) && function >= self.module.imported.functions {
                    self.scan(function, &mut work)?;
                }
            }
            self.scan_globals(&mut work)?;
            for segment in 0..self.segments.len() {
                let kept = self.kept(segment)?;
                work.extend(kept.into_iter().flatten());
            }
            work.retain(|function| !self.needed.functions.contains(function));
            if work.is_empty() {
                break;
            }
        }
        let imported = self.module.imported.functions;
        let by_table: Vec<Vec<Option<u32>>> =
            (0..self.segments.len()).map(|at| self.kept(at)).collect::<Result<_, _>>()?;
        let in_tables = by_table.iter().flatten().flatten().copied();
        let addressed = in_tables.chain(self.needed.referenced.iter().copied()).filter(|function| *function < imported);
        self.needed.imports_by_address = addressed.collect();
        Ok(())
    }

    /// The functions of a segment that something could call: those of a type that is called
    /// through a table. The others would only be dead weight; their places stay empty, and a call
    /// through such a place traps as a call with the wrong type does.
    pub fn kept(&self, segment: usize) -> Result<Vec<Option<u32>>, LinkError> {
        let segment = &self.segments[segment];
        let used = segment.table.is_none_or(|table| self.needed.tables.contains(&table));
        let mut kept = Vec::with_capacity(segment.functions.len());
        for function in &segment.functions {
            let live = match function {
                Some(function) if used && self.needed.tables_escape => Some(*function),
                Some(function) if used && self.needed.indirect.contains(&self.signature(*function)?) => Some(*function),
                _ => None,
            };
            kept.push(live);
        }
        Ok(kept)
    }

    /// A function that is linked in, of a type that no call through a table has.
    pub fn never_called_through_tables(&self) -> Result<Option<u32>, LinkError> {
        for function in &self.needed.functions {
            let defined = *function >= self.module.imported.functions;
            if defined && !self.needed.tables_escape && !self.needed.indirect.contains(&self.signature(*function)?) {
                return Ok(Some(*function));
            }
        }
        Ok(None)
    }

    fn scan(&mut self, function: u32, work: &mut Vec<u32>) -> Result<(), LinkError> {
        self.needed.types.insert(self.module.functions.get(function as usize).copied().unwrap_or(0));
        let body = self.body(function)?.clone();
        let mut operators = body.get_operators_reader().map_err(|error| internal(LinkError::parse(error)))?;
        while !operators.eof() {
            let operator = operators.read().map_err(|error| internal(LinkError::parse(error)))?;
            self.scan_operator(&operator, work)?;
        }
        Ok(())
    }

    fn scan_operator(&mut self, operator: &Operator<'_>, work: &mut Vec<u32>) -> Result<(), LinkError> {
        let needed = &mut self.needed;
        match *operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => work.push(function_index),
            Operator::RefFunc { function_index } => {
                needed.referenced.insert(function_index);
                work.push(function_index);
            }
            Operator::CallIndirect { type_index, table_index }
            | Operator::ReturnCallIndirect { type_index, table_index } => {
                needed.tables.insert(table_index);
                needed.types.insert(type_index);
                let signature = self.module.signature(type_index);
                let signature = signature.ok_or_else(|| LinkError::shim("an indirect call has no plain type"))?;
                needed.indirect.insert(signature);
            }
            Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                needed.globals.insert(global_index);
            }
            Operator::TableGet { table }
            | Operator::TableSet { table }
            | Operator::TableGrow { table }
            | Operator::TableSize { table }
            | Operator::TableFill { table }
            | Operator::TableInit { table, .. } => {
                needed.tables.insert(table);
                needed.tables_escape = true;
            }
            Operator::TableCopy { dst_table, src_table } => {
                needed.tables.extend([dst_table, src_table]);
                needed.tables_escape = true;
            }
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                if let BlockType::FuncType(ty) = blockty {
                    needed.types.insert(ty);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Globals whose initial values refer to other globals or to functions.
    fn scan_globals(&mut self, work: &mut Vec<u32>) -> Result<(), LinkError> {
        loop {
            let before = self.needed.globals.len();
            for index in self.needed.globals.clone() {
                let global = self.module.globals.get(index as usize).cloned();
                let global = global.ok_or_else(|| LinkError::shim(format!("global {index} does not exist")))?;
                let mut operators = global.init_expr.get_operators_reader();
                while !operators.eof() {
                    let operator = operators.read().map_err(|error| internal(LinkError::parse(error)))?;
                    self.scan_operator(&operator, work)?;
                }
            }
            if self.needed.globals.len() == before {
                return Ok(());
            }
        }
    }

    /// The element segments that are linked in.
    pub fn live_segments(&self) -> BTreeSet<u32> {
        let live = |segment: &Segment| segment.table.is_none_or(|table| self.needed.tables.contains(&table));
        (0..).zip(&self.segments).filter(|(_, segment)| live(segment)).map(|(at, _)| at).collect()
    }
}

/// Errors in the shim are weir's own, whatever they are.
pub(crate) fn internal(error: LinkError) -> LinkError {
    if error.is_internal() { error } else { LinkError::shim(error.to_string()) }
}

fn segments(module: &Module<'_>) -> Result<Vec<Segment>, LinkError> {
    let parse = |error| internal(LinkError::parse(error));
    let mut all = Vec::new();
    for element in &module.elements {
        let table = match &element.kind {
            ElementKind::Active { table_index, .. } => Some(table_index.unwrap_or(0)),
            ElementKind::Passive | ElementKind::Declared => None,
        };
        let mut functions = Vec::new();
        match element.items.clone() {
            ElementItems::Functions(items) => {
                for item in items {
                    functions.push(Some(item.map_err(parse)?));
                }
            }
            ElementItems::Expressions(_, items) => {
                for item in items {
                    let mut operators = item.map_err(parse)?.get_operators_reader();
                    functions.push(match operators.read().map_err(parse)? {
                        Operator::RefFunc { function_index } => Some(function_index),
                        Operator::RefNull { .. } => None,
                        _ => return Err(LinkError::shim("a table is filled with something else than functions")),
                    });
                }
            }
        }
        all.push(Segment { table, functions });
    }
    Ok(all)
}
