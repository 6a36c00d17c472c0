//! What a program can reach, read from its bytes alone.
//!
//! Three kinds of statement, none of which runs anything: which imports there are, which of them
//! the entry points can get to (an over-approximation: "unreachable" is certain, "reachable" is
//! possible), and which strings in the data look like paths. What a run really touches is for
//! whoever runs it to say.

mod component;
mod paths;
mod reach;

pub use paths::PathString;

use crate::error::LinkError;
use crate::module::Module;
use crate::p1::{self, Reach};
use component::needs_files;
use core::fmt;
use paths::Paths;
use weir_types::Shown;
use weir_types::entry::{self, ModuleEntry};
use weir_types::grants::Tier;

/// What is known about a program without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What it is.
    pub kind: Kind,
    /// The WASI versions it was built for: `0.0`, `0.1`, or those of the interfaces of a component.
    pub wasi: Vec<String>,
    /// The imported functions, ordered by what they reach. Of a component: the functions of the
    /// imported interfaces, or `*` where only the interface is known.
    pub imports: Vec<ImportReport>,
    /// The names of the exports.
    pub exports: Vec<String>,
    /// The interface through which a run of a component begins, if it is a command.
    pub run: Option<String>,
    /// The exports through which a run begins.
    pub entry_points: Vec<String>,
    /// How many core modules there are.
    pub modules: u32,
    /// How many functions are defined.
    pub functions: u32,
    /// How many of those the entry points can get to.
    pub reachable_functions: u32,
    /// Strings in the data that look like paths: absolute ones first, each kind in the order of its
    /// places.
    pub paths: Vec<PathString>,
    /// How many more of those there are at most.
    pub paths_omitted: u64,
    /// Which tier it needs.
    pub verdict: Verdict,
    /// The size of the program.
    pub bytes: u64,
}

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A core module that runs once from `_start`.
    CoreCommand,
    /// A core module that is set up by `_initialize` and then called.
    CoreReactor,
    /// A core module with other exports, or none.
    CoreLibrary,
    /// A component, and what it is for.
    Component(ComponentKind),
    /// Input for a linker, not a program.
    ObjectFile,
}

/// What a component is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComponentKind {
    /// It exports `wasi:cli/run`.
    Command,
    /// It exports a handler of HTTP requests.
    HttpHandler,
    /// It exports something else.
    Library,
}

impl Kind {
    /// The words used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::CoreCommand => "core module, command",
            Kind::CoreReactor => "core module, reactor",
            Kind::CoreLibrary => "core module, library",
            Kind::Component(ComponentKind::Command) => "component, command",
            Kind::Component(ComponentKind::HttpHandler) => "component, HTTP handler",
            Kind::Component(ComponentKind::Library) => "component, library",
            Kind::ObjectFile => "object file",
        }
    }
}

/// One imported function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReport {
    /// The imported module or interface.
    pub module: String,
    /// The function, or `*` for an interface whose functions are not known.
    pub name: String,
    /// What it reaches.
    pub reach: Reach,
    /// Whether the entry points can get to it. `false` is certain.
    pub reachable: bool,
}

/// Which tier a program needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The highest tier that the program itself can call for: [`Tier::Pure`] or [`Tier::Virtual`],
    /// never [`Tier::Host`].
    pub tier: Tier,
    /// The reachable calls that force it.
    pub forced_by: Vec<String>,
    /// Why, in a sentence.
    pub why: &'static str,
}

impl Verdict {
    fn new(forced_by: Vec<String>) -> Verdict {
        let (tier, why) = if forced_by.is_empty() {
            (Tier::Pure, "no call that opens or lists files can be reached from the entry points")
        } else {
            (
                Tier::Virtual,
                "calls that open or list files can be reached; whether these are real files of the host is decided by \
                 what is granted, never by the program",
            )
        };
        Verdict { tier, forced_by, why }
    }
}

/// Why a program cannot be inspected.
#[derive(Debug)]
pub struct InspectError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    message: String,
    offset: usize,
}

impl InspectError {
    pub(crate) fn invalid(message: impl Into<String>, offset: usize) -> InspectError {
        InspectError { inner: Box::new(Inner { message: message.into(), offset }) }
    }

    pub(crate) fn parse(error: wasmparser::Error) -> InspectError {
        InspectError::of_link(LinkError::parse(error), 0)
    }

    /// The byte of the program where it was found.
    pub fn offset(&self) -> usize {
        self.inner.offset
    }
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {:#x})", Shown(&self.inner.message), self.inner.offset)
    }
}

impl std::error::Error for InspectError {}

/// Reads what a program can reach. It is decoded but not validated.
///
/// # Errors
///
/// The bytes are not WebAssembly or are damaged.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    let result = crate::link::check_header(bytes);
    match result {
        Err(error) if error.is_component() => inspect_component(bytes),
        Err(error) => Err(InspectError::of_link(error, 0)),
        Ok(()) => inspect_module(bytes),
    }
}

fn inspect_module(bytes: &[u8]) -> Result<Inspection, InspectError> {
    let in_module = |error| InspectError::of_link(error, 0);
    let module = Module::parse(bytes).map_err(in_module)?;
    let found = reach::reachable(&module, |_| true).map_err(in_module)?;
    let mut forced_by = Vec::new();
    let mut imports = Vec::new();
    let mut wasi = Vec::new();
    for (index, (_, import, _)) in module.function_imports().enumerate() {
        let function = p1::find(import.name).filter(|_| p1::is_p1(import.module));
        let reach = function.map_or_else(|| component::reach_of(import.module), |(_, function)| function.reach);
        let reachable = found.has(index as u32);
        if reachable && function.is_some_and(|(_, function)| needs_files(function)) {
            forced_by.push(format!("{}.{}", import.module, import.name));
        }
        imports.push(ImportReport { module: import.module.into(), name: import.name.into(), reach, reachable });
        match import.module {
            p1::SNAPSHOT => wasi.push("0.1".to_owned()),
            p1::UNSTABLE => wasi.push("0.0".to_owned()),
            _ => {}
        }
    }
    wasi.sort();
    wasi.dedup();
    imports.sort_by(|a, b| (a.reach, &a.module, &a.name).cmp(&(b.reach, &b.module, &b.name)));
    imports.dedup();
    forced_by.sort();
    forced_by.dedup();
    let mut paths = Paths::default();
    paths.collect(&module, 0).map_err(in_module)?;
    let (paths, paths_omitted) = paths.finish();
    let exports: Vec<String> = module.exports.iter().map(|export| export.name.to_owned()).collect();
    let functions = function_exports(&module);
    let entry = entry::of_module(functions.iter().map(String::as_str));
    let exported = |name: &str| exports.iter().any(|export| export == name);
    let kind = match crate::link::refuse_object_file(&module) {
        Err(_) => Kind::ObjectFile,
        Ok(()) => match (entry, exported(entry::INITIALIZE)) {
            (Ok(_), _) => Kind::CoreCommand,
            (Err(_), true) => Kind::CoreReactor,
            (Err(_), false) => Kind::CoreLibrary,
        },
    };
    let entry_points = match entry {
        Ok(ModuleEntry::Start) => vec![entry::START.to_owned()],
        _ => functions,
    };
    Ok(Inspection {
        kind,
        run: None,
        wasi,
        imports,
        entry_points,
        exports,
        modules: 1,
        functions: module.function_items.count,
        reachable_functions: found.defined,
        paths,
        paths_omitted,
        verdict: Verdict::new(forced_by),
        bytes: bytes.len() as u64,
    })
}

fn function_exports(module: &Module<'_>) -> Vec<String> {
    let is_function = |export: &&wasmparser::Export<'_>| {
        matches!(export.kind, wasmparser::ExternalKind::Func | wasmparser::ExternalKind::FuncExact)
    };
    module.exports.iter().filter(is_function).map(|export| export.name.to_owned()).collect()
}

fn inspect_component(bytes: &[u8]) -> Result<Inspection, InspectError> {
    let parts = component::parts(bytes)?;
    let uses = component::uses(&parts)?;
    let mut paths = Paths::default();
    for (base, module) in &parts.modules {
        paths.collect(module, *base).map_err(|error| InspectError::of_link(error, *base))?;
    }
    let (paths, paths_omitted) = paths.finish();
    let names: Vec<&str> = parts.imports.iter().chain(&parts.exports).copied().collect();
    let exports: Vec<String> = parts.exports.iter().map(|name| (*name).to_owned()).collect();
    Ok(Inspection {
        kind: Kind::Component(component::kind(&parts.exports)),
        run: entry::of_component(parts.exports.iter().copied()).ok().map(|entry| entry.interface.to_owned()),
        wasi: component::versions(&names),
        imports: uses.imports,
        entry_points: exports.clone(),
        exports,
        modules: parts.modules.len() as u32,
        functions: uses.functions,
        reachable_functions: uses.reachable_functions,
        paths,
        paths_omitted,
        verdict: Verdict::new(uses.forced_by),
        bytes: bytes.len() as u64,
    })
}
