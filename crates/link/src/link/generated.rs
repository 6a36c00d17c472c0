//! The functions that linking itself adds: tracing wrappers, adapters, the throwing `proc_exit`,
//! entries that catch an exit, and stubs.

use super::parts::{Callee, Generated, NOT_EXITED, Use};
use super::plan::Plan;
use crate::error::LinkError;
use crate::p1::{P1_FUNCTIONS, PARAMS_MAX, Signature};
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Catch, ConstExpr, Function, Instruction, MemArg, ValType};
use wasmparser::ValType as ParsedType;

/// What an asynchronous function answers the component model when it is over.
const EXIT: i32 = 0;

impl Generated {
    /// The type of the function.
    pub fn ty(&self, plan: &mut Plan<'_>) -> Result<u32, LinkError> {
        match self {
            Generated::Exit => Ok(plan.types.intern(&Signature::new(&[ValType::I32], &[]))),
            Generated::Call { ty, .. } | Generated::Entry { ty, .. } | Generated::Denied { ty, .. } => Ok(*ty),
            Generated::Lifted => {
                let params = plan.lift().map_or(&[][..], |lift| lift.params);
                Ok(plan.types.intern(&Signature::new(params, &[ValType::I32])))
            }
            Generated::Callback => Ok(plan.types.intern(&Signature::new(&[ValType::I32; 3], &[ValType::I32]))),
            Generated::Give | Generated::Prepare => Ok(plan.types.intern(&Signature::new(&[], &[]))),
            Generated::Stub { import } => {
                let shim = plan.shim.as_ref().ok_or_else(|| LinkError::shim("a stub without a shim"))?;
                let signature = shim.signature(*import)?;
                Ok(plan.types.intern(&signature))
            }
        }
    }

    /// The name in the name section.
    pub fn name(&self, plan: &Plan<'_>) -> String {
        let used = |import: u32| match plan.uses[import as usize] {
            Use::Host { id } | Use::Shim { id, .. } | Use::Exit { id } => P1_FUNCTIONS[id as usize].name,
            Use::Foreign | Use::Inside { .. } | Use::Denied => "import",
        };
        match self {
            Generated::Exit => "weir:exit".into(),
            Generated::Call { import, .. } if plan.trace.is_some() => format!("weir:trace {}", used(*import)),
            Generated::Call { import, .. } => format!("weir:adapter {}", used(*import)),
            Generated::Denied { import, .. } => format!("weir:denied {import}"),
            Generated::Entry { name, .. } => format!("weir:entry {name}"),
            Generated::Lifted => "weir:lifted".into(),
            Generated::Callback => "weir:callback".into(),
            Generated::Give => "weir:give".into(),
            Generated::Prepare => "weir:prepare".into(),
            Generated::Stub { .. } => "weir:stub".into(),
        }
    }

    /// The code.
    pub fn body(&self, plan: &Plan<'_>) -> Result<Function, LinkError> {
        match self {
            Generated::Exit => Ok(exit(plan)),
            Generated::Call { import, .. } => call(plan, *import),
            Generated::Denied { .. } => {
                let mut function = Function::new([]);
                function.instructions().unreachable().end();
                Ok(function)
            }
            Generated::Entry { function, .. } => entry(plan, *function),
            Generated::Lifted => lifted(plan),
            Generated::Callback => {
                let mut function = Function::new([]);
                function.instructions().i32_const(EXIT).end();
                Ok(function)
            }
            Generated::Give => give(plan),
            Generated::Prepare => {
                let mut function = Function::new([]);
                let mut code = function.instructions();
                code.call(plan.shim_export("library:prepare")?);
                if let Some(own) = plan.initialize_function() {
                    code.call(own);
                }
                code.end();
                Ok(function)
            }
            Generated::Stub { import } => stub(plan, *import),
        }
    }
}

/// Core values of any type as eight bytes each: what the shim makes values of again.
fn lifted(plan: &Plan<'_>) -> Result<Function, LinkError> {
    let (Some(lift), Some(memory)) = (plan.lift(), plan.report.shim_memory) else {
        return Err(LinkError::shim("nothing is lifted"));
    };
    let slots = lift.params.len() as u32;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    code.call(plan.shim_export("lift:slots")?).local_set(slots);
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
    match plan.flow() {
        None => code.call(plan.shim_export("lift:call")?).end(),
        Some(flow) if flow.callback.is_none() => code.call(plan.shim_export("flow:call")?).end(),
        Some(_) => code.call(plan.shim_export("flow:call")?).drop().i32_const(EXIT).end(),
    };
    Ok(function)
}

fn give(plan: &Plan<'_>) -> Result<Function, LinkError> {
    let (Some(flow), Some(memory)) = (plan.flow(), plan.report.shim_memory) else {
        return Err(LinkError::shim("nothing is lifted"));
    };
    let task_return = plan.task_return.ok_or_else(|| LinkError::shim("nothing gives the result"))?;
    let mut function = Function::new([(1, ValType::I32)]);
    let mut code = function.instructions();
    code.call(plan.shim_export("flow:slots")?).local_set(0);
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

fn exit(plan: &Plan<'_>) -> Function {
    let mut function = Function::new([]);
    function.instructions().local_get(0).i64_extend_i32_u().global_set(plan.exit_global()).throw(plan.exit_tag()).end();
    function
}

fn call(plan: &Plan<'_>, import: u32) -> Result<Function, LinkError> {
    let (Use::Host { id } | Use::Shim { id, .. } | Use::Exit { id }) = plan.uses[import as usize] else {
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
    code.call(plan.target(import)?);
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

fn entry(plan: &Plan<'_>, function: u32) -> Result<Function, LinkError> {
    let ty = plan.program.function_type(function).ok_or_else(|| LinkError::shim("an entry without a type"))?;
    let target = plan.functions.get(function).ok_or_else(|| LinkError::shim("an entry without a function"))?;
    let mut body = Function::new([]);
    let mut code = body.instructions();
    code.i64_const(NOT_EXITED).global_set(plan.exit_global());
    code.block(BlockType::Empty);
    code.try_table(BlockType::Empty, [Catch::One { tag: plan.exit_tag(), label: 0 }]);
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
                let heap = RoundtripReencoder.heap_type(reference.heap_type());
                code.ref_null(heap.map_err(|error| LinkError::invalid(error.to_string(), 0))?)
            }
        };
    }
    code.end();
    Ok(body)
}

fn stub(plan: &Plan<'_>, import: u32) -> Result<Function, LinkError> {
    let mut function = Function::new([]);
    if let Some(Callee::Inline { instructions, .. }) = plan.shim_imports.get(&import) {
        // The parameters of a function are locals, so there is nothing to drop.
        for instruction in instructions.iter().filter(|instruction| !matches!(instruction, Instruction::Drop)) {
            function.instruction(instruction);
        }
    }
    function.instruction(&Instruction::End);
    Ok(function)
}

/// The initial value of the exit code.
pub(crate) fn exit_initial() -> ConstExpr {
    ConstExpr::i64_const(NOT_EXITED)
}
