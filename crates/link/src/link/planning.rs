//! Making the plan, step by step.

use super::lifting;
use super::options::{Exit, LinkOptions, LinkReport};
use super::parts::{
    Callee, Carry, ERRNO_BADF, ERRNO_NOSYS, Generated, Input, Manner, OLD, P1Imports, Part, PlannedImport, PlannedType,
    Program, Purpose, Served, Unwinding, Use, What, stub,
};
use super::plan::{Plan, TypePool};
use super::shim::Shim;
use crate::contract::{CODEC, CONTROL, FLOW, HOST_DIRECTORIES, LIFT, PACK, PROGRAM, RESERVED, WEIR};
use crate::error::{LinkError, LinkErrorKind, MemoryProblem};
use crate::index::{IndexMap, Maps, take};
use crate::module::{Counts, Module, signature_of};
use crate::p1::{self, Signature};
use std::collections::{BTreeMap, BTreeSet};
use wasm_encoder::{Instruction, MemArg, ValType};
use wasmparser::{ExternalKind, Import, TypeRef};
use weir_vfs::pack::Codec;

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

/// Makes the plan.
///
/// # Errors
/// A program is one that cannot be linked, or a shim breaks its contract.
pub(crate) fn plan<'a>(inputs: Vec<Input<'a>>, options: LinkOptions) -> Result<Plan<'a>, LinkError> {
    let mut plan = begin(inputs, options);
    let programs = 0..plan.programs.len();
    for program in programs.clone() {
        plan.check_memory(program)?;
        plan.choose_uses(program)?;
        plan.mark_needed(program)?;
    }
    plan.place();
    for program in programs.clone() {
        plan.plan_imports(program);
    }
    for shim in 0..plan.shims.len() {
        plan.plan_shim_imports(shim)?;
    }
    plan.plan_trace();
    for program in programs.clone() {
        plan.plan_generated(program)?;
    }
    if plan.starts() > 1 {
        plan.generate(0, What::Begin);
    }
    plan.place_functions()?;
    for program in programs {
        plan.settle(program)?;
    }
    plan.settle_start()?;
    for generated in plan.generated.clone() {
        let ty = generated.ty(&mut plan)?;
        plan.generated_types.push(ty);
    }
    plan.counts.types = plan.types.count();
    plan.check();
    Ok(plan)
}

fn begin<'a>(inputs: Vec<Input<'a>>, options: LinkOptions) -> Plan<'a> {
    let types = TypePool::new(&inputs);
    let (mut programs, mut shims) = (Vec::new(), Vec::new());
    let mut report = LinkReport { changed: true, ..LinkReport::default() };
    for Input { label, module, p1, shim, carry } in inputs {
        report.program_bytes += module.bytes.len() as u64;
        let number = shims.len();
        let has_shim = shim.is_some();
        if let Some(shim) = shim {
            let role = Served { shim, of: programs.len(), memory: 0, callees: BTreeMap::new() };
            shims.push(Part { role, maps: Maps::default() });
        }
        let role = Program {
            label,
            memory_added: has_shim && module.memories.is_empty(),
            module,
            p1,
            manner: Manner::of(carry.as_ref()),
            carry,
            shim: has_shim.then_some(number),
            uses: Vec::new(),
            kept: Vec::new(),
            memory: 0,
            carried: 0,
            exit: None,
            entries: BTreeMap::new(),
            lifted: None,
            callback: None,
            give: None,
            task_return: None,
        };
        programs.push(Part { role, maps: Maps::default() });
    }
    Plan {
        programs,
        shims,
        options,
        types,
        imports: Vec::new(),
        function_imports: 0,
        counts: Counts::default(),
        generated: Vec::new(),
        generated_types: Vec::new(),
        generated_base: 0,
        trace: None,
        start: None,
        report,
    }
}

impl<'a> Plan<'a> {
    fn check_memory(&mut self, of: usize) -> Result<(), LinkError> {
        let program = &self.programs[of].role;
        if program.shim.is_none() {
            return Ok(());
        }
        self.report.shim_linked = true;
        self.report.memory_added |= program.memory_added;
        let refuse = |problem| Err(LinkError::new(LinkErrorKind::Memory { problem }));
        if let Some(memory) = program.module.memories.first() {
            if memory.shared {
                return refuse(MemoryProblem::Shared);
            }
            if memory.memory64 {
                return refuse(MemoryProblem::Wide);
            }
            if memory.page_size_log2.is_some_and(|log2| log2 != 16) {
                return refuse(MemoryProblem::PageSize);
            }
            if program.module.imported.memories > 0 {
                return refuse(MemoryProblem::Imported);
            }
        }
        for export in program.module.exports.iter().filter(|_| !program.manner.is_lifted()) {
            if export.name == "memory" && (export.kind != ExternalKind::Memory || export.index != 0) {
                let kind = LinkErrorKind::ExportTaken { name: "memory".into(), wanted: "memory 0" };
                return Err(LinkError::new(kind));
            }
        }
        Ok(())
    }

    fn choose_uses(&mut self, of: usize) -> Result<(), LinkError> {
        let program = self.program(of);
        let shim = self.shim_of(of).map(|shim| &shim.role.shim);
        let unwind = self.options.exit == Exit::Unwind;
        let mut uses = Vec::new();
        for (entry, (offset, import, ty)) in program.p1.iter().zip(program.module.function_imports()) {
            let Some((id, function, unstable)) = *entry else {
                uses.push(lifting::use_of_component(program, shim, import, ty)?);
                continue;
            };
            if function.name == "proc_exit" && (unwind || program.manner.is_library()) {
                // Whoever calls a library does not expect it to end.
                uses.push(if program.manner.is_library() { Use::Denied } else { Use::Exit { id } });
                continue;
            }
            let old = shim.and_then(|shim| shim.exports.get(format!("{OLD}{}", function.name).as_str()));
            if old.is_none() && unstable && function.differs_in_unstable {
                return Err(LinkError::at(LinkErrorKind::UnstableLayout { name: function.name.into() }, offset));
            }
            let served = shim.and_then(|shim| program.manner.served_by(shim, function.name, unstable));
            uses.push(served.map_or(Use::Host { id }, |function| Use::Shim { id, function }));
        }
        self.programs[of].role.uses = uses;
        Ok(())
    }

    /// Finds the part of the shim that is reachable from what the program imports.
    fn mark_needed(&mut self, of: usize) -> Result<(), LinkError> {
        let program = &self.programs[of].role;
        let Some(number) = program.shim else { return Ok(()) };
        let shim = &mut self.shims[number].role.shim;
        let mut roots = BTreeSet::new();
        for used in &program.uses {
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
        roots.extend(codec_of(shim, program.carry)?);
        roots.extend(lifting::roots(program, shim)?);
        shim.need(roots)?;
        let defined = shim.needed.functions.iter().filter(|at| **at >= shim.module.imported.functions).count();
        self.report.shim_functions.0 += defined as u32;
        self.report.shim_functions.1 += shim.module.function_items.count;
        Ok(())
    }

    /// Gives everything but functions and the shims' types its new index.
    fn place(&mut self) {
        let mut next = Counts::default();
        for part in &mut self.programs {
            part.maps = Maps::of_imports(&part.role.module, &mut next);
        }
        for part in &mut self.programs {
            part.maps.define(&part.role.module.counts, &mut next);
        }
        for of in 0..self.programs.len() {
            let exits = self.exits(of);
            let Part { role, maps } = &mut self.programs[of];
            let added = role.memory_added.then(|| take(&mut next.memories, 1));
            role.memory = added.or_else(|| maps.memories.get(0)).unwrap_or(0);
            role.exit = exits.then(|| Unwinding {
                function: 0,
                tag: take(&mut next.tags, 1),
                global: take(&mut next.globals, 1),
            });
        }
        for part in &mut self.shims {
            let Part { role: Served { shim, memory, .. }, maps } = part;
            let (needed, counts) = (&shim.needed, shim.module.counts);
            let kept = |kept: &BTreeSet<u32>, next: &mut u32, count: u32| {
                IndexMap::kept(kept.iter().copied(), take(next, kept.len() as u32), count)
            };
            maps.globals = kept(&needed.globals, &mut next.globals, counts.globals);
            maps.tables = kept(&needed.tables, &mut next.tables, counts.tables);
            maps.elements = kept(&shim.live_segments(), &mut next.elements, counts.elements);
            // What declares the functions whose addresses its code takes.
            next.elements += u32::from(!needed.referenced.is_empty());
            maps.data = IndexMap::whole(Vec::new(), take(&mut next.data, counts.data), counts.data);
            *memory = take(&mut next.memories, counts.memories);
            maps.memories = IndexMap::whole(Vec::new(), *memory, counts.memories);
        }
        for part in self.programs.iter_mut().filter(|part| part.role.carry.is_some()) {
            part.role.carried = take(&mut next.data, 1);
        }
        self.report.shim_memory = self.shims.first().map(|shim| shim.role.memory);
        self.counts = next;
    }

    /// Whether a program can be ended by throwing.
    fn exits(&self, of: usize) -> bool {
        let program = self.program(of);
        let throws = self.options.exit == Exit::Unwind && !program.manner.is_lifted();
        let by_shim = self.shim_of(of).filter(|_| throws).is_some_and(|shim| {
            let shim = &shim.role.shim;
            let mut needed =
                shim.module.function_imports().zip(0..).filter(|(_, at)| shim.needed.functions.contains(at));
            needed.any(|((_, import, _), _)| is_exit(import))
        });
        by_shim || program.uses.iter().any(|used| matches!(used, Use::Exit { .. }))
    }

    /// Lists what remains of a program's imports.
    fn plan_imports(&mut self, of: usize) {
        let program = &mut self.programs[of].role;
        let mut function = 0;
        for (_, import) in &program.module.imports {
            let mut module = import.module;
            if let TypeRef::Func(_) | TypeRef::FuncExact(_) = import.ty {
                let used = program.uses[function];
                function += 1;
                program.kept.push(self.function_imports);
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
            let ty = PlannedType::Program(of, import.ty);
            self.imports.push(PlannedImport { module, name: import.name, ty, by_program: true, by_shim: false });
        }
    }

    /// The import that calls are reported to.
    fn plan_trace(&mut self) {
        let any = self.programs.iter().any(|part| part.role.p1.iter().any(Option::is_some));
        if self.options.trace && any {
            let mut params = vec![ValType::I32];
            params.extend([ValType::I64; p1::PARAMS_MAX]);
            params.push(ValType::I32);
            let ty = self.types.intern(&Signature { params, results: Vec::new() });
            self.trace = Some(self.add_import(WEIR, "trace", ty, false));
            self.report.traced = true;
        }
    }

    /// The index that a function import of the result has so far.
    fn find_import(&mut self, module: &str, name: &str) -> Option<u32> {
        let mut index = 0;
        for import in &mut self.imports {
            let is_function = matches!(
                import.ty,
                PlannedType::Function(_) | PlannedType::Program(_, TypeRef::Func(_) | TypeRef::FuncExact(_))
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

    fn plan_shim_imports(&mut self, number: usize) -> Result<(), LinkError> {
        let shim = &self.shims[number].role.shim;
        let mut needed = Vec::new();
        for (index, (_, import, _)) in (0..).zip(shim.module.function_imports()) {
            if shim.needed.functions.contains(&index) {
                if import.module == PROGRAM && shim.needed.imports_by_address.contains(&index) {
                    return Err(LinkError::shim(format!("it takes the address of `{PROGRAM}.{}`", import.name)));
                }
                needed.push((index, *import, shim.signature(index)?));
            }
        }
        for (index, import, signature) in needed {
            let callee = self.callee(number, &import, &signature)?;
            self.shims[number].role.callees.insert(index, callee);
        }
        Ok(())
    }

    /// What becomes of an import of a shim.
    fn callee(&mut self, number: usize, import: &Import<'a>, signature: &Signature) -> Result<Callee, LinkError> {
        let Served { shim, of, memory, .. } = &self.shims[number].role;
        let (of, memory) = (*of, *memory);
        let program = self.program(of);
        let manner = &program.manner;
        Ok(match import.module {
            PROGRAM => Callee::Inline(memory_access(import.name, signature, program.memory, memory)?),
            PACK => Callee::Inline(pack_access(program, memory, import.name, signature)?),
            CODEC => match codec_of(shim, program.carry)? {
                Some(function) => Callee::Own(function),
                None => Callee::Inline(stub(signature, 0)?),
            },
            LIFT => lifting::lift_access(program, import.name, signature)?,
            FLOW => self.flow_access(number, import.name, signature)?,
            p1::SNAPSHOT | WEIR if manner.is_lifted() => {
                lifting::inside(manner, shim, import.module, import.name, signature)?
            }
            wasi if (wasi.starts_with("wasi:clocks/") || wasi.starts_with("wasi:random/")) && manner.pinned => {
                Callee::Inline(stub(signature, 0)?)
            }
            wasi if wasi.starts_with("wasi:") && manner.is_lifted() => {
                let ty = self.types.intern(signature);
                Callee::Function(self.add_import(import.module, import.name, ty, true))
            }
            p1::SNAPSHOT if is_exit(import) && self.options.exit == Exit::Unwind => Callee::Exit,
            p1::SNAPSHOT | WEIR | HOST_DIRECTORIES => self.outgoing(import, signature)?,
            other => return Err(LinkError::shim(format!("it imports `{other}.{}`", import.name))),
        })
    }

    /// An import of a shim that goes to the host, or answers an errno if that is left out.
    fn outgoing(&mut self, import: &Import<'a>, signature: &Signature) -> Result<Callee, LinkError> {
        check_outgoing(import.module, import.name, signature)?;
        if let Some(errno) = self.answer(import.module, import.name) {
            self.report.stubbed.push(format!("{}.{}", import.module, import.name));
            return Ok(Callee::Inline(stub(signature, errno)?));
        }
        let found = self.find_import(import.module, import.name);
        let ty = self.types.intern(signature);
        Ok(Callee::Function(found.unwrap_or_else(|| self.add_import(import.module, import.name, ty, true))))
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

    fn generate(&mut self, of: usize, what: What) {
        self.generated.push(Generated { of, what });
    }

    /// Lists the functions that linking adds for a program.
    fn plan_generated(&mut self, of: usize) -> Result<(), LinkError> {
        let exits = self.program(of).exit.is_some();
        if exits {
            self.types.intern(&Signature::new(&[ValType::I32], &[]));
            self.types.intern(&Signature::new(&[], &[]));
            self.generate(of, What::Exit);
        }
        let Part { role: program, maps } = &self.programs[of];
        for (import, (_, _, own)) in (0..).zip(program.module.function_imports()) {
            let plain = program.module.types.get(own as usize).is_some_and(|entry| entry.plain);
            let ty = maps.types.get(own).unwrap_or(own);
            let what = match program.uses[import as usize] {
                Use::Denied => What::Denied { import, ty },
                Use::Host { .. } if self.trace.is_some() => What::Call { import, ty },
                // A function of the shim has a plain type; where the program tells types apart by
                // name, a function of the program's own type has to stand before it.
                Use::Shim { .. } | Use::Exit { .. } if self.trace.is_some() || !plain => What::Call { import, ty },
                _ => continue,
            };
            self.generated.push(Generated { of, what });
        }
        if let Some(shim) = program.shim.map(|shim| &self.shims[shim].role) {
            for import in &shim.shim.needed.imports_by_address {
                if let Some(Callee::Inline(_)) = shim.callees.get(import) {
                    self.generated.push(Generated { of, what: What::Stub { import: *import } });
                }
            }
        }
        if exits {
            self.plan_entries(of)?;
        }
        match self.program(of).manner.purpose {
            Purpose::Run => {}
            Purpose::Library { .. } => {
                self.types.intern(&Signature::new(&[], &[]));
                self.generate(of, What::Prepare);
            }
            Purpose::Function(lift) => {
                self.types.intern(&Signature::new(lift.params, &[ValType::I32]));
                self.generate(of, What::Lifted);
                if lift.flow.is_some_and(|flow| flow.callback.is_some()) {
                    self.generate(of, What::Callback);
                    self.generate(of, What::Give);
                }
            }
        }
        Ok(())
    }

    /// Wrappers for everything through which the host comes in.
    fn plan_entries(&mut self, of: usize) -> Result<(), LinkError> {
        let Part { role: program, maps } = &self.programs[of];
        let unwind = self.report.unwind.get_or_insert_default();
        let exported = program.module.exports.iter();
        let exported = exported.filter(|export| matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact));
        let start = program.module.start.map(|function| ("the start function", function));
        let mut seen = BTreeSet::new();
        for (name, function) in exported.map(|export| (export.name, export.index)).chain(start) {
            let stays = matches!(program.uses.get(function as usize), Some(Use::Foreign | Use::Host { .. }));
            let ty = program.module.function_type(function).zip(program.type_of(maps, function));
            let Some((signature, ty)) = ty else {
                let message = format!("`{name}` is function {function}, which does not exist");
                return Err(LinkError::new(LinkErrorKind::Invalid { message }));
            };
            if stays {
                continue;
            }
            if !signature.results().iter().all(|result| result.is_defaultable()) {
                unwind.unwrapped.push(name.to_owned());
                continue;
            }
            unwind.wrapped.push(name.to_owned());
            if seen.insert(function) {
                let what = What::Entry { function, ty, name: name.to_owned() };
                self.generated.push(Generated { of, what });
            }
        }
        Ok(())
    }

    /// Gives every function its new index, as far as that does not depend on what is called by it.
    fn place_functions(&mut self) -> Result<(), LinkError> {
        let mut next = self.function_imports;
        let mut defined = Vec::new();
        for part in &self.programs {
            defined.push(take(&mut next, part.role.module.function_items.count));
        }
        self.generated_base = take(&mut next, self.generated.len() as u32);
        for Part { role, maps } in &mut self.shims {
            let (module, needed) = (&role.shim.module, &role.shim.needed);
            let kept = needed.functions.iter().copied().filter(|function| *function >= module.imported.functions);
            let first = take(&mut next, kept.clone().count() as u32);
            maps.functions = IndexMap::kept(kept, first, module.counts.functions);
            maps.types = IndexMap::kept([], 0, module.counts.types);
            for index in &needed.types {
                let signature = module.signature(*index);
                let signature = signature.ok_or_else(|| LinkError::shim("it uses a type that is not plain"))?;
                maps.types.set(*index, self.types.intern(&signature));
            }
        }
        self.counts.functions = next;
        let wrappers = self.place_generated();
        for part in &mut self.shims {
            place_callees(part, &self.programs[part.role.of].role);
        }
        for (of, (wrappers, defined)) in wrappers.into_iter().zip(defined).enumerate() {
            let imports = 0..self.program(of).uses.len() as u32;
            let target = |import| wrappers.get(&import).map_or_else(|| self.target(of, import), |found| Ok(*found));
            let imports = imports.map(target).collect::<Result<_, _>>()?;
            let Part { role, maps } = &mut self.programs[of];
            maps.functions = IndexMap::whole(imports, defined, role.module.counts.functions);
        }
        Ok(())
    }

    /// Says where the functions are that linking adds. Gives those that stand before imports, of each program.
    fn place_generated(&mut self) -> Vec<BTreeMap<u32, u32>> {
        let mut wrappers = vec![BTreeMap::new(); self.programs.len()];
        for (index, Generated { of, what }) in (self.generated_base..).zip(&self.generated) {
            let program = &mut self.programs[*of].role;
            match what {
                What::Exit => {
                    if let Some(exit) = &mut program.exit {
                        exit.function = index;
                    }
                }
                What::Call { import, .. } | What::Denied { import, .. } => {
                    wrappers[*of].insert(*import, index);
                }
                What::Entry { function, .. } => {
                    program.entries.insert(*function, index);
                }
                What::Lifted | What::Prepare => program.lifted = Some(index),
                What::Callback => program.callback = Some(index),
                What::Give => program.give = Some(index),
                What::Begin => self.start = Some(index),
                What::Stub { import } => {
                    if let Some(shim) = program.shim {
                        self.shims[shim].maps.functions.set(*import, index);
                    }
                }
            }
        }
        wrappers
    }

    /// How many programs have a start function of their own.
    fn starts(&self) -> usize {
        self.programs.iter().filter(|part| part.role.start().is_some()).count()
    }

    fn settle_start(&mut self) -> Result<(), LinkError> {
        if self.start.is_none() {
            self.start = self.start_functions()?.first().copied();
        }
        Ok(())
    }

    /// Holds the maps of each part against the part and the result.
    fn check(&self) {
        for Part { role, maps } in &self.programs {
            maps.check(&role.module.counts, &self.counts);
        }
        for Part { role, maps } in &self.shims {
            maps.check(&role.shim.module.counts, &self.counts);
        }
    }
}

/// Says where the imports of a shim are, as far as they are functions and their places known.
fn place_callees(part: &mut Part<Served<'_>>, program: &Program<'_>) {
    let functions = &mut part.maps.functions;
    for (import, callee) in &part.role.callees {
        let place = match callee {
            Callee::Function(index) => Some(*index),
            Callee::Own(function) => functions.get(*function),
            Callee::Exit => program.exit.map(|exit| exit.function),
            // Of these either there is a stub, or nothing takes their address.
            Callee::Inline(_) | Callee::Callback | Callee::Start | Callee::Give | Callee::Realloc => None,
        };
        if let Some(place) = place {
            functions.set(*import, place);
        }
    }
}

fn is_exit(import: &Import<'_>) -> bool {
    import.module == p1::SNAPSHOT && import.name == "proc_exit"
}

/// The instructions that do what a function of `weir:pack` does, on the segment that a program carries; without one
/// they do nothing, and the shim asks for its size first.
fn pack_access(
    program: &Program<'_>,
    shim: u32,
    name: &str,
    signature: &Signature,
) -> Result<Vec<Instruction<'static>>, LinkError> {
    use ValType::I32;
    let (mem, params, results): (_, &[ValType], &[ValType]) = match name {
        "size" => (0, &[], &[I32]),
        "init_program" => (program.memory, &[I32; 3], &[]),
        "init_shim" => (shim, &[I32; 3], &[]),
        _ => return Err(LinkError::shim(format!("it imports `{PACK}.{name}`, which does not exist"))),
    };
    let expected = Signature::new(params, results);
    if *signature != expected {
        return Err(LinkError::shim(format!("it imports `{PACK}.{name}` as {signature}, not as {expected}")));
    }
    match program.carry {
        Some(carry) if name == "size" => Ok(vec![Instruction::I32Const(carry.segment.len() as i32)]),
        Some(_) => Ok(vec![Instruction::MemoryInit { mem, data_index: program.carried }]),
        None => stub(signature, 0),
    }
}

/// The function of the shim that decompresses the chunks of a pack.
fn codec_of(shim: &Shim<'_>, carry: Option<Carry<'_>>) -> Result<Option<u32>, LinkError> {
    let Some(Carry { codec: codec @ (Codec::Lz4 | Codec::Zstd), .. }) = carry else { return Ok(None) };
    let name = format!("codec:{}", codec.name());
    let function = shim.exports.get(name.as_str()).copied();
    function.map(Some).ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))
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

/// The instructions that do what a function of `weir:program` does, on the memory of the program.
fn memory_access(
    name: &str,
    signature: &Signature,
    program: u32,
    shim: u32,
) -> Result<Vec<Instruction<'static>>, LinkError> {
    use ValType::{I32, I64};
    // Pointers of the program may be unaligned.
    let at = MemArg { offset: 0, align: 0, memory_index: program };
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
        "copy_out" => (copy(program, shim), &[I32, I32, I32], &[]),
        "copy_in" => (copy(shim, program), &[I32, I32, I32], &[]),
        "copy_within" => (copy(program, program), &[I32, I32, I32], &[]),
        "fill" => (Instruction::MemoryFill(program), &[I32, I32, I32], &[]),
        "memory_size" => (Instruction::MemorySize(program), &[], &[I32]),
        _ => return Err(LinkError::shim(format!("it imports `{PROGRAM}.{name}`, which does not exist"))),
    };
    let expected = Signature::new(params, results);
    if *signature != expected {
        return Err(LinkError::shim(format!("it imports `{PROGRAM}.{name}` as {signature}, not as {expected}")));
    }
    Ok(vec![instruction])
}
