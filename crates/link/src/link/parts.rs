//! What a linked module is planned of: the parts, what becomes of each import, what linking adds, and what a program
//! carries.

use super::shim::Shim;
use crate::error::LinkError;
use crate::index::Maps;
use crate::module::Module;
use crate::p1::{P1Function, Signature};
use std::collections::BTreeMap;
use wasm_encoder::{Instruction, ValType};
use wasmparser::TypeRef;
use weir_types::entry::INITIALIZE;
use weir_vfs::pack::Codec;

/// `badf`, for descriptors that cannot exist because nothing was granted.
pub(super) const ERRNO_BADF: i32 = 8;
/// `nosys`, for functions that were left out.
pub(super) const ERRNO_NOSYS: i32 = 52;
/// The exit code's value while the program has not exited. Codes are 32 bits wide, so none is -1.
pub(crate) const NOT_EXITED: i64 = -1;

/// A module that becomes a part of the result, and where everything of it will be.
pub(crate) struct Part<R> {
    pub role: R,
    pub maps: Maps,
}

/// What a part is there for.
pub(crate) trait Role {
    /// What stands in the place of calls of an imported function.
    fn callee(&self, _: u32) -> Option<&Callee> {
        None
    }

    /// The error for something that is not there, at a byte of the module.
    fn missing(&self, what: &'static str, index: u32, count: u32, offset: usize) -> LinkError;

    /// An error of the module as one of linking.
    fn error(&self, error: LinkError) -> LinkError;
}

/// A program that is to be linked.
pub(crate) struct Input<'a> {
    /// What stands before the names of its exports, so that several programs may export the same.
    pub label: &'a str,
    pub module: Module<'a>,
    /// What its imports are of WASI.
    pub p1: P1Imports,
    /// Its shim; none if it has no use for one.
    pub shim: Option<Shim<'a>>,
    pub carry: Option<Carry<'a>>,
}

/// The WASI functions among a program's function imports.
pub(crate) type P1Imports = Vec<Option<(u32, &'static P1Function, bool)>>;

/// A part that is a program.
pub(crate) struct Program<'a> {
    pub label: &'a str,
    pub module: Module<'a>,
    pub p1: P1Imports,
    pub carry: Option<Carry<'a>>,
    pub manner: Manner<'a>,
    /// Which of the shims is its own.
    pub shim: Option<usize>,
    pub uses: Vec<Use>,
    /// The new index of each function import that stays one; of another, that of the next one that does.
    pub kept: Vec<u32>,
    /// Whether it gets an empty memory because it has none.
    pub memory_added: bool,
    /// The memory that its shim reads and writes, in the result.
    pub memory: u32,
    /// The data segment that it carries, in the result.
    pub carried: u32,
    /// What its exits are made of, if it has any.
    pub exit: Option<Unwinding>,
    /// The exported functions that have a wrapper, and the wrapper.
    pub entries: BTreeMap<u32, u32>,
    /// The function that a lifted program is called by.
    pub lifted: Option<u32>,
    /// What the component model calls back.
    pub callback: Option<u32>,
    /// What gives the result of an asynchronous function.
    pub give: Option<u32>,
    /// The import by which an asynchronous function gives what it gives.
    pub task_return: Option<u32>,
}

impl Role for Program<'_> {
    fn missing(&self, what: &'static str, index: u32, count: u32, offset: usize) -> LinkError {
        LinkError::out_of_bounds(what, index, count, offset)
    }

    fn error(&self, error: LinkError) -> LinkError {
        error
    }
}

impl Program<'_> {
    /// Whether an export stays: a function made of a command is that and nothing else.
    pub fn stays(&self, export: &str) -> bool {
        match self.manner.purpose {
            Purpose::Run => true,
            Purpose::Library { .. } => export != INITIALIZE,
            Purpose::Function(_) => false,
        }
    }

    /// Its start function, as far as it is not a part of each call: of a function, only then is there what the program
    /// asks for.
    pub fn start(&self) -> Option<u32> {
        self.module.start.filter(|_| !matches!(self.manner.purpose, Purpose::Function(_)))
    }

    /// The type of one of its functions in the result.
    pub fn type_of(&self, maps: &Maps, function: u32) -> Option<u32> {
        maps.types.get(*self.module.functions.get(function as usize)?)
    }
}

/// How a program that exits is ended: the function that throws, what it throws, and where the code is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwinding {
    pub function: u32,
    pub tag: u32,
    pub global: u32,
}

/// A part that is the shim of a program.
pub(crate) struct Served<'a> {
    pub shim: Shim<'a>,
    /// Which of the programs it serves.
    pub of: usize,
    /// Its memory in the result.
    pub memory: u32,
    /// What becomes of the imports that are needed.
    pub callees: BTreeMap<u32, Callee>,
}

impl Role for Served<'_> {
    fn callee(&self, import: u32) -> Option<&Callee> {
        self.callees.get(&import)
    }

    fn missing(&self, what: &'static str, index: u32, _: u32, _: usize) -> LinkError {
        LinkError::shim(format!("{what} {index} was not kept"))
    }

    fn error(&self, error: LinkError) -> LinkError {
        super::shim::internal(error)
    }
}

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
    /// As this program has it.
    Program(usize, TypeRef),
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
    /// A few instructions in place of the call. Where the address of the import is taken, a function does the same.
    Inline(Vec<Instruction<'static>>),
    /// Another function of the shim, by its index there.
    Own(u32),
    /// The function that ends the program by throwing.
    Exit,
    /// What a program that waits is called back by.
    Callback,
    /// What starts the program, in the part of the shim that lifts it.
    Start,
    /// What gives the result of an asynchronous function.
    Give,
    /// The program's own allocation for the canonical ABI.
    Realloc,
}

/// What a program carries beside its shim.
#[derive(Clone, Copy)]
pub(crate) struct Carry<'a> {
    /// The bytes of the passive data segment.
    pub segment: &'a [u8],
    /// The codec of its chunks.
    pub codec: Codec,
    /// Whether arguments and variables are added to those of the host.
    pub entry: bool,
    /// What the program becomes.
    pub purpose: Purpose<'a>,
}

/// What a program becomes. If it is lifted, the host is asked for nothing but clock and randomness.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// A program that a host runs.
    Run,
    /// A function of the component model.
    Function(Lift<'a>),
    /// A library, whose own exports stay; the one that is added prepares it.
    Library {
        /// Clock and randomness are constants, and nothing is imported.
        pinned: bool,
    },
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

/// What a purpose means for linking, asked once.
pub(crate) struct Manner<'a> {
    pub purpose: Purpose<'a>,
    pub flow: Option<&'a Flow>,
    /// Clock and randomness are constants.
    pub pinned: bool,
    /// Beginnings of the names by which the shim serves what the program imports of WASI 0.1: the first that it has
    /// counts.
    pub serves: Vec<&'static str>,
    /// The same for what the shim would ask a host; where there is none, it does.
    pub answers: Vec<&'static str>,
}

/// The beginning of the names of what serves the older WASI 0.0 alone.
pub(super) const OLD: &str = "unstable:";

impl<'a> Manner<'a> {
    /// What a program that carries this is linked for.
    pub fn of(carry: Option<&Carry<'a>>) -> Manner<'a> {
        let purpose = carry.map_or(Purpose::Run, |carry| carry.purpose);
        let (flow, pinned) = match purpose {
            Purpose::Run => (None, false),
            Purpose::Library { pinned } => (None, pinned),
            Purpose::Function(lift) => (lift.flow, lift.pinned),
        };
        let lifted = !matches!(purpose, Purpose::Run);
        let chosen = |all: &[(&'static str, bool)]| {
            all.iter().filter(|(_, applies)| *applies).map(|(kind, _)| *kind).collect::<Vec<_>>()
        };
        let entry = carry.is_some_and(|carry| carry.entry);
        let serves = [("stream:", flow.is_some()), ("entry:", entry), (OLD, true), ("", true), ("lift:", lifted)];
        let library = matches!(purpose, Purpose::Library { .. });
        let answers = [("flow:", flow.is_some()), ("library:", library), ("lift:", lifted)];
        Manner { purpose, flow, pinned, serves: chosen(&serves), answers: chosen(&answers) }
    }

    /// Whether the shim is the program's host.
    pub fn is_lifted(&self) -> bool {
        !matches!(self.purpose, Purpose::Run)
    }

    /// Whether whoever calls it does not expect it to end, or to be started.
    pub fn is_library(&self) -> bool {
        matches!(self.purpose, Purpose::Library { .. })
    }

    /// Whether its streams are those of wasi:io, which wait by themselves.
    pub fn streams_are_io(&self) -> bool {
        self.flow.is_some_and(|flow| flow.callback.is_none())
    }

    /// The function of the shim that serves an import of WASI 0.1.
    pub fn served_by(&self, shim: &Shim<'_>, name: &str, old: bool) -> Option<u32> {
        let kinds = self.serves.iter().filter(|kind| **kind != OLD || old);
        kinds.into_iter().find_map(|kind| shim.exports.get(format!("{kind}{name}").as_str()).copied())
    }

    /// The function of the shim that answers what it would ask a host.
    pub fn answered_by(&self, shim: &Shim<'_>, name: &str) -> Option<u32> {
        self.answers.iter().find_map(|kind| shim.exports.get(format!("{kind}{name}").as_str()).copied())
    }
}

/// A function that linking adds.
#[derive(Clone, Debug)]
pub(crate) struct Generated {
    /// The program that it is for.
    pub of: usize,
    pub what: What,
}

/// What a function that linking adds is.
#[derive(Clone, Debug)]
pub(crate) enum What {
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
    /// Starts several programs, one after the other.
    Begin,
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
