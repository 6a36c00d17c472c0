//! Who calls whom after linking: every import of the program and of the shim has its answer, and every function its
//! new index, before a byte is written.
//!
//! The result's functions are, in this order: the imports that remain (the program's, then the
//! shim's), the program's functions, functions that linking itself adds (wrappers and stubs), the
//! shim's. Of all other index spaces the program's part stays where it is and the shim's follows,
//! so functions are the only thing in the program whose numbers change.

use super::options::{DroppedSection, LinkOptions, LinkReport, RemainingImport};
use super::parts::{Callee, Carry, Flow, Generated, Lift, PlannedImport, PlannedType, Use};
use super::shim::Shim;
use crate::code::FunctionMap;
use crate::contract::{CONTROL, EXIT_GLOBAL, MEMORY_EXPORT, WEIR};
use crate::error::LinkError;
use crate::module::Module;
use crate::p1::Signature;
use std::collections::{BTreeMap, HashMap};
use wasmparser::ExternalKind;
use weir_types::entry::INITIALIZE;

/// The types of the result: the program's, then those that are added.
pub(crate) struct TypePool {
    known: HashMap<Signature, u32>,
    base: u32,
    pub added: Vec<Signature>,
}

impl TypePool {
    pub fn new(program: &Module<'_>) -> TypePool {
        let mut known = HashMap::new();
        for index in 0..program.counts.types {
            if let Some(signature) = program.signature(index) {
                known.entry(signature).or_insert(index);
            }
        }
        TypePool { known, base: program.counts.types, added: Vec::new() }
    }

    /// The index of a type of this signature, if there is one.
    pub fn find(&self, signature: &Signature) -> Option<u32> {
        self.known.get(signature).copied()
    }

    /// The index of a type of this signature; it is added if there is none.
    pub fn intern(&mut self, signature: &Signature) -> u32 {
        if let Some(index) = self.known.get(signature) {
            return *index;
        }
        let index = self.base + self.added.len() as u32;
        self.added.push(signature.clone());
        self.known.insert(signature.clone(), index);
        index
    }
}

/// Everything that has to be known before the result can be written.
pub(crate) struct Plan<'a> {
    pub program: Module<'a>,
    pub shim: Option<Shim<'a>>,
    pub options: LinkOptions,
    pub carry: Option<Carry<'a>>,
    pub types: TypePool,
    pub uses: Vec<Use>,
    /// The new index of each function import of the program that stays one.
    pub kept: Vec<u32>,
    pub imports: Vec<PlannedImport<'a>>,
    pub function_imports: u32,
    pub functions: FunctionMap,
    pub generated: Vec<Generated>,
    pub generated_base: u32,
    /// The exported program functions that have a wrapper, and the wrapper.
    pub entries: BTreeMap<u32, u32>,
    pub trace: Option<u32>,
    pub shim_functions: BTreeMap<u32, u32>,
    pub shim_imports: BTreeMap<u32, Callee>,
    pub shim_types: BTreeMap<u32, u32>,
    pub exit_function: Option<u32>,
    /// The function that a lifted program is called by.
    pub lifted: Option<u32>,
    /// What the component model calls back.
    pub callback: Option<u32>,
    /// The import by which an asynchronous function gives what it gives.
    pub task_return: Option<u32>,
    /// Whether the program imports the clock.
    pub asks_for_time: bool,
    pub report: LinkReport,
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

    /// Whether an export of the program stays: a lifted command is its function and nothing else.
    pub fn stays(&self, export: &str) -> bool {
        self.lift().is_none_or(|lift| lift.library && export != INITIALIZE)
    }

    /// Adds an import of a function, and gives its index.
    pub fn add_import(&mut self, module: &'a str, name: &'a str, ty: u32, by_shim: bool) -> u32 {
        let ty = PlannedType::Function(ty);
        self.imports.push(PlannedImport { module, name, ty, by_program: false, by_shim });
        self.function_imports += 1;
        self.function_imports - 1
    }

    /// The function of the result that serves an import of the program, wrappers aside.
    pub fn target(&self, import: u32) -> Result<u32, LinkError> {
        let missing = || LinkError::shim("a function that was asked for was not kept");
        match self.uses[import as usize] {
            Use::Shim { function, .. } | Use::Inside { function } => match self.shim_imports.get(&function) {
                Some(Callee::Function(index)) => Ok(*index),
                _ => self.shim_functions.get(&function).copied().ok_or_else(missing),
            },
            Use::Denied => Err(missing()),
            Use::Exit { .. } => self.exit_function.ok_or_else(missing),
            Use::Foreign | Use::Host { .. } => Ok(self.kept[import as usize]),
        }
    }

    /// The function of the result that is this export of the shim.
    pub fn shim_export(&self, name: &str) -> Result<u32, LinkError> {
        let function = self.shim.as_ref().and_then(|shim| shim.exports.get(name));
        let index = function.and_then(|function| self.shim_functions.get(function)).copied();
        index.ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))
    }

    /// The index of the global that holds the exit code.
    pub fn exit_global(&self) -> u32 {
        self.program.counts.globals
    }

    /// The index of the exception tag of exits.
    pub fn exit_tag(&self) -> u32 {
        self.program.counts.tags
    }

    /// The exports that linking adds, with what each has to be.
    pub fn added_exports(&self) -> Vec<(&'a str, ExternalKind, u32)> {
        let mut added = Vec::new();
        if let (Some(lift), Some(shim), Some(lifted)) = (self.lift(), &self.shim, self.lifted) {
            if lift.library {
                return vec![(INITIALIZE, ExternalKind::Func, lifted)];
            }
            let realloc = shim.exports.get("lift:realloc").and_then(|function| self.shim_functions.get(function));
            added.push((lift.name, ExternalKind::Func, lifted));
            let callback = lift.flow.and_then(|flow| flow.callback.as_deref()).zip(self.callback);
            added.extend(callback.map(|(name, index)| (name, ExternalKind::Func, index)));
            added.extend(realloc.map(|function| ("cabi_realloc", ExternalKind::Func, *function)));
            added.extend(self.report.shim_memory.map(|memory| ("memory", ExternalKind::Memory, memory)));
            return added;
        }
        if let (Some(shim), Some(memory)) = (&self.shim, self.report.shim_memory) {
            if !self.program.exports.iter().any(|export| export.name == "memory") {
                added.push(("memory", ExternalKind::Memory, 0));
            }
            // A host that copies blobs into the shim's memory has to find it.
            let copies = self.imports.iter().any(|import| import.module == WEIR && import.by_shim);
            if self.options.control || copies {
                added.push((MEMORY_EXPORT, ExternalKind::Memory, memory));
            }
            if self.options.control {
                for (name, function) in shim.exports.iter().filter(|(name, _)| name.starts_with(CONTROL)) {
                    if let Some(index) = self.shim_functions.get(function) {
                        added.push((name, ExternalKind::Func, *index));
                    }
                }
            }
        }
        if self.exit_function.is_some() {
            added.push((EXIT_GLOBAL, ExternalKind::Global, self.exit_global()));
        }
        added
    }

    /// The imports of the result, for the report.
    pub fn remaining(&self) -> Vec<RemainingImport> {
        let remaining = self.imports.iter().map(|import| RemainingImport {
            module: import.module.into(),
            name: import.name.into(),
            by_program: import.by_program,
            by_shim: import.by_shim,
        });
        remaining.collect()
    }

    /// Notes a custom section that is left out.
    pub fn drop_section(&mut self, name: &str, bytes: usize, reason: &'static str) {
        self.report.dropped.push(DroppedSection { name: name.into(), bytes: bytes as u64, reason });
    }
}
