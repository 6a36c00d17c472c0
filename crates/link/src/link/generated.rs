//! The functions that linking itself adds: tracing wrappers, adapters, the throwing `proc_exit`,
//! entries that catch an exit, and stubs.

use super::parts::{Callee, Generated, Lift, NOT_EXITED, Part, Purpose, Served, Unwinding, Use, What};
use super::plan::Plan;
use super::rewriter::Rewriter;
use crate::error::LinkError;
use crate::p1::{P1_FUNCTIONS, PARAMS_MAX, Signature};
use wasm_encoder::reencode::Reencode;
use wasm_encoder::{BlockType, Catch, ConstExpr, Function, Instruction, MemArg, ValType};
use wasmparser::ValType as ParsedType;

/// What an asynchronous function answers the component model when it is over.
const EXIT: i32 = 0;

impl Generated {
    /// The type of the function.
    pub fn ty(&self, plan: &mut Plan<'_>) -> Result<u32, LinkError> {
        Ok(match &self.what {
            What::Exit => plan.types.intern(&Signature::new(&[ValType::I32], &[])),
            What::Call { ty, .. } | What::Entry { ty, .. } | What::Denied { ty, .. } => *ty,
            What::Lifted => {
                let params = self.lift(plan)?.params;
                plan.types.intern(&Signature::new(params, &[ValType::I32]))
            }
            What::Callback => plan.types.intern(&Signature::new(&[ValType::I32; 3], &[ValType::I32])),
            What::Give | What::Prepare | What::Begin => plan.types.intern(&Signature::new(&[], &[])),
            What::Stub { import } => {
                let signature = self.shim(plan)?.role.shim.signature(*import)?;
                plan.types.intern(&signature)
            }
        })
    }

    /// The name in the name section.
    pub fn name(&self, plan: &Plan<'_>) -> String {
        let used = |import: u32| match plan.program(self.of).uses[import as usize] {
            Use::Host { id } | Use::Shim { id, .. } | Use::Exit { id } => P1_FUNCTIONS[id as usize].name,
            Use::Foreign | Use::Inside { .. } | Use::Denied => "import",
        };
        match &self.what {
            What::Exit => "weir:exit".into(),
            What::Call { import, .. } if plan.trace.is_some() => format!("weir:trace {}", used(*import)),
            What::Call { import, .. } => format!("weir:adapter {}", used(*import)),
            What::Denied { import, .. } => format!("weir:denied {import}"),
            What::Entry { name, .. } => format!("weir:entry {name}"),
            What::Lifted => "weir:lifted".into(),
            What::Callback => "weir:callback".into(),
            What::Give => "weir:give".into(),
            What::Prepare => "weir:prepare".into(),
            What::Stub { .. } => "weir:stub".into(),
            What::Begin => "weir:begin".into(),
        }
    }

    /// The code.
    pub fn body(&self, plan: &Plan<'_>) -> Result<Function, LinkError> {
        match &self.what {
            What::Exit => Ok(exit(plan.exit_of(self.of)?)),
            What::Call { import, .. } => call(plan, self.of, *import),
            What::Denied { .. } => {
                let mut function = Function::new([]);
                function.instructions().unreachable().end();
                Ok(function)
            }
            What::Entry { function, .. } => entry(plan, self.of, *function),
            What::Lifted => self.lifted(plan),
            What::Callback => {
                let mut function = Function::new([]);
                function.instructions().i32_const(EXIT).end();
                Ok(function)
            }
            What::Give => self.give(plan),
            What::Prepare => {
                let own = plan.initialize_function(self.of);
                Ok(calls([plan.shim_export(self.of, "library:prepare")?].into_iter().chain(own)))
            }
            What::Stub { import } => Ok(stub(self.shim(plan)?.role.callees.get(import))),
            What::Begin => Ok(calls(plan.start_functions()?)),
        }
    }

    fn shim<'p, 'a>(&self, plan: &'p Plan<'a>) -> Result<&'p Part<Served<'a>>, LinkError> {
        plan.shim_of(self.of).ok_or_else(|| LinkError::shim("there is none"))
    }

    fn lift<'a>(&self, plan: &Plan<'a>) -> Result<Lift<'a>, LinkError> {
        match plan.program(self.of).manner.purpose {
            Purpose::Function(lift) => Ok(lift),
            Purpose::Run | Purpose::Library { .. } => Err(LinkError::shim("nothing is lifted")),
        }
    }

    /// Core values of any type as eight bytes each: what the shim makes values of again.
    fn lifted(&self, plan: &Plan<'_>) -> Result<Function, LinkError> {
        let (lift, memory) = (self.lift(plan)?, self.shim(plan)?.role.memory);
        let slots = lift.params.len() as u32;
        let mut function = Function::new([(1, ValType::I32)]);
        let mut code = function.instructions();
        code.call(plan.shim_export(self.of, "lift:slots")?).local_set(slots);
        for (at, param) in lift.params.iter().enumerate() {
            code.local_get(slots).local_get(at as u32);
            match param {
                ValType::I64 => &mut code,
                ValType::F32 => code.i32_reinterpret_f32().i64_extend_i32_u(),
                ValType::F64 => code.i64_reinterpret_f64(),
                _ => code.i64_extend_i32_u(),
            };
            code.i64_store(MemArg { offset: at as u64 * 8, align: 3, memory_index: memory });
        }
        match lift.flow {
            None => code.call(plan.shim_export(self.of, "lift:call")?).end(),
            Some(flow) if flow.callback.is_none() => code.call(plan.shim_export(self.of, "flow:call")?).end(),
            Some(_) => code.call(plan.shim_export(self.of, "flow:call")?).drop().i32_const(EXIT).end(),
        };
        Ok(function)
    }

    fn give(&self, plan: &Plan<'_>) -> Result<Function, LinkError> {
        let memory = self.shim(plan)?.role.memory;
        let flow = self.lift(plan)?.flow.ok_or_else(|| LinkError::shim("nothing is lifted"))?;
        let task_return = plan.program(self.of).task_return;
        let task_return = task_return.ok_or_else(|| LinkError::shim("nothing gives the result"))?;
        let mut function = Function::new([(1, ValType::I32)]);
        let mut code = function.instructions();
        code.call(plan.shim_export(self.of, "flow:slots")?).local_set(0);
        for (at, value) in flow.given.iter().enumerate() {
            let offset = at as u64 * 8;
            code.local_get(0);
            match value {
                ValType::I64 => code.i64_load(MemArg { offset, align: 3, memory_index: memory }),
                ValType::F32 => code.f32_load(MemArg { offset, align: 2, memory_index: memory }),
                ValType::F64 => code.f64_load(MemArg { offset, align: 3, memory_index: memory }),
                _ => code.i32_load(MemArg { offset, align: 2, memory_index: memory }),
            };
        }
        code.call(task_return).end();
        Ok(function)
    }
}

/// A function that calls others, one after the other.
fn calls(functions: impl IntoIterator<Item = u32>) -> Function {
    let mut function = Function::new([]);
    let mut code = function.instructions();
    for called in functions {
        code.call(called);
    }
    code.end();
    function
}

fn exit(exit: Unwinding) -> Function {
    let mut function = Function::new([]);
    function.instructions().local_get(0).i64_extend_i32_u().global_set(exit.global).throw(exit.tag).end();
    function
}

fn call(plan: &Plan<'_>, of: usize, import: u32) -> Result<Function, LinkError> {
    let (Use::Host { id } | Use::Shim { id, .. } | Use::Exit { id }) = plan.program(of).uses[import as usize] else {
        return Err(LinkError::shim("a wrapper for an import that is not WASI"));
    };
    let described = &P1_FUNCTIONS[id as usize];
    let params: Vec<ValType> = described.param_types().collect();
    let result = params.len() as u32;
    let mut function = Function::new(described.returns_errno.then_some((1, ValType::I32)));
    let mut code = function.instructions();
    if let (Some(trace), false) = (plan.trace, described.returns_errno) {
        trace_call(&mut code, id, &params, None);
        code.call(trace);
    }
    for param in 0..params.len() as u32 {
        code.local_get(param);
    }
    code.call(plan.target(of, import)?);
    if let (Some(trace), true) = (plan.trace, described.returns_errno) {
        code.local_set(result);
        trace_call(&mut code, id, &params, Some(result));
        code.call(trace);
        code.local_get(result);
    }
    code.end();
    Ok(function)
}

/// Pushes what `weir.trace` takes.
fn trace_call(code: &mut wasm_encoder::InstructionSink<'_>, id: u32, params: &[ValType], result: Option<u32>) {
    code.i32_const(id as i32);
    for slot in 0..PARAMS_MAX {
        match params.get(slot) {
            Some(ValType::I64) => code.local_get(slot as u32),
            Some(_) => code.local_get(slot as u32).i64_extend_i32_u(),
            None => code.i64_const(0),
        };
    }
    match result {
        Some(local) => code.local_get(local),
        None => code.i32_const(0),
    };
}

fn entry(plan: &Plan<'_>, of: usize, function: u32) -> Result<Function, LinkError> {
    let part = &plan.programs[of];
    let exit = plan.exit_of(of)?;
    let ty = part.role.module.function_type(function).ok_or_else(|| LinkError::shim("an entry without a type"))?;
    let target = part.maps.functions.get(function).ok_or_else(|| LinkError::shim("an entry without a function"))?;
    let mut body = Function::new([]);
    let mut code = body.instructions();
    code.i64_const(NOT_EXITED).global_set(exit.global);
    code.block(BlockType::Empty);
    code.try_table(BlockType::Empty, [Catch::One { tag: exit.tag, label: 0 }]);
    for param in 0..ty.params().len() as u32 {
        code.local_get(param);
    }
    code.call(target).return_().end().unreachable().end();
    for result in ty.results() {
        match *result {
            ParsedType::I32 => code.i32_const(0),
            ParsedType::I64 => code.i64_const(0),
            ParsedType::F32 => code.f32_const(0.0.into()),
            ParsedType::F64 => code.f64_const(0.0.into()),
            ParsedType::V128 => code.v128_const(0),
            ParsedType::Ref(reference) => {
                let mut rewriter = Rewriter::new(part);
                let heap = rewriter.heap_type(reference.heap_type());
                code.ref_null(rewriter.flat(heap)?)
            }
        };
    }
    code.end();
    Ok(body)
}

/// What a call of an import does, as a function.
fn stub(callee: Option<&Callee>) -> Function {
    let mut function = Function::new([]);
    if let Some(Callee::Inline(instructions)) = callee {
        // The parameters of a function are locals, so there is nothing to drop.
        for instruction in instructions.iter().filter(|instruction| !matches!(instruction, Instruction::Drop)) {
            function.instruction(instruction);
        }
    }
    function.instruction(&Instruction::End);
    function
}

/// The initial value of the exit code.
pub(crate) fn exit_initial() -> ConstExpr {
    ConstExpr::i64_const(NOT_EXITED)
}
