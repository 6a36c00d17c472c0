//! What linking does for a program that is lifted: what it asks for is answered by the shim itself, and what the shim
//! asks for is the program, the component model, or the shim again.

use super::{Callee, ERRNO_BADF, ERRNO_NOSYS, Plan, Use, stub};
use crate::error::{LinkError, LinkErrorKind};
use crate::link::generated::NOT_EXITED;
use crate::link::shim::Shim;
use crate::p1::{self, Signature};
use crate::{LIFT, WEIR};
use std::collections::{BTreeMap, BTreeSet};
use wasm_encoder::{BlockType, Instruction, ValType};
use wasmparser::ExternalKind;
use weir_types::entry::{self, DEFAULT, INITIALIZE, ModuleEntry, START, Series};

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

/// The functions of the shim that a lifted program's function begins with.
const LIFT_ROOTS: [&str; 3] = ["lift:slots", "lift:call", "lift:realloc"];
/// The same of an asynchronous one.
const FLOW_ROOTS: [&str; 4] = ["lift:slots", "flow:call", "flow:slots", "lift:realloc"];
/// The same of a library.
const LIBRARY_ROOTS: [&str; 1] = ["library:prepare"];
/// Whether an export is the start of a command: for WASI 0.1, or for 0.2 in a module that is made for that itself.
pub(crate) fn is_start(name: &str) -> bool {
    let of_interface = |interface| entry::of_component([interface]).is_ok_and(|entry| entry.series == Series::P2);
    name == START || name.strip_suffix("#run").is_some_and(of_interface)
}

/// What serves `weir:flow` where streams are those of wasi:io.
const IO_ROOTS: [&str; 4] = ["io:stream_read", "io:stream_write", "io:stream_drop_readable", "io:stream_drop_writable"];
/// What the shim asks itself besides where streams are files.
const FLOW_INSIDE: [&str; 2] = ["stream_read", "stream_write"];
/// What the shim asks of a host, and of itself in a lifted program.
const LIFT_INSIDE: [&str; 7] =
    ["blob_read", "fd_read", "fd_write", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_filestat_get", "poll_oneoff"];
pub(super) const CLOCK: &str = "clock_time_get";
/// `inval`, for a clock that nobody asks for.
const ERRNO_INVAL: i32 = 28;

/// The functions of the shim that everything else of it is reached from.
pub(super) fn roots(shim: &Shim<'_>, lift: &Lift<'_>, asks_for_time: bool) -> Result<BTreeSet<u32>, LinkError> {
    let mut roots = BTreeSet::new();
    let io = lift.flow.is_some_and(|flow| flow.callback.is_none());
    let flow = lift.flow.is_some();
    let begin: &[&str] = match lift {
        Lift { library: true, .. } => &LIBRARY_ROOTS,
        Lift { flow: Some(_), .. } => &FLOW_ROOTS,
        _ => &LIFT_ROOTS,
    };
    let begin: Vec<&str> = begin.iter().chain(IO_ROOTS.iter().filter(|_| io)).copied().collect();
    let streams: &[&str] = if flow { &FLOW_INSIDE } else { &[] };
    let inside = LIFT_INSIDE.iter().chain(streams).copied().chain(asks_for_time.then_some(CLOCK));
    let found = begin.iter().map(|name| (*name, shim.exports.get(*name).copied()));
    for (name, function) in found.chain(inside.map(|name| (name, answered_by(lift, shim, name)))) {
        roots.insert(function.ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))?);
    }
    Ok(roots)
}

/// The function of the shim that answers what it would ask a host.
fn answered_by(lift: &Lift<'_>, shim: &Shim<'_>, name: &str) -> Option<u32> {
    let own = |kind: &str| shim.exports.get(format!("{kind}:{name}").as_str()).copied();
    let of_flow = lift.flow.and_then(|_| own("flow"));
    let of_library = if lift.library { own("library") } else { None };
    of_flow.or(of_library).or_else(|| own("lift"))
}

impl<'a> Plan<'a> {
    /// How the program is lifted, if it is.
    pub fn lift(&self) -> Option<Lift<'a>> {
        self.carry.and_then(|carry| carry.lift)
    }

    /// What a function with streams needs, if the program becomes one.
    pub fn flow(&self) -> Option<&'a Flow> {
        self.lift().and_then(|lift| lift.flow)
    }

    /// What becomes of an import that is not WASI 0.1. A lifted program gets of WASI 0.2 what can be answered inside.
    pub(super) fn use_of_p2(&self, import: &wasmparser::Import<'_>, ty: u32) -> Result<Use, LinkError> {
        let Some((interface, version)) = import.module.split_once('@') else { return Ok(Use::Foreign) };
        if self.lift().is_none() || !interface.starts_with("wasi:") || !version.starts_with("0.2.") {
            return Ok(Use::Foreign);
        }
        if interface == "wasi:cli/exit" && ["exit", "exit-with-code"].contains(&import.name) {
            let found = p1::find("proc_exit").ok_or_else(|| LinkError::shim("WASI has no proc_exit"))?;
            return Ok(Use::Exit { id: found.0 });
        }
        let Some(shim) = &self.shim else { return Ok(Use::Denied) };
        let Some(function) = shim.exports.get(format!("p2:{interface}#{}", import.name).as_str()) else {
            return Ok(Use::Denied);
        };
        if self.program.signature(ty).as_ref() == Some(&shim.signature(*function)?) {
            return Ok(Use::Inside { function: *function });
        }
        let message = format!("it imports `{}.{}` with a type of its own", import.module, import.name);
        Err(LinkError::new(LinkErrorKind::Lift { message }))
    }

    /// What a lifted program's shim would ask a host is answered by itself.
    pub(super) fn inside(&mut self, module: &str, name: &str, signature: &Signature) -> Result<Callee, LinkError> {
        let shim = self.shim.as_ref().ok_or_else(|| LinkError::shim("nothing is lifted without a shim"))?;
        let own = self.lift().and_then(|lift| answered_by(&lift, shim, name));
        if let Some(function) = own.filter(|function| shim.needed.functions.contains(function)) {
            return Ok(Callee::Own(function));
        }
        let errno = match name {
            CLOCK => ERRNO_INVAL,
            _ if module == WEIR => ERRNO_BADF,
            _ => ERRNO_NOSYS,
        };
        Ok(Callee::Inline { instructions: stub(signature, errno)?, function: None })
    }

    /// The functions of `weir:flow`: imports of the component model as far as the function's type makes them possible,
    /// and for streams of wasi:io functions of the shim.
    pub(super) fn flow_access(&mut self, name: &str, signature: &Signature) -> Result<Callee, LinkError> {
        let Some((module, import)) = self.flow().and_then(|flow| flow.imports.get(name)) else {
            let io = self.flow().is_some_and(|flow| flow.callback.is_none());
            let own =
                self.shim.as_ref().filter(|_| io).and_then(|shim| shim.exports.get(format!("io:{name}").as_str()));
            if let Some(own) = own {
                return Ok(Callee::Own(*own));
            }
            let instructions = match name {
                // Streams of wasi:io wait by themselves, so there is no set of what is waited for: none has a number,
                // and nothing is put into it.
                "set_new" | "set_drop" | "join" if io => stub(signature, 0)?,
                // Nothing has this type in the function, so that nothing can be called with it.
                _ => vec![Instruction::Unreachable],
            };
            return Ok(Callee::Inline { instructions, function: None });
        };
        if name == "task_return" {
            let given = self.flow().map_or(&[][..], |flow| &flow.given);
            let ty = self.types.intern(&Signature::new(given, &[]));
            self.task_return = Some(self.add_import(module, import, ty, true));
            return Ok(Callee::Give);
        }
        let ty = self.types.intern(signature);
        Ok(Callee::Function(self.add_import(module, import, ty, true)))
    }

    /// The functions of `weir:lift`: starting the program, and what it exited with.
    pub(super) fn lift_access(&self, name: &str, signature: &Signature) -> Result<Callee, LinkError> {
        let exits = self.uses.iter().any(|used| matches!(used, Use::Exit { .. }));
        let (callee, expected) = match name {
            "start" => (Callee::Start, Signature::new(&[], &[ValType::I32])),
            "realloc" => (Callee::Realloc, Signature::new(&[ValType::I32; 4], &[ValType::I32])),
            "exit_code" => {
                let code = if exits { Instruction::GlobalGet(self.exit_global()) } else { Instruction::I64Const(-1) };
                (Callee::Inline { instructions: vec![code], function: None }, Signature::new(&[], &[ValType::I64]))
            }
            _ => return Err(LinkError::shim(format!("it imports `{LIFT}.{name}`, which does not exist"))),
        };
        if *signature == expected {
            return Ok(callee);
        }
        Err(LinkError::shim(format!("it imports `{LIFT}.{name}` as {signature}, not as {expected}")))
    }

    /// Runs the program from its beginning to its end, and says by a number that is not 0 that it failed.
    pub(super) fn start_code(&self) -> Result<Vec<Instruction<'static>>, LinkError> {
        let functions = self.program.exports.iter();
        let functions = functions.filter(|export| matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact));
        let functions: Vec<(&str, u32)> = functions.map(|export| (export.name, export.index)).collect();
        let find = |wanted: &dyn Fn(&str) -> bool| functions.iter().find(|(name, _)| wanted(name)).copied();
        let entry = match entry::of_module(functions.iter().map(|(name, _)| *name)) {
            Ok(ModuleEntry::Start) => find(&|name| name == START),
            Ok(ModuleEntry::Default) => find(&|name| name == DEFAULT),
            Err(_) => find(&is_start),
        };
        let Some((name, entry)) = entry else {
            let message = "it has no function `_start`, so it is a library: lift it without `export`".into();
            return Err(LinkError::new(LinkErrorKind::Lift { message }));
        };
        let initialize = find(&|name| name == INITIALIZE).filter(|_| name != START).map(|(_, index)| index);
        let ty = self.program.functions.get(entry as usize).and_then(|ty| self.program.signature(*ty));
        let fails = matches!(ty.as_ref().map(|ty| ty.results.as_slice()), Some([ValType::I32]));
        let of_p2 = name != START && name != DEFAULT;
        let expected: &[ValType] = if of_p2 { &[ValType::I32] } else { &[] };
        if ty != Some(Signature::new(&[], expected)) {
            let message = format!("its function `{name}` has another type than the start of a command");
            return Err(LinkError::new(LinkErrorKind::Lift { message }));
        }
        let mut code = vec![Instruction::Call(self.entered(entry)?)];
        code.extend((!fails).then_some(Instruction::I32Const(0)));
        // What comes before: the first of them last. None goes on after the program has ended itself.
        for function in [initialize, self.program.start].into_iter().flatten() {
            code = self.and_unless_exited(self.entered(function)?, code);
        }
        Ok(code)
    }

    /// The function of the result that stands for one of the program's through which the shim comes in.
    fn entered(&self, function: u32) -> Result<u32, LinkError> {
        let index = self.entries.get(&function).copied().or_else(|| self.functions.get(function));
        index.ok_or_else(|| LinkError::invalid("its start does not exist", 0))
    }

    /// A call of `first`, and `then`, which leaves a number, if the program has not ended itself.
    fn and_unless_exited(&self, first: u32, then: Vec<Instruction<'static>>) -> Vec<Instruction<'static>> {
        let mut code = vec![Instruction::Call(first)];
        if self.exit_function.is_none() {
            code.extend(then);
            return code;
        }
        let not_exited =
            [Instruction::GlobalGet(self.exit_global()), Instruction::I64Const(NOT_EXITED), Instruction::I64Eq];
        code.extend(not_exited);
        code.push(Instruction::If(BlockType::Result(ValType::I32)));
        code.extend(then);
        code.extend([Instruction::Else, Instruction::I32Const(0), Instruction::End]);
        code
    }

    /// The function of the result that a library begins with, if it has one.
    pub(crate) fn initialize_function(&self) -> Option<u32> {
        let found = self.program.exports.iter().find(|export| export.name == INITIALIZE)?;
        self.functions.get(found.index)
    }

    /// The function of the result by which the program gives memory for what it is given.
    pub(super) fn realloc_function(&self) -> Option<u32> {
        let realloc = self.program.exports.iter().find(|export| export.name == "cabi_realloc");
        let realloc = realloc.filter(|export| export.kind == ExternalKind::Func)?;
        let signature = self.program.signature(*self.program.functions.get(realloc.index as usize)?)?;
        let right = signature == Signature::new(&[ValType::I32; 4], &[ValType::I32]);
        if right { self.functions.get(realloc.index) } else { None }
    }

    /// Gives what the shim calls by a name of its own the functions that stand for it.
    pub(super) fn settle_lifted(&mut self, give: Option<u32>) -> Result<(), LinkError> {
        let Some(lift) = self.lift() else { return Ok(()) };
        if !lift.library {
            let start = self.start_code()?;
            for callee in self.shim_imports.values_mut().filter(|callee| matches!(callee, Callee::Start)) {
                *callee = Callee::Inline { instructions: start.clone(), function: None };
            }
        }
        let realloc = self.realloc_function();
        for callee in self.shim_imports.values_mut().filter(|callee| matches!(callee, Callee::Realloc)) {
            let missing =
                || LinkErrorKind::Lift { message: "it asks for lists, and has no `cabi_realloc` for them".into() };
            *callee = Callee::Function(realloc.ok_or_else(|| LinkError::new(missing()))?);
        }
        for callee in self.shim_imports.values_mut().filter(|callee| matches!(callee, Callee::Give)) {
            *callee = Callee::Function(give.ok_or_else(|| LinkError::shim("nothing gives the result"))?);
        }
        Ok(())
    }
}
