//! Making the plan, step by step.

use super::lifting;
use super::options::{Exit, LinkOptions, LinkReport, Unwind};
use super::parts::{Callee, Carry, ERRNO_BADF, ERRNO_NOSYS, Generated, PlannedImport, PlannedType, Use, stub};
use super::plan::{Plan, TypePool};
use super::shim::Shim;
use crate::code::FunctionMap;
use crate::contract::{CODEC, CONTROL, FLOW, HOST_DIRECTORIES, LIFT, PACK, PROGRAM, RESERVED, WEIR};
use crate::error::{LinkError, LinkErrorKind, MemoryProblem};
use crate::module::{Module, signature_of};
use crate::p1::{self, P1Function, Signature};
use std::collections::{BTreeMap, BTreeSet};
use wasm_encoder::{Instruction, MemArg, ValType};
use wasmparser::{ExternalKind, TypeRef};
use weir_vfs::pack::Codec;

/// The WASI functions among a program's function imports.
pub(crate) type P1Imports = Vec<Option<(u32, &'static P1Function, bool)>>;

/// Finds the WASI functions among the imports and holds their types against WASI's.
pub(crate) fn p1_imports(program: &Module<'_>) -> Result<P1Imports, LinkError> {
    for (offset, import) in &program.imports {
        let (module, name) = (import.module.to_owned(), import.name.to_owned());
        if RESERVED.contains(&import.module) {
            return Err(LinkError::at(LinkErrorKind::ReservedModule { module, name }, *offset));
        }
        if p1::is_p1(import.module) && !matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
            return Err(LinkError::at(LinkErrorKind::NotAFunction { module, name }, *offset));
        }
    }
    let mut all = Vec::new();
    for (offset, import, ty) in program.function_imports() {
        if !p1::is_p1(import.module) {
            all.push(None);
            continue;
        }
        let unstable = import.module == p1::UNSTABLE;
        let found = p1::find(import.name).filter(|(_, function)| !(unstable && function.name == "sock_accept"));
        let (id, function) = found.ok_or_else(|| {
            let kind = LinkErrorKind::UnknownImport { module: import.module.into(), name: import.name.into() };
            LinkError::at(kind, offset)
        })?;
        let expected = function.signature();
        let actual = program.types.get(ty as usize).and_then(|entry| entry.func.as_ref()).and_then(signature_of);
        if actual.as_ref() != Some(&expected) {
            return Err(LinkError::signature(import.module, import.name, program.type_text(ty), &expected, offset));
        }
        all.push(Some((id, function, unstable)));
    }
    Ok(all)
}

/// Whether the program could make use of the shim.
pub(crate) fn needs_shim(imports: &P1Imports) -> bool {
    imports
        .iter()
        .flatten()
        .any(|(_, function, unstable)| function.opens_files() || (*unstable && function.differs_in_unstable))
}

impl<'a> Plan<'a> {
    /// Makes the plan.
    pub fn new(
        program: Module<'a>,
        p1: P1Imports,
        shim: Option<Shim<'a>>,
        options: LinkOptions,
        carry: Option<Carry<'a>>,
    ) -> Result<Plan<'a>, LinkError> {
        let mut plan = Plan {
            types: TypePool::new(&program),
            uses: Vec::new(),
            kept: Vec::new(),
            imports: Vec::new(),
            function_imports: 0,
            functions: FunctionMap::default(),
            generated: Vec::new(),
            generated_base: 0,
            entries: BTreeMap::new(),
            trace: None,
            shim_functions: BTreeMap::new(),
            shim_imports: BTreeMap::new(),
            shim_types: BTreeMap::new(),
            exit_function: None,
            lifted: None,
            callback: None,
            task_return: None,
            asks_for_time: p1.iter().flatten().any(|(_, function, _)| function.name == lifting::CLOCK),
            report: LinkReport { program_bytes: program.bytes.len() as u64, changed: true, ..LinkReport::default() },
            program,
            shim,
            options,
            carry,
        };
        plan.check_memory()?;
        plan.choose_uses(&p1)?;
        plan.mark_needed()?;
        plan.plan_imports(&p1)?;
        plan.plan_generated()?;
        plan.assign_indices()?;
        Ok(plan)
    }

    fn check_memory(&mut self) -> Result<(), LinkError> {
        if self.shim.is_none() {
            return Ok(());
        }
        self.report.shim_linked = true;
        let refuse = |problem| Err(LinkError::new(LinkErrorKind::Memory { problem }));
        if let Some(memory) = self.program.memories.first() {
            if memory.shared {
                return refuse(MemoryProblem::Shared);
            }
            if memory.memory64 {
                return refuse(MemoryProblem::Wide);
            }
            if memory.page_size_log2.is_some_and(|log2| log2 != 16) {
                return refuse(MemoryProblem::PageSize);
            }
            if self.program.imported.memories > 0 {
                return refuse(MemoryProblem::Imported);
            }
        }
        self.report.memory_added = self.program.memories.is_empty();
        self.report.shim_memory = Some(self.program.counts.memories.max(1));
        for export in self.program.exports.iter().filter(|_| self.lift().is_none()) {
            if export.name == "memory" && (export.kind != ExternalKind::Memory || export.index != 0) {
                let kind = LinkErrorKind::ExportTaken { name: "memory".into(), wanted: "memory 0" };
                return Err(LinkError::new(kind));
            }
        }
        Ok(())
    }

    fn choose_uses(&mut self, p1: &P1Imports) -> Result<(), LinkError> {
        let unwind = self.options.exit == Exit::Unwind;
        let imports: Vec<_> =
            self.program.function_imports().map(|(offset, import, ty)| (offset, *import, ty)).collect();
        for (entry, (offset, import, ty)) in p1.iter().zip(&imports) {
            let offset = *offset;
            let Some((id, function, unstable)) = *entry else {
                let used = self.use_of_component(import, *ty)?;
                self.uses.push(used);
                continue;
            };
            if function.name == "proc_exit" && self.lift().is_some_and(|lift| lift.library) {
                // Whoever calls a library does not expect it to end.
                self.uses.push(Use::Denied);
                continue;
            }
            if unwind && function.name == "proc_exit" {
                self.uses.push(Use::Exit { id });
                continue;
            }
            let exports = self.shim.as_ref().map(|shim| &shim.exports);
            let exported = |name: &str| exports.and_then(|exports| exports.get(name)).copied();
            let old = if unstable { exported(&format!("unstable:{}", function.name)) } else { None };
            if old.is_none() && unstable && function.differs_in_unstable {
                return Err(LinkError::at(LinkErrorKind::UnstableLayout { name: function.name.into() }, offset));
            }
            let entry = self.carry.is_some_and(|carry| carry.entry);
            let added = if entry { exported(&format!("entry:{}", function.name)) } else { None };
            let inside = || self.lift().and_then(|_| exported(&format!("lift:{}", function.name)));
            let of_streams = self.flow().and_then(|_| exported(&format!("stream:{}", function.name)));
            self.uses.push(match of_streams.or(added).or(old).or_else(|| exported(function.name)).or_else(inside) {
                Some(served) => Use::Shim { id, function: served },
                None => Use::Host { id },
            });
        }
        Ok(())
    }

    /// Finds the part of the shim that is reachable from what the program imports.
    fn mark_needed(&mut self) -> Result<(), LinkError> {
        let (lift, driven) = (self.lift(), self.is_driven());
        let Some(shim) = &mut self.shim else { return Ok(()) };
        let mut roots = BTreeSet::new();
        for used in &self.uses {
            if let Use::Inside { function } = *used {
                roots.insert(function);
            }
            if let Use::Shim { id, function } = *used {
                let expected = p1::P1_FUNCTIONS[id as usize].signature();
                if shim.signature(function)? != expected {
                    let name = p1::P1_FUNCTIONS[id as usize].name;
                    return Err(LinkError::shim(format!("its `{name}` does not have the type {expected}")));
                }
                roots.insert(function);
            }
        }
        if self.options.control {
            roots.extend(shim.exports.iter().filter(|(name, _)| name.starts_with(CONTROL)).map(|(_, at)| *at));
        }
        roots.extend(codec_of(shim, self.carry)?);
        if let Some(lift) = &lift {
            roots.extend(lifting::roots(shim, lift, self.asks_for_time)?);
            if driven {
                let drive = shim.exports.get(lifting::DRIVE).copied();
                roots.extend([drive.ok_or_else(|| LinkError::shim("it drives no program"))?]);
            }
        }
        shim.need(roots)?;
        let defined = shim.needed.functions.iter().filter(|at| **at >= shim.module.imported.functions).count();
        self.report.shim_functions = (defined as u32, shim.module.function_items.count);
        Ok(())
    }

    fn plan_imports(&mut self, p1: &P1Imports) -> Result<(), LinkError> {
        let mut function = 0;
        for (_, import) in &self.program.imports {
            let mut module = import.module;
            if let TypeRef::Func(_) | TypeRef::FuncExact(_) = import.ty {
                let used = self.uses[function];
                function += 1;
                self.kept.push(self.function_imports);
                match used {
                    Use::Foreign => {}
                    // The functions that are the same in both are all that remain here.
                    Use::Host { .. } => module = p1::SNAPSHOT,
                    Use::Denied => {
                        self.report.stubbed.push(format!("{}.{}", import.module, import.name));
                        continue;
                    }
                    Use::Shim { .. } | Use::Exit { .. } | Use::Inside { .. } => {
                        self.report.resolved.push(format!("{}.{}", import.module, import.name));
                        continue;
                    }
                }
                self.function_imports += 1;
            }
            let ty = PlannedType::Program(import.ty);
            self.imports.push(PlannedImport { module, name: import.name, ty, by_program: true, by_shim: false });
        }
        self.plan_shim_imports()?;
        if self.options.trace && p1.iter().any(Option::is_some) {
            let mut params = vec![ValType::I32];
            params.extend([ValType::I64; p1::PARAMS_MAX]);
            params.push(ValType::I32);
            let ty = self.types.intern(&Signature { params, results: Vec::new() });
            self.trace = Some(self.add_import(WEIR, "trace", ty, false));
            self.report.traced = true;
        }
        Ok(())
    }

    /// The index that a function import of the result has so far.
    fn find_import(&mut self, module: &str, name: &str) -> Option<u32> {
        let mut index = 0;
        for import in &mut self.imports {
            let is_function = matches!(
                import.ty,
                PlannedType::Function(_) | PlannedType::Program(TypeRef::Func(_) | TypeRef::FuncExact(_))
            );
            if !is_function {
                continue;
            }
            if import.module == module && import.name == name {
                import.by_shim = true;
                return Some(index);
            }
            index += 1;
        }
        None
    }

    fn plan_shim_imports(&mut self) -> Result<(), LinkError> {
        let Some(shim) = &self.shim else { return Ok(()) };
        let mut needed = Vec::new();
        for (index, (_, import, _)) in shim.module.function_imports().enumerate() {
            if shim.needed.functions.contains(&(index as u32)) {
                let by_address = shim.needed.imports_by_address.contains(&(index as u32));
                needed.push((index as u32, *import, shim.signature(index as u32)?, by_address));
            }
        }
        for (index, import, signature, by_address) in needed {
            let callee = match import.module {
                PROGRAM => {
                    if by_address {
                        return Err(LinkError::shim(format!("it takes the address of `{PROGRAM}.{}`", import.name)));
                    }
                    let instructions = memory_access(import.name, &signature, self.report.shim_memory.unwrap_or(1))?;
                    Callee::Inline { instructions, function: None }
                }
                PACK => Callee::Inline { instructions: self.pack_access(import.name, &signature)?, function: None },
                CODEC => match self.shim.as_ref().map_or(Ok(None), |shim| codec_of(shim, self.carry))? {
                    Some(function) => Callee::Own(function),
                    None => Callee::Inline { instructions: stub(&signature, 0)?, function: None },
                },
                LIFT => self.lift_access(import.name, &signature)?,
                FLOW => self.flow_access(import.name, &signature)?,
                p1::SNAPSHOT | WEIR if self.lift().is_some() => self.inside(import.module, import.name, &signature)?,
                wasi if (wasi.starts_with("wasi:clocks/") || wasi.starts_with("wasi:random/"))
                    && self.lift().is_some_and(|lift| lift.pinned) =>
                {
                    Callee::Inline { instructions: stub(&signature, 0)?, function: None }
                }
                wasi if wasi.starts_with("wasi:") && self.lift().is_some() => {
                    let ty = self.types.intern(&signature);
                    Callee::Function(self.add_import(import.module, import.name, ty, true))
                }
                p1::SNAPSHOT if import.name == "proc_exit" && self.options.exit == Exit::Unwind => {
                    Callee::Inline { instructions: Vec::new(), function: None }
                }
                p1::SNAPSHOT | WEIR | HOST_DIRECTORIES => {
                    check_outgoing(import.module, import.name, &signature)?;
                    match self.answer(import.module, import.name) {
                        Some(errno) => {
                            self.report.stubbed.push(format!("{}.{}", import.module, import.name));
                            Callee::Inline { instructions: stub(&signature, errno)?, function: None }
                        }
                        None => {
                            let found = self.find_import(import.module, import.name);
                            let ty = self.types.intern(&signature);
                            let index = found.unwrap_or_else(|| self.add_import(import.module, import.name, ty, true));
                            Callee::Function(index)
                        }
                    }
                }
                other => return Err(LinkError::shim(format!("it imports `{other}.{}`", import.name))),
            };
            self.shim_imports.insert(index, callee);
        }
        Ok(())
    }

    /// The errno that a call answers if its import is left out.
    fn answer(&self, module: &str, name: &str) -> Option<i32> {
        match module {
            HOST_DIRECTORIES if !self.options.host_dirs => Some(ERRNO_BADF),
            WEIR if name.starts_with("blob_") && !self.options.mounts => Some(-ERRNO_NOSYS),
            WEIR if name.starts_with("stream_") && !self.options.streams => Some(ERRNO_BADF),
            _ => None,
        }
    }

    /// The instructions that do what a function of `weir:pack` does, on the segment of a pack; without one
    /// they do nothing, and the shim asks for its size first.
    fn pack_access(&self, name: &str, signature: &Signature) -> Result<Vec<Instruction<'static>>, LinkError> {
        use ValType::I32;
        let shim_memory = self.report.shim_memory.unwrap_or(1);
        let (mem, params, results): (_, &[ValType], &[ValType]) = match name {
            "size" => (0, &[], &[I32]),
            "init_program" => (0, &[I32; 3], &[]),
            "init_shim" => (shim_memory, &[I32; 3], &[]),
            _ => return Err(LinkError::shim(format!("it imports `{PACK}.{name}`, which does not exist"))),
        };
        let expected = Signature::new(params, results);
        if *signature != expected {
            return Err(LinkError::shim(format!("it imports `{PACK}.{name}` as {signature}, not as {expected}")));
        }
        match self.carry {
            Some(carry) if name == "size" => Ok(vec![Instruction::I32Const(carry.segment.len() as i32)]),
            Some(_) => Ok(vec![Instruction::MemoryInit { mem, data_index: self.carried_data() }]),
            None => stub(signature, 0),
        }
    }

    /// The index of the pack's data segment.
    fn carried_data(&self) -> u32 {
        self.program.counts.data + self.shim.as_ref().map_or(0, |shim| shim.module.counts.data)
    }

    /// Lists the functions that linking adds.
    fn plan_generated(&mut self) -> Result<(), LinkError> {
        let shim_exits = self.shim_imports.iter().any(|(_, callee)| is_exit(callee));
        let exits = shim_exits || self.uses.iter().any(|used| matches!(used, Use::Exit { .. }));
        if exits {
            self.types.intern(&Signature::new(&[ValType::I32], &[]));
            self.types.intern(&Signature::new(&[], &[]));
            self.generated.push(Generated::Exit);
        }
        for (import, (_, _, ty)) in self.program.function_imports().enumerate() {
            let plain = self.program.types.get(ty as usize).is_some_and(|entry| entry.plain);
            let wrapped = match self.uses[import] {
                Use::Denied => {
                    self.generated.push(Generated::Denied { import: import as u32, ty });
                    false
                }
                Use::Foreign | Use::Inside { .. } => false,
                Use::Host { .. } => self.trace.is_some(),
                // A function of the shim has a plain type; where the program tells types apart by
                // name, a function of the program's own type has to stand before it.
                Use::Shim { .. } | Use::Exit { .. } => self.trace.is_some() || !plain,
            };
            if wrapped {
                self.generated.push(Generated::Call { import: import as u32, ty });
            }
        }
        let addressed: Vec<u32> = match &self.shim {
            Some(shim) => shim.needed.imports_by_address.iter().copied().collect(),
            None => Vec::new(),
        };
        for import in addressed {
            if let Some(Callee::Inline { .. }) = self.shim_imports.get(&import) {
                self.generated.push(Generated::Stub { import });
            }
        }
        if exits {
            self.plan_entries()?;
        }
        if let Some(lift) = self.lift() {
            if lift.library {
                self.types.intern(&Signature::new(&[], &[]));
                self.generated.push(Generated::Prepare);
                return Ok(());
            }
            self.types.intern(&Signature::new(lift.params, &[ValType::I32]));
            self.generated.push(Generated::Lifted);
            if lift.flow.is_some_and(|flow| flow.callback.is_some()) {
                self.generated.extend([Generated::Callback, Generated::Give]);
            }
        }
        Ok(())
    }

    /// Wrappers for everything through which the host comes in.
    fn plan_entries(&mut self) -> Result<(), LinkError> {
        let mut unwind = Unwind::default();
        let exported = self.program.exports.iter();
        let exported = exported.filter(|export| matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact));
        let start = self.program.start.map(|function| ("the start function", function));
        let mut seen = BTreeSet::new();
        for (name, function) in exported.map(|export| (export.name, export.index)).chain(start) {
            let stays = matches!(self.uses.get(function as usize), Some(Use::Foreign | Use::Host { .. }));
            let Some(ty) = self.program.function_type(function) else {
                let message = format!("`{name}` is function {function}, which does not exist");
                return Err(LinkError::new(LinkErrorKind::Invalid { message }));
            };
            if stays {
                continue;
            }
            if !ty.results().iter().all(|result| result.is_defaultable()) {
                unwind.unwrapped.push(name.to_owned());
                continue;
            }
            unwind.wrapped.push(name.to_owned());
            if seen.insert(function) {
                let ty = self.program.functions[function as usize];
                self.generated.push(Generated::Entry { function, ty, name: name.to_owned() });
            }
        }
        self.report.unwind = Some(unwind);
        Ok(())
    }

    /// Gives every function its new index.
    fn assign_indices(&mut self) -> Result<(), LinkError> {
        let defined = self.function_imports;
        self.generated_base = defined + self.program.function_items.count;
        let shim_base = self.generated_base + self.generated.len() as u32;
        if let Some(shim) = &self.shim {
            let imported = shim.module.imported.functions;
            let kept = shim.needed.functions.iter().copied().filter(|function| *function >= imported);
            self.shim_functions = kept.enumerate().map(|(at, function)| (function, shim_base + at as u32)).collect();
            for index in &shim.needed.types {
                let signature = shim.module.signature(*index);
                let signature = signature.ok_or_else(|| LinkError::shim("it uses a type that is not plain"))?;
                self.shim_types.insert(*index, self.types.intern(&signature));
            }
        }
        let mut give = None;
        let mut wrappers = BTreeMap::new();
        for (at, generated) in self.generated.iter().enumerate() {
            let index = self.generated_base + at as u32;
            match generated {
                Generated::Exit => self.exit_function = Some(index),
                Generated::Call { import, .. } => {
                    wrappers.insert(*import, index);
                }
                Generated::Denied { import, .. } => {
                    wrappers.insert(*import, index);
                }
                Generated::Entry { function, .. } => {
                    self.entries.insert(*function, index);
                }
                Generated::Lifted | Generated::Prepare => self.lifted = Some(index),
                Generated::Callback => self.callback = Some(index),
                Generated::Give => give = Some(index),
                Generated::Stub { import } => {
                    if let Some(Callee::Inline { function, .. }) = self.shim_imports.get_mut(import) {
                        *function = Some(index);
                    }
                }
            }
        }
        self.functions = FunctionMap { imports: Vec::new(), defined, count: self.program.counts.functions };
        for import in 0..self.uses.len() as u32 {
            let target = wrappers.get(&import).copied();
            let target = target.map_or_else(|| self.target(import), Ok)?;
            self.functions.imports.push(target);
        }
        if let Some(exit) = self.exit_function {
            for callee in self.shim_imports.values_mut().filter(|callee| is_exit(callee)) {
                *callee = Callee::Function(exit);
            }
        }
        self.settle_lifted(give)?;
        Ok(())
    }
}

/// The function of the shim that decompresses the chunks of a pack.
fn codec_of(shim: &Shim<'_>, carry: Option<Carry<'_>>) -> Result<Option<u32>, LinkError> {
    let Some(Carry { codec: codec @ (Codec::Lz4 | Codec::Zstd), .. }) = carry else { return Ok(None) };
    let name = format!("codec:{}", codec.name());
    let function = shim.exports.get(name.as_str()).copied();
    function.map(Some).ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))
}

/// Until the exit function has an index, a call to it is an inline of nothing.
fn is_exit(callee: &Callee) -> bool {
    matches!(callee, Callee::Inline { instructions, .. } if instructions.is_empty())
}

/// Holds the type of an import that the shim passes on against its contract.
fn check_outgoing(module: &str, name: &str, signature: &Signature) -> Result<(), LinkError> {
    use ValType::{I32, I64};
    let expected = match (module, name) {
        (p1::SNAPSHOT | HOST_DIRECTORIES, name) => match p1::find(name) {
            Some((_, function)) => function.signature(),
            None => return Err(LinkError::shim(format!("it imports `{module}.{name}`, which WASI does not have"))),
        },
        (_, "blob_read") => Signature::new(&[I32, I64, I32, I32, I32], &[I32]),
        (_, "stream_read" | "stream_write") => Signature::new(&[I32; 4], &[I32]),
        _ => return Ok(()),
    };
    if *signature == expected {
        return Ok(());
    }
    Err(LinkError::shim(format!("it imports `{module}.{name}` as {signature}, not as {expected}")))
}

/// The instructions that do what a function of `weir:program` does, on the program's memory 0.
fn memory_access(name: &str, signature: &Signature, shim: u32) -> Result<Vec<Instruction<'static>>, LinkError> {
    use ValType::{I32, I64};
    // Pointers of the program may be unaligned.
    let at = MemArg { offset: 0, align: 0, memory_index: 0 };
    let copy = |dst_mem, src_mem| Instruction::MemoryCopy { src_mem, dst_mem };
    let (instruction, params, results): (_, &[ValType], &[ValType]) = match name {
        "load8_u" => (Instruction::I32Load8U(at), &[I32], &[I32]),
        "load16_u" => (Instruction::I32Load16U(at), &[I32], &[I32]),
        "load32" => (Instruction::I32Load(at), &[I32], &[I32]),
        "load64" => (Instruction::I64Load(at), &[I32], &[I64]),
        "store8" => (Instruction::I32Store8(at), &[I32, I32], &[]),
        "store16" => (Instruction::I32Store16(at), &[I32, I32], &[]),
        "store32" => (Instruction::I32Store(at), &[I32, I32], &[]),
        "store64" => (Instruction::I64Store(at), &[I32, I64], &[]),
        "copy_out" => (copy(0, shim), &[I32, I32, I32], &[]),
        "copy_in" => (copy(shim, 0), &[I32, I32, I32], &[]),
        "copy_within" => (copy(0, 0), &[I32, I32, I32], &[]),
        "fill" => (Instruction::MemoryFill(0), &[I32, I32, I32], &[]),
        "memory_size" => (Instruction::MemorySize(0), &[], &[I32]),
        _ => return Err(LinkError::shim(format!("it imports `{PROGRAM}.{name}`, which does not exist"))),
    };
    let expected = Signature::new(params, results);
    if *signature != expected {
        return Err(LinkError::shim(format!("it imports `{PROGRAM}.{name}` as {signature}, not as {expected}")));
    }
    Ok(vec![instruction])
}
