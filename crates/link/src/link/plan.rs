//! Who calls whom after linking: every import of each part has its answer, and everything its new index, before a byte
//! is written.
//!
//! The result's functions are, in this order: the imports that remain (the programs', then the shims'), the programs'
//! functions, functions that linking itself adds (wrappers and stubs), the shims'. Every other index space has the same
//! order: what programs import, what they define, what linking adds, the shims' part. So everything in a first program
//! stays where it is, as long as no other imports more than functions: then functions are all whose numbers change.

use super::options::{DroppedSection, LinkOptions, LinkReport, RemainingImport};
use super::parts::{
    Generated, Input, Part, PlannedImport, PlannedType, Program, Purpose, Role, Served, Unwinding, Use,
};
use crate::contract::{CONTROL, EXIT_GLOBAL, MEMORY_EXPORT, WEIR};
use crate::error::LinkError;
use crate::module::Counts;
use crate::p1::Signature;
use std::collections::HashMap;
use wasmparser::ExternalKind;
use weir_types::entry::INITIALIZE;

/// The types of the result: the programs', then those that are added.
pub(crate) struct TypePool {
    known: HashMap<Signature, u32>,
    base: u32,
    pub added: Vec<Signature>,
}

impl TypePool {
    /// The types of these programs, one after the other.
    pub fn new(programs: &[Input<'_>]) -> TypePool {
        let (mut known, mut base) = (HashMap::new(), 0);
        for program in programs {
            for index in 0..program.module.counts.types {
                if let Some(signature) = program.module.signature(index) {
                    known.entry(signature).or_insert(base + index);
                }
            }
            base += program.module.counts.types;
        }
        TypePool { known, base, added: Vec::new() }
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
        let index = self.count();
        self.added.push(signature.clone());
        self.known.insert(signature.clone(), index);
        index
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.base + self.added.len() as u32
    }
}

/// Everything that has to be known before the result can be written.
pub(crate) struct Plan<'a> {
    pub programs: Vec<Part<Program<'a>>>,
    pub shims: Vec<Part<Served<'a>>>,
    pub options: LinkOptions,
    pub types: TypePool,
    pub imports: Vec<PlannedImport<'a>>,
    pub function_imports: u32,
    /// How many of everything the result has.
    pub counts: Counts,
    pub generated: Vec<Generated>,
    /// The type of each of them.
    pub generated_types: Vec<u32>,
    pub generated_base: u32,
    pub trace: Option<u32>,
    /// The function that the result starts with.
    pub start: Option<u32>,
    pub report: LinkReport,
}

impl<'a> Plan<'a> {
    /// A program.
    pub fn program(&self, program: usize) -> &Program<'a> {
        &self.programs[program].role
    }

    /// The shim of a program.
    pub fn shim_of(&self, program: usize) -> Option<&Part<Served<'a>>> {
        self.program(program).shim.map(|shim| &self.shims[shim])
    }

    /// Adds an import of a function, and gives its index.
    pub fn add_import(&mut self, module: &'a str, name: &'a str, ty: u32, by_shim: bool) -> u32 {
        let ty = PlannedType::Function(ty);
        self.imports.push(PlannedImport { module, name, ty, by_program: false, by_shim });
        self.function_imports += 1;
        self.function_imports - 1
    }

    /// The function of the result that serves an import of a program, wrappers aside.
    pub fn target(&self, of: usize, import: u32) -> Result<u32, LinkError> {
        let missing = || LinkError::shim("a function that was asked for was not kept");
        let program = self.program(of);
        match program.uses[import as usize] {
            Use::Shim { function, .. } | Use::Inside { function } => {
                self.shim_of(of).and_then(|shim| shim.maps.functions.get(function)).ok_or_else(missing)
            }
            Use::Denied => Err(missing()),
            Use::Exit { .. } => Ok(self.exit_of(of)?.function),
            Use::Foreign | Use::Host { .. } => Ok(program.kept[import as usize]),
        }
    }

    /// How a program that exits is ended.
    pub fn exit_of(&self, program: usize) -> Result<Unwinding, LinkError> {
        self.program(program).exit.ok_or_else(|| LinkError::shim("nothing ends the program"))
    }

    /// The function of the result that stands for one of a program's through which the host or the shim comes in.
    pub fn entered(&self, of: usize, function: u32) -> Result<u32, LinkError> {
        let Part { role, maps } = &self.programs[of];
        let index = role.entries.get(&function).copied().or_else(|| maps.functions.get(function));
        index.ok_or_else(|| role.missing("function", function, role.module.counts.functions, 0))
    }

    /// The functions of the result that the programs start with.
    pub fn start_functions(&self) -> Result<Vec<u32>, LinkError> {
        let starts = self.programs.iter().enumerate().filter_map(|(of, part)| Some((of, part.role.start()?)));
        starts.map(|(of, start)| self.entered(of, start)).collect()
    }

    /// The function of the result that is this export of a program's shim.
    pub fn shim_export(&self, program: usize, name: &str) -> Result<u32, LinkError> {
        let shim = self.shim_of(program);
        let index = shim.and_then(|shim| shim.defined(*shim.role.shim.exports.get(name)?));
        index.ok_or_else(|| LinkError::shim(format!("it does not export `{name}`")))
    }

    /// The exports that linking adds, with what each has to be.
    pub fn added_exports(&self) -> Vec<(String, ExternalKind, u32)> {
        let mut all = Vec::new();
        for of in 0..self.programs.len() {
            let label = self.program(of).label;
            all.extend(
                self.added_for(of).into_iter().map(|(name, kind, index)| (format!("{label}{name}"), kind, index)),
            );
        }
        all
    }

    fn added_for(&self, of: usize) -> Vec<(&str, ExternalKind, u32)> {
        let program = self.program(of);
        let mut added = Vec::new();
        match (program.manner.purpose, self.shim_of(of), program.lifted) {
            (Purpose::Library { .. }, _, Some(prepare)) => added.push((INITIALIZE, ExternalKind::Func, prepare)),
            (Purpose::Function(lift), Some(shim), Some(lifted)) => {
                let realloc = shim.role.shim.exports.get("lift:realloc").and_then(|function| shim.defined(*function));
                added.push((lift.name, ExternalKind::Func, lifted));
                let callback = lift.flow.and_then(|flow| flow.callback.as_deref()).zip(program.callback);
                added.extend(callback.map(|(name, index)| (name, ExternalKind::Func, index)));
                added.extend(realloc.map(|function| ("cabi_realloc", ExternalKind::Func, function)));
                added.push(("memory", ExternalKind::Memory, shim.role.memory));
            }
            (_, Some(shim), _) => {
                self.added_with_shim(program, shim, &mut added);
                added.extend(program.exit.map(|exit| (EXIT_GLOBAL, ExternalKind::Global, exit.global)));
            }
            (_, None, _) => added.extend(program.exit.map(|exit| (EXIT_GLOBAL, ExternalKind::Global, exit.global))),
        }
        added
    }

    /// What the host of a program with a shim asks for.
    fn added_with_shim<'p>(
        &self,
        program: &'p Program<'a>,
        shim: &'p Part<Served<'a>>,
        added: &mut Vec<(&'p str, ExternalKind, u32)>,
    ) {
        if !program.module.exports.iter().any(|export| export.name == "memory") {
            added.push(("memory", ExternalKind::Memory, program.memory));
        }
        // A host that copies blobs into the shim's memory has to find it.
        let copies = self.imports.iter().any(|import| import.module == WEIR && import.by_shim);
        if self.options.control || copies {
            added.push((MEMORY_EXPORT, ExternalKind::Memory, shim.role.memory));
        }
        if self.options.control {
            for (name, function) in shim.role.shim.exports.iter().filter(|(name, _)| name.starts_with(CONTROL)) {
                added.extend(shim.defined(*function).map(|index| (*name, ExternalKind::Func, index)));
            }
        }
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

impl Part<Served<'_>> {
    /// The function of the result that one is which the shim defines.
    pub fn defined(&self, function: u32) -> Option<u32> {
        self.maps.functions.get(function).filter(|_| function >= self.role.shim.module.imported.functions)
    }
}
