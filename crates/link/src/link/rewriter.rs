//! A part whose numbers move: every index in it is written anew by the maps of the part, and calls of imports that have
//! instructions in their place are replaced by those.

use super::parts::{Callee, Part, Role};
use crate::error::{LinkError, LinkErrorKind};
use crate::index::IndexMap;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{DataSection, Encode, Function, Instruction};
use wasmparser::{Catch, Data, DataKind, FunctionBody, Operator};

/// Writes things of a part with the numbers of the result.
pub(super) struct Rewriter<'p, R> {
    pub part: &'p Part<R>,
    /// Where in the part it is, for what is said of wrong indices.
    pub at: usize,
    /// Whether there was a handler that catches every exception.
    pub catches_all: bool,
}

/// What the encoder gives.
pub(super) type Rewritten<T> = Result<T, Error<LinkError>>;

impl<'p, R: Role> Rewriter<'p, R> {
    pub fn new(part: &'p Part<R>) -> Self {
        Rewriter { part, at: 0, catches_all: false }
    }

    /// An error of the encoder as one of linking.
    pub fn flat<T>(&self, result: Rewritten<T>) -> Result<T, LinkError> {
        result.map_err(|error| {
            self.part.role.error(match error {
                Error::UserError(error) => error,
                Error::ParseError(error) => LinkError::parse(error),
                other => LinkError::new(LinkErrorKind::Invalid { message: other.to_string() }),
            })
        })
    }

    /// Appends the code of a function, with its size in front.
    pub fn body(&mut self, body: &FunctionBody<'_>, out: &mut Vec<u8>) -> Result<(), LinkError> {
        self.at = body.range().start;
        let function = self.function(body);
        self.flat(function)?.encode(out);
        Ok(())
    }

    fn function(&mut self, body: &FunctionBody<'_>) -> Rewritten<Function> {
        let part = self.part;
        let mut function = self.new_function_with_parsed_locals(body)?;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            self.at = operators.original_position();
            let operator = operators.read()?;
            let (called, returns) = match operator {
                Operator::Call { function_index } => (Some(function_index), false),
                Operator::ReturnCall { function_index } => (Some(function_index), true),
                _ => (None, false),
            };
            self.catches_all |= catches_all(&operator);
            let Some(Callee::Inline(instructions)) = called.and_then(|called| part.role.callee(called)) else {
                function.instruction(&self.instruction(operator)?);
                continue;
            };
            for instruction in instructions {
                function.instruction(instruction);
            }
            if returns {
                function.instruction(&Instruction::Return);
            }
        }
        Ok(function)
    }

    /// Appends a data segment as it stands in a data section.
    pub fn data_segment(&mut self, segment: Data<'_>, out: &mut Vec<u8>) -> Result<(), LinkError> {
        let mut section = DataSection::new();
        match segment.kind {
            DataKind::Active { memory_index, offset_expr } => {
                let (memory, offset) = (self.memory_index(memory_index), self.const_expr(offset_expr));
                section.active(self.flat(memory)?, &self.flat(offset)?, segment.data.iter().copied());
            }
            DataKind::Passive => {
                section.passive(segment.data.iter().copied());
            }
        }
        out.extend_from_slice(&only_item(&section));
        Ok(())
    }

    fn look_up(&self, map: &IndexMap, what: &'static str, index: u32) -> Rewritten<u32> {
        let missing = || Error::UserError(self.part.role.missing(what, index, map.count(), self.at));
        map.get(index).ok_or_else(missing)
    }
}

/// The item of a section that has one.
pub(super) fn only_item(section: &impl Encode) -> Vec<u8> {
    // It is its size, the count 1, and the item.
    let mut bytes = Vec::new();
    section.encode(&mut bytes);
    let size_bytes = bytes.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
    bytes.split_off(bytes.len().min(size_bytes + 1))
}

fn catches_all(operator: &Operator<'_>) -> bool {
    match operator {
        Operator::CatchAll => true,
        Operator::TryTable { try_table } => {
            try_table.catches.iter().any(|catch| matches!(catch, Catch::All { .. } | Catch::AllRef { .. }))
        }
        _ => false,
    }
}

impl<R: Role> Reencode for Rewriter<'_, R> {
    type Error = LinkError;

    fn function_index(&mut self, function: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.functions, "function", function)
    }

    fn type_index(&mut self, ty: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.types, "type", ty)
    }

    fn global_index(&mut self, global: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.globals, "global", global)
    }

    fn table_index(&mut self, table: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.tables, "table", table)
    }

    fn memory_index(&mut self, memory: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.memories, "memory", memory)
    }

    fn tag_index(&mut self, tag: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.tags, "tag", tag)
    }

    fn element_index(&mut self, element: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.elements, "element segment", element)
    }

    fn data_index(&mut self, data: u32) -> Rewritten<u32> {
        self.look_up(&self.part.maps.data, "data segment", data)
    }
}
