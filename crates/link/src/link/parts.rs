//! What a linked module is planned of: what becomes of each import, what linking adds, and what a pack carries.

use crate::error::LinkError;
use crate::p1::Signature;
use std::collections::BTreeMap;
use wasm_encoder::{Instruction, ValType};
use wasmparser::TypeRef;
use weir_vfs::pack::Codec;

/// `badf`, for descriptors that cannot exist because nothing was granted.
pub(super) const ERRNO_BADF: i32 = 8;
/// `nosys`, for functions that were left out.
pub(super) const ERRNO_NOSYS: i32 = 52;

/// An import of the result.
#[derive(Clone, Copy)]
pub(crate) struct PlannedImport<'a> {
    pub module: &'a str,
    pub name: &'a str,
    pub ty: PlannedType,
    pub by_program: bool,
    pub by_shim: bool,
}

/// What an import is.
#[derive(Clone, Copy)]
pub(crate) enum PlannedType {
    /// As the program has it.
    Program(TypeRef),
    /// A function of this type of the result.
    Function(u32),
}

/// What becomes of a function import of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is not WASI and stays.
    Foreign,
    /// It stays an import of the host.
    Host { id: u32 },
    /// It is served by this function of the shim.
    Shim { id: u32, function: u32 },
    /// It is a function of WASI 0.2 that this function of the shim serves in a lifted program.
    Inside { function: u32 },
    /// It is a function of WASI 0.2 that nothing serves in a lifted program, which traps there.
    Denied,
    /// It is `proc_exit`, and throws.
    Exit { id: u32 },
}

/// What becomes of a function import of the shim.
#[derive(Clone)]
pub(crate) enum Callee {
    /// A function of the result.
    Function(u32),
    /// A few instructions in place of the call, and a function that does the same where the
    /// address of the import is taken.
    Inline { instructions: Vec<Instruction<'static>>, function: Option<u32> },
    /// Another function of the shim, by its index there.
    Own(u32),
    /// What a program that waits is called back by.
    Callback,
    /// What starts the program, in the part of the shim that lifts it.
    Start,
    /// What gives the result of an asynchronous function.
    Give,
    /// The program's own allocation for the canonical ABI.
    Realloc,
}

/// What a pack carries beside program and shim.
#[derive(Clone, Copy)]
pub(crate) struct Carry<'a> {
    /// The bytes of the passive data segment.
    pub segment: &'a [u8],
    /// The codec of its chunks.
    pub codec: Codec,
    /// Whether arguments and variables are added to those of the host.
    pub entry: bool,
    /// The function that the program becomes; then the host is asked for nothing but clock and randomness.
    pub lift: Option<Lift<'a>>,
}

/// How a program is lifted to a function of the component model.
#[derive(Clone, Copy)]
pub(crate) struct Lift<'a> {
    /// The name of the core function that is exported.
    pub name: &'a str,
    /// The core values of its parameters. Its result is an address.
    pub params: &'a [ValType],
    /// Clock and randomness are constants, and nothing is imported.
    pub pinned: bool,
    /// What a function with streams needs.
    pub flow: Option<&'a Flow>,
    /// The program is a library, whose own exports stay; the one that is added prepares it.
    pub library: bool,
}

/// How a function with streams speaks with its caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    /// The name of the core function that the component model calls back, if the function is asynchronous. Otherwise
    /// its streams are those of wasi:io, and the shim serves `weir:flow` by these.
    pub callback: Option<String>,
    /// What stands behind each function of `weir:flow` that the function's type makes possible: module and name.
    pub imports: BTreeMap<&'static str, (String, String)>,
    /// The core values that are given by `task_return`.
    pub given: Vec<ValType>,
}

/// The exit code's value while the program has not exited. Codes are 32 bits wide, so none is -1.
pub(crate) const NOT_EXITED: i64 = -1;

/// A function that linking adds.
#[derive(Clone, Debug)]
pub(crate) enum Generated {
    /// `proc_exit`: leaves the code and throws.
    Exit,
    /// Stands before an import of the program: has the type that the program gives it, and
    /// reports the call if calls are traced.
    Call { import: u32, ty: u32 },
    /// Stands for an import that nothing serves, and traps.
    Denied { import: u32, ty: u32 },
    /// Stands before a function through which the host comes in, and catches exits.
    Entry { function: u32, ty: u32, name: String },
    /// The function that a lifted program is called by: leaves the parameters where the shim finds them.
    Lifted,
    /// Prepares a library, and then lets it prepare itself.
    Prepare,
    /// What the component model calls back. A call is over when its function returns, so it has nothing to do.
    Callback,
    /// Gives the result of an asynchronous function, from where the shim has left it.
    Give,
    /// Stands for an import of the shim that answers an error, where its address is taken.
    Stub { import: u32 },
}

/// The instructions that answer a call with an errno.
pub(super) fn stub(signature: &Signature, errno: i32) -> Result<Vec<Instruction<'static>>, LinkError> {
    let mut instructions = vec![Instruction::Drop; signature.params.len()];
    match signature.results[..] {
        [] => instructions.push(Instruction::Nop),
        [ValType::I32] => instructions.push(Instruction::I32Const(errno)),
        [ValType::I64] => instructions.push(Instruction::I64Const(errno.into())),
        _ => return Err(LinkError::shim("it imports a function with results that no errno can stand for")),
    }
    Ok(instructions)
}
