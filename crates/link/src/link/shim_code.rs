//! The shim's part of the result: every index written anew, calls to the program's memory
//! replaced by instructions on it.

use super::parts::Callee;
use super::plan::Plan;
use super::shim::{Shim, internal};
use crate::error::LinkError;
use std::borrow::Cow;
use std::collections::BTreeMap;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{
    ConstExpr, DataSection, ElementSection, Elements, Encode, Function, GlobalSection, HeapType, Instruction, RefType,
    TableSection,
};
use wasmparser::{DataKind, ElementKind, Operator};

/// Writes the shim's code and data with the result's indices.
pub(crate) struct ShimCode<'p, 'a> {
    plan: &'p Plan<'a>,
    shim: &'p Shim<'a>,
    globals: BTreeMap<u32, u32>,
    tables: BTreeMap<u32, u32>,
    elements: BTreeMap<u32, u32>,
}

type Reencoded<T> = Result<T, Error<LinkError>>;

impl<'p, 'a> ShimCode<'p, 'a> {
    pub fn new(plan: &'p Plan<'a>, shim: &'p Shim<'a>) -> ShimCode<'p, 'a> {
        let counts = plan.program.counts;
        let after_exit = counts.globals + u32::from(plan.exit_function.is_some());
        let number = |kept: &mut dyn Iterator<Item = u32>, base: u32| {
            kept.enumerate().map(|(at, index)| (index, base + at as u32)).collect()
        };
        let live =
            |segment: &usize| shim.segments()[*segment].table.is_none_or(|table| shim.needed.tables.contains(&table));
        let mut segments = (0..shim.segments().len()).filter(live).map(|segment| segment as u32);
        ShimCode {
            plan,
            shim,
            globals: number(&mut shim.needed.globals.iter().copied(), after_exit),
            tables: number(&mut shim.needed.tables.iter().copied(), counts.tables),
            elements: number(&mut segments, counts.elements),
        }
    }

    /// The types of the defined functions, in the order of their new indices.
    pub fn function_types(&self) -> Result<Vec<u32>, LinkError> {
        let types = self.plan.shim_functions.keys().map(|function| {
            let ty = self.shim.module.functions.get(*function as usize);
            ty.and_then(|ty| self.plan.shim_types.get(ty)).copied().ok_or_else(|| missing("type", *function))
        });
        types.collect()
    }

    /// Appends the code of the defined functions, each with its size in front.
    pub fn code(&mut self, out: &mut Vec<u8>) -> Result<(), LinkError> {
        for function in self.plan.shim_functions.keys() {
            let body = self.shim.body(*function)?.clone();
            self.body(body).map_err(flatten)?.encode(out);
        }
        Ok(())
    }

    fn body(&mut self, body: wasmparser::FunctionBody<'_>) -> Reencoded<Function> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let operator = operators.read()?;
            let (called, returns) = match operator {
                Operator::Call { function_index } => (function_index, false),
                Operator::ReturnCall { function_index } => (function_index, true),
                other => {
                    function.instruction(&self.instruction(other)?);
                    continue;
                }
            };
            match self.plan.shim_imports.get(&called) {
                Some(Callee::Inline { instructions, .. }) => {
                    for instruction in instructions {
                        function.instruction(instruction);
                    }
                    if returns {
                        function.instruction(&Instruction::Return);
                    }
                }
                _ => {
                    let called = self.function_index(called)?;
                    let call = if returns { Instruction::ReturnCall(called) } else { Instruction::Call(called) };
                    function.instruction(&call);
                }
            }
        }
        Ok(function)
    }

    /// Appends the shim's tables that are used.
    pub fn append_tables(&mut self, section: &mut TableSection) -> Result<(), LinkError> {
        for index in self.shim.needed.tables.iter() {
            let table =
                self.shim.module.tables.get(*index as usize).cloned().ok_or_else(|| missing("table", *index))?;
            self.parse_table(section, table).map_err(flatten)?;
        }
        Ok(())
    }

    /// Appends the shim's globals that are used.
    pub fn append_globals(&mut self, section: &mut GlobalSection) -> Result<(), LinkError> {
        for index in self.shim.needed.globals.iter() {
            let global = self.shim.module.globals.get(*index as usize).cloned();
            let global = global.ok_or_else(|| missing("global", *index))?;
            self.parse_global(section, global).map_err(flatten)?;
        }
        Ok(())
    }

    /// Appends the shim's element segments, and one that declares every function whose address
    /// its code takes.
    pub fn append_elements(&mut self, section: &mut ElementSection) -> Result<(), LinkError> {
        let kept: Vec<u32> = self.elements.keys().copied().collect();
        for index in kept {
            let element = self.shim.module.elements[index as usize].clone();
            let entries = self.entries(index as usize)?;
            match element.kind {
                ElementKind::Active { table_index, offset_expr } => {
                    let table = self.table_index(table_index.unwrap_or(0)).map_err(flatten)?;
                    let offset = self.const_expr(offset_expr).map_err(flatten)?;
                    section.active(Some(table), &offset, entries);
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
        Ok(())
    }

    /// What is in an element segment. As a list of functions where that is possible: engines write such tables when
    /// they are first read, and evaluate expressions in every instance. In empty places lies a function that no call
    /// through a table has the type of, so it traps there as it does at null.
    fn entries(&mut self, segment: usize) -> Result<Elements<'static>, LinkError> {
        let kept = self.shim.kept(segment)?;
        let filler = self.shim.never_called_through_tables()?;
        if let Some(functions) = kept.iter().map(|function| function.or(filler)).collect::<Option<Vec<_>>>() {
            let functions = functions.into_iter().map(|function| self.function_index(function).map_err(flatten));
            return Ok(Elements::Functions(Cow::Owned(functions.collect::<Result<_, _>>()?)));
        }
        let entries = kept.into_iter().map(|function| match function {
            Some(function) => Ok(ConstExpr::ref_func(self.function_index(function).map_err(flatten)?)),
            None => Ok(ConstExpr::ref_null(HeapType::FUNC)),
        });
        Ok(Elements::Expressions(RefType::FUNCREF, Cow::Owned(entries.collect::<Result<_, LinkError>>()?)))
    }

    /// The shim's data segments as bytes of a data section, and how many there are.
    pub fn data(&mut self) -> Result<(u32, Vec<u8>), LinkError> {
        let mut out = Vec::new();
        let mut count = 0;
        for segment in self.shim.module.data().map_err(internal)? {
            let segment = segment.map_err(internal)?;
            let mut section = DataSection::new();
            match segment.kind {
                DataKind::Active { memory_index, offset_expr } => {
                    let memory = self.memory_index(memory_index).map_err(flatten)?;
                    let offset = self.const_expr(offset_expr).map_err(flatten)?;
                    section.active(memory, &offset, segment.data.iter().copied());
                }
                DataKind::Passive => {
                    section.passive(segment.data.iter().copied());
                }
            }
            // A section of one item is its size, the count 1, and the item.
            let mut bytes = Vec::new();
            section.encode(&mut bytes);
            out.extend_from_slice(bytes.get(leb_length(&bytes) + 1..).unwrap_or(&[]));
            count += 1;
        }
        Ok((count, out))
    }
}

fn leb_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1)
}

fn missing(what: &str, index: u32) -> LinkError {
    LinkError::shim(format!("{what} {index} was not kept"))
}

fn flatten(error: Error<LinkError>) -> LinkError {
    match error {
        Error::UserError(error) => internal(error),
        Error::ParseError(error) => internal(LinkError::parse(error)),
        other => LinkError::shim(other.to_string()),
    }
}

fn look_up(map: &BTreeMap<u32, u32>, what: &'static str, index: u32) -> Reencoded<u32> {
    map.get(&index).copied().ok_or_else(|| Error::UserError(missing(what, index)))
}

impl Reencode for ShimCode<'_, '_> {
    type Error = LinkError;

    fn function_index(&mut self, function: u32) -> Reencoded<u32> {
        match self.plan.shim_imports.get(&function) {
            Some(Callee::Function(index)) | Some(Callee::Inline { function: Some(index), .. }) => Ok(*index),
            Some(Callee::Own(function)) => look_up(&self.plan.shim_functions, "function", *function),
            _ => look_up(&self.plan.shim_functions, "function", function),
        }
    }

    fn type_index(&mut self, ty: u32) -> Reencoded<u32> {
        look_up(&self.plan.shim_types, "type", ty)
    }

    fn global_index(&mut self, global: u32) -> Reencoded<u32> {
        look_up(&self.globals, "global", global)
    }

    fn table_index(&mut self, table: u32) -> Reencoded<u32> {
        look_up(&self.tables, "table", table)
    }

    fn element_index(&mut self, element: u32) -> Reencoded<u32> {
        look_up(&self.elements, "element segment", element)
    }

    fn data_index(&mut self, data: u32) -> Reencoded<u32> {
        Ok(self.plan.program.counts.data + data)
    }

    fn memory_index(&mut self, memory: u32) -> Reencoded<u32> {
        match self.plan.report.shim_memory {
            Some(index) if memory == 0 => Ok(index),
            _ => Err(Error::UserError(missing("memory", memory))),
        }
    }
}
