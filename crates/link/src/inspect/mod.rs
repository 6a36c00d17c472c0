//! What a program can reach, read from its bytes alone.
//!
//! Three kinds of statement, none of which runs anything: which imports there are, which of them
//! the entry points can get to (an over-approximation: "unreachable" is certain, "reachable" is
//! possible), and which strings in the data look like paths. What a run really touches is for
//! whoever runs it to say.

mod component;
mod paths;
mod reach;
mod report;

pub use paths::PathString;
pub use report::{ComponentKind, ImportReport, InspectError, Inspection, Kind, Verdict};

use crate::module::{Module, check_header, refuse_object_file};
use crate::p1;
use paths::Paths;
use weir_types::entry::{self, ModuleEntry};

/// Reads what a program can reach. It is decoded but not validated.
///
/// # Errors
///
/// The bytes are not WebAssembly or are damaged.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, InspectError> {
    let result = check_header(bytes);
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
        if reachable && function.is_some_and(|(_, function)| function.needs_files()) {
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
    let kind = match refuse_object_file(&module) {
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
