//! What linking does for a program that is lifted: what it asks for is answered by the shim itself, and what the shim
//! asks for is the program, the component model, or the shim again.

use super::parts::{
    Callee, ERRNO_BADF, ERRNO_NOSYS, Lift, Manner, NOT_EXITED, Part, Program, Purpose, Served, Use, stub,
};
use super::plan::Plan;
use super::shim::Shim;
use crate::contract::{LIFT, WEIR};
use crate::error::{LinkError, LinkErrorKind};
use crate::p1::{self, Signature};
use std::collections::BTreeSet;
use wasm_encoder::{BlockType, Instruction, ValType};
use wasmparser::{ExternalKind, Import};
use weir_types::entry::{self, DEFAULT, INITIALIZE, ModuleEntry, START, Series};

/// The functions of the shim that a lifted program's function begins with.
const LIFT_ROOTS: [&str; 3] = ["lift:slots", "lift:call", "lift:realloc"];
/// The same of an asynchronous one.
const FLOW_ROOTS: [&str; 4] = ["lift:slots", "flow:call", "flow:slots", "lift:realloc"];
/// The same of a library.
const LIBRARY_ROOTS: [&str; 1] = ["library:prepare"];
/// How a module answers that is called in order to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has run to its end.
    Nothing,
    /// It has run to its end, and says by a number that is not 0 that it failed.
    Failed,
    /// It may return in order to wait, and is called back.
    Waits,
    /// It waits by itself, and gives its result by a call.
    Gives,
}

/// The interface of a component's entry that a module's export is, and how it answers.
pub(crate) fn run_of(export: &str) -> Option<(&str, Answer)> {
    let export = export.strip_suffix("#run")?;
    let kinds = [("[async-lift]", Answer::Waits), ("[async-lift-stackful]", Answer::Gives), ("", Answer::Failed)];
    kinds.into_iter().find_map(|(kind, answer)| Some((export.strip_prefix(kind)?, answer)))
}

/// The export of a module that is its entry, and how it answers: what the module's component would be started by.
///
/// # Errors
/// It has none.
pub(crate) fn entry_of<'e>(exports: &[&'e str]) -> Option<(&'e str, Answer)> {
    let runs = || exports.iter().filter_map(|export| Some((*export, run_of(export)?)));
    let interfaces = runs().map(|(_, (interface, _))| interface).collect::<Vec<_>>();
    let of_component = entry::of_component(interfaces.iter().copied()).ok();
    let of_module = entry::of_module(exports.iter().copied()).ok();
    let by_interface = |interface: &str| {
        runs().find(|(_, (found, _))| *found == interface).map(|(export, (_, answer))| (export, answer))
    };
    match (of_component, of_module) {
        (Some(entry), _) if entry.series == Series::P3 => by_interface(entry.interface),
        // An adapter for 0.2 starts the program by this.
        (_, Some(ModuleEntry::Start)) => Some((START, Answer::Nothing)),
        (Some(entry), _) => by_interface(entry.interface),
        (None, Some(ModuleEntry::Default)) => Some((DEFAULT, Answer::Nothing)),
        (None, None) => None,
    }
}

/// What runs a program that returns in order to wait.
const DRIVE: &str = "p3:drive";
/// What serves `weir:flow` where streams are those of wasi:io.
const IO_ROOTS: [&str; 4] = ["io:stream_read", "io:stream_write", "io:stream_drop_readable", "io:stream_drop_writable"];
/// What the shim asks itself besides where streams are files.
const FLOW_INSIDE: [&str; 2] = ["stream_read", "stream_write"];
/// What the shim asks of a host, and of itself in a lifted program.
const LIFT_INSIDE: [&str; 7] =
    ["blob_read", "fd_read", "fd_write", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_filestat_get", "poll_oneoff"];
const CLOCK: &str = "clock_time_get";
/// `inval`, for a clock that nobody asks for.
const ERRNO_INVAL: i32 = 28;

/// The functions of the shim that everything else of it is reached from, if the program is lifted.
pub(super) fn roots(program: &Program<'_>, shim: &Shim<'_>) -> Result<BTreeSet<u32>, LinkError> {
    let manner = &program.manner;
    let begin: &[&str] = match manner.purpose {
        Purpose::Run => return Ok(BTreeSet::new()),
        Purpose::Library { .. } => &LIBRARY_ROOTS,
        Purpose::Function(Lift { flow: Some(_), .. }) => &FLOW_ROOTS,
        Purpose::Function(_) => &LIFT_ROOTS,
    };
    let asks_for_time = program.p1.iter().flatten().any(|(_, function, _)| function.name == CLOCK);
    let begin = begin.iter().chain(IO_ROOTS.iter().filter(|_| manner.streams_are_io()));
    let streams: &[&str] = if manner.flow.is_some() { &FLOW_INSIDE } else { &[] };
    let inside = LIFT_INSIDE.iter().chain(streams).copied().chain(asks_for_time.then_some(CLOCK));
    let drive = is_driven(program).then_some(DRIVE);
    let found = begin.copied().chain(drive).map(|name| (name, shim.exports.get(name).copied()));
    let mut roots = BTreeSet::new();
    for (name, function) in found.chain(inside.map(|name| (name, manner.answered_by(shim, name)))) {
        roots.insert(function.ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))?);
    }
    Ok(roots)
}

/// The export of the shim that answers an import of a component's module; nothing where it is not for the shim to answer.
fn answered_as(module: &str, name: &str, library: bool) -> Option<String> {
    let of_wasi = module.split_once('@').filter(|(interface, _)| interface.starts_with("wasi:"));
    if let Some((interface, version)) = of_wasi
        && version.starts_with("0.2.")
    {
        return Some(format!("p2:{interface}#{name}"));
    }
    // What a library waits for is between it and whoever calls it.
    if library {
        return None;
    }
    let (name, waits) = name.strip_prefix("[async-lower]").map_or((name, true), |name| (name, false));
    let built_in = name.strip_prefix('[').and_then(|name| name.split_once(']')).map(|(built_in, _)| built_in);
    if let Some(built_in) = built_in.filter(|name| name.starts_with("stream-") || name.starts_with("future-")) {
        // The number says which type of the function is meant; an end knows by itself.
        let built_in = built_in.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
        let copies = ["stream-read", "stream-write", "future-read", "future-write"].contains(&built_in);
        return Some(format!("p3:{}{built_in}", if copies && waits { "sync:" } else { "" }));
    }
    if let Some(exported) = module.strip_prefix("[export]") {
        let is_result = name == "[task-return]run" && run_of(&format!("{exported}#run")).is_some();
        return Some(if is_result { "p3:task-return".into() } else { format!("p3:export#{name}") });
    }
    if module == "$root" {
        return Some(format!("p3:root#{}", name.strip_prefix("[cancellable]").unwrap_or(name)));
    }
    let (interface, _) = of_wasi.filter(|(_, version)| version.starts_with("0.3."))?;
    Some(format!("p3:{interface}#{}{name}", if waits { "" } else { "[async-lower]" }))
}

/// What becomes of an import that is not WASI 0.1. A lifted program gets of WASI 0.2 and 0.3 what can be answered
/// inside, and what an asynchronous one has of the component model.
pub(super) fn use_of_component(
    program: &Program<'_>,
    shim: Option<&Shim<'_>>,
    import: &Import<'_>,
    ty: u32,
) -> Result<Use, LinkError> {
    if !program.manner.is_lifted() {
        return Ok(Use::Foreign);
    }
    let name = answered_as(import.module, import.name, program.manner.is_library());
    let Some(name) = name else { return Ok(Use::Foreign) };
    if name.contains(":wasi:cli/exit#exit") {
        let found = p1::find("proc_exit").ok_or_else(|| LinkError::shim("WASI has no proc_exit"))?;
        return Ok(Use::Exit { id: found.0 });
    }
    let found = shim.and_then(|shim| Some((shim, *shim.exports.get(name.as_str())?)));
    let Some((shim, function)) = found else { return Ok(Use::Denied) };
    if program.module.signature(ty).as_ref() == Some(&shim.signature(function)?) {
        return Ok(Use::Inside { function });
    }
    let message = format!("it imports `{}.{}` with a type of its own", import.module, import.name);
    Err(LinkError::new(LinkErrorKind::Lift { message }))
}

/// What a lifted program's shim would ask a host is answered by itself.
pub(super) fn inside(
    manner: &Manner<'_>,
    shim: &Shim<'_>,
    module: &str,
    name: &str,
    signature: &Signature,
) -> Result<Callee, LinkError> {
    let own = manner.answered_by(shim, name);
    if let Some(function) = own.filter(|function| shim.needed.functions.contains(function)) {
        return Ok(Callee::Own(function));
    }
    let errno = match name {
        CLOCK => ERRNO_INVAL,
        _ if module == WEIR => ERRNO_BADF,
        _ => ERRNO_NOSYS,
    };
    Ok(Callee::Inline(stub(signature, errno)?))
}

/// The functions of `weir:lift`: starting the program, and what it exited with.
pub(super) fn lift_access(program: &Program<'_>, name: &str, signature: &Signature) -> Result<Callee, LinkError> {
    let (callee, expected) = match name {
        "start" => (Callee::Start, Signature::new(&[], &[ValType::I32])),
        "callback" => (Callee::Callback, Signature::new(&[ValType::I32; 3], &[ValType::I32])),
        "realloc" => (Callee::Realloc, Signature::new(&[ValType::I32; 4], &[ValType::I32])),
        "exit_code" => {
            let code =
                program.exit.map_or(Instruction::I64Const(NOT_EXITED), |exit| Instruction::GlobalGet(exit.global));
            (Callee::Inline(vec![code]), Signature::new(&[], &[ValType::I64]))
        }
        _ => return Err(LinkError::shim(format!("it imports `{LIFT}.{name}`, which does not exist"))),
    };
    if *signature == expected {
        return Ok(callee);
    }
    Err(LinkError::shim(format!("it imports `{LIFT}.{name}` as {signature}, not as {expected}")))
}

/// The names of the functions that a program exports.
fn exported_functions<'a>(program: &Program<'a>) -> Vec<(&'a str, u32)> {
    let functions = program.module.exports.iter();
    let functions = functions.filter(|export| matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact));
    functions.map(|export| (export.name, export.index)).collect()
}

/// Whether the program is one that the shim has to drive.
fn is_driven(program: &Program<'_>) -> bool {
    let names: Vec<&str> = exported_functions(program).iter().map(|(name, _)| *name).collect();
    let driven = |(_, answer)| matches!(answer, Answer::Waits | Answer::Gives);
    matches!(program.manner.purpose, Purpose::Function(_)) && entry_of(&names).is_some_and(driven)
}

/// The function of the program by which one that returned in order to wait goes on.
fn callback_of_entry(program: &Program<'_>) -> Result<Option<u32>, LinkError> {
    if !is_driven(program) {
        return Ok(None);
    }
    let functions = exported_functions(program);
    let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
    let Some((entry, answer)) = entry_of(&names) else { return Ok(None) };
    // One that waits by itself is never called back.
    let name = format!("[callback]{entry}");
    let Some((_, index)) = functions.iter().find(|(found, _)| *found == name) else {
        if answer == Answer::Gives {
            return Ok(None);
        }
        let message = format!("its function `{entry}` has no `{name}` beside it");
        return Err(LinkError::new(LinkErrorKind::Lift { message }));
    };
    Ok(Some(*index))
}

impl<'a> Plan<'a> {
    /// The functions of `weir:flow`: imports of the component model as far as the function's type makes them possible,
    /// and for streams of wasi:io functions of the shim.
    pub(super) fn flow_access(
        &mut self,
        number: usize,
        name: &str,
        signature: &Signature,
    ) -> Result<Callee, LinkError> {
        let Served { shim, of, .. } = &self.shims[number].role;
        let of = *of;
        let manner = &self.programs[of].role.manner;
        let flow = manner.flow;
        let Some((module, import)) = flow.and_then(|flow| flow.imports.get(name)) else {
            let io = manner.streams_are_io();
            let own = shim.exports.get(format!("io:{name}").as_str()).filter(|_| io);
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
            return Ok(Callee::Inline(instructions));
        };
        if name == "task_return" {
            let given = flow.map_or(&[][..], |flow| &flow.given);
            let ty = self.types.intern(&Signature::new(given, &[]));
            self.programs[of].role.task_return = Some(self.add_import(module, import, ty, true));
            return Ok(Callee::Give);
        }
        let ty = self.types.intern(signature);
        Ok(Callee::Function(self.add_import(module, import, ty, true)))
    }

    /// Runs the program from its beginning to its end, and says by a number that is not 0 that it failed.
    fn start_code(&self, of: usize) -> Result<Vec<Instruction<'static>>, LinkError> {
        let program = self.program(of);
        let functions = exported_functions(program);
        let find = |wanted: &str| functions.iter().find(|(name, _)| *name == wanted).map(|(_, index)| *index);
        let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
        let found = entry_of(&names).and_then(|(name, answer)| Some((name, answer, find(name)?)));
        let Some((name, answer, entry)) = found else {
            let message = "it has no function `_start`, so it is a library: lift it without `export`".into();
            return Err(LinkError::new(LinkErrorKind::Lift { message }));
        };
        let ty = program.module.functions.get(entry as usize).and_then(|ty| program.module.signature(*ty));
        let expected: &[ValType] = if matches!(answer, Answer::Failed | Answer::Waits) { &[ValType::I32] } else { &[] };
        if ty != Some(Signature::new(&[], expected)) {
            let message = format!("its function `{name}` has another type than the start of a command");
            return Err(LinkError::new(LinkErrorKind::Lift { message }));
        }
        let mut code = vec![Instruction::Call(self.entered(of, entry)?)];
        match answer {
            Answer::Nothing => code.push(Instruction::I32Const(0)),
            Answer::Failed => {}
            Answer::Waits => code.push(Instruction::Call(self.shim_export(of, DRIVE)?)),
            // What it gave is asked for as if it had returned to the end.
            Answer::Gives => code.extend([Instruction::I32Const(0), Instruction::Call(self.shim_export(of, DRIVE)?)]),
        }
        let initialize = find(INITIALIZE).filter(|_| name != START);
        // What comes before: the first of them last. None goes on after the program has ended itself.
        for function in [initialize, program.module.start].into_iter().flatten() {
            code = self.and_unless_exited(of, self.entered(of, function)?, code);
        }
        Ok(code)
    }

    /// A call of `first`, and `then`, which leaves a number, if the program has not ended itself.
    fn and_unless_exited(&self, of: usize, first: u32, then: Vec<Instruction<'static>>) -> Vec<Instruction<'static>> {
        let mut code = vec![Instruction::Call(first)];
        let Some(exit) = self.program(of).exit else {
            code.extend(then);
            return code;
        };
        code.extend([Instruction::GlobalGet(exit.global), Instruction::I64Const(NOT_EXITED), Instruction::I64Eq]);
        code.push(Instruction::If(BlockType::Result(ValType::I32)));
        code.extend(then);
        code.extend([Instruction::Else, Instruction::I32Const(0), Instruction::End]);
        code
    }

    /// The function of the result that a library begins with, if it has one.
    pub(super) fn initialize_function(&self, of: usize) -> Option<u32> {
        let Part { role, maps } = &self.programs[of];
        let found = role.module.exports.iter().find(|export| export.name == INITIALIZE)?;
        maps.functions.get(found.index)
    }

    /// The function of the result by which the program gives memory for what it is given.
    fn realloc_function(&self, of: usize) -> Option<u32> {
        let Part { role: Program { module, .. }, maps } = &self.programs[of];
        let realloc = module.exports.iter().find(|export| export.name == "cabi_realloc");
        let realloc = realloc.filter(|export| export.kind == ExternalKind::Func)?;
        let signature = module.signature(*module.functions.get(realloc.index as usize)?)?;
        let right = signature == Signature::new(&[ValType::I32; 4], &[ValType::I32]);
        if right { maps.functions.get(realloc.index) } else { None }
    }

    /// Gives what the shim calls by a name of its own the functions that stand for it.
    pub(super) fn settle(&mut self, of: usize) -> Result<(), LinkError> {
        let program = self.program(of);
        let Some(number) = program.shim.filter(|_| program.manner.is_lifted()) else { return Ok(()) };
        let start = match program.manner.purpose {
            Purpose::Function(_) => Some(self.start_code(of)?),
            _ => None,
        };
        let callback = callback_of_entry(program)?.map(|index| self.entered(of, index)).transpose()?;
        let (realloc, give) = (self.realloc_function(of), program.give);
        let Part { role, maps } = &mut self.shims[number];
        for (import, callee) in &mut role.callees {
            *callee = match (&*callee, &start) {
                (Callee::Start, Some(start)) => Callee::Inline(start.clone()),
                (Callee::Callback, _) => match callback {
                    Some(callback) => Callee::Function(callback),
                    None => Callee::Inline(vec![Instruction::Unreachable]),
                },
                (Callee::Realloc, _) => {
                    let message = || "it asks for lists, and has no `cabi_realloc` for them".into();
                    let missing = || LinkError::new(LinkErrorKind::Lift { message: message() });
                    Callee::Function(realloc.ok_or_else(missing)?)
                }
                (Callee::Give, _) => Callee::Function(give.ok_or_else(|| LinkError::shim("nothing gives the result"))?),
                _ => continue,
            };
            if let Callee::Function(index) = callee {
                maps.functions.set(*import, *index);
            }
        }
        Ok(())
    }
}
