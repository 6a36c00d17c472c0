//! Components: which interfaces they import, and which functions of those their core modules can
//! get to.
//!
//! A component's own import list names interfaces; the core modules inside import single
//! functions under the same names. A WASI 0.1 program inside a component is there with an adapter
//! that turns its calls into those of the component; what the adapter is never asked for does not
//! count.

use super::reach::{Reachable, reachable};
use super::report::{ComponentKind, ImportReport, InspectError};
use crate::limits::COMPONENT_DEPTH_MAX;
use crate::module::Module;
use crate::p1::{self, Reach};
use std::collections::{BTreeSet, HashMap, HashSet};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{ComponentExternalKind, Parser, Payload, ValidPayload, Validator, WasmFeatures};
use weir_types::entry::{self, NoEntry};

/// What a component is made of.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub imports: Vec<&'a str>,
    /// Imports of types only: nothing can be called through them.
    types_only: HashSet<&'a str>,
    pub exports: Vec<&'a str>,
    /// The core modules, each with the byte where it begins.
    pub modules: Vec<(usize, Module<'a>)>,
}

/// Takes a component apart.
pub(crate) fn parts(bytes: &[u8]) -> Result<Parts<'_>, InspectError> {
    let mut parts = Parts::default();
    let mut depth = 0usize;
    // Function bodies are not validated, so this costs little; it is what knows the types.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(InspectError::parse)?;
        if let ValidPayload::End(types) = validator.payload(&payload).map_err(InspectError::parse)? {
            parts.types_only = parts.imports.iter().copied().filter(|name| !has_functions(&types, name)).collect();
        }
        match payload {
            Payload::ModuleSection { unchecked_range: range, .. } => {
                depth += 1;
                let Some(inner) = bytes.get(range.clone()) else {
                    return Err(InspectError::invalid("a module inside ends beyond the file", range.start));
                };
                let module = Module::parse(inner).map_err(|error| InspectError::of_link(error, range.start))?;
                parts.modules.push((range.start, module));
            }
            Payload::ComponentSection { unchecked_range: range, .. } => {
                depth += 1;
                if depth > COMPONENT_DEPTH_MAX {
                    return Err(InspectError::invalid("components are nested too deep", range.start));
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    parts.imports.push(import.map_err(InspectError::parse)?.name.name);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(InspectError::parse)?;
                    if !matches!(export.kind, ComponentExternalKind::Type) {
                        parts.exports.push(export.name.name);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(parts)
}

/// Whether an import of the outermost component has anything that can be called.
fn has_functions(types: &Types, import: &str) -> bool {
    let types = types.as_ref();
    match types.component_item_for_import(import).map(|item| item.ty) {
        Some(ComponentEntityType::Instance(instance)) => {
            let exports = &types[instance].exports;
            exports.values().any(|item| matches!(item.ty, ComponentEntityType::Func(_)))
        }
        Some(ComponentEntityType::Type { .. } | ComponentEntityType::Value(_)) => false,
        _ => true,
    }
}

/// What kind of component exports these.
pub(crate) fn kind(exports: &[&str]) -> ComponentKind {
    match entry::of_component(exports.iter().copied()) {
        Ok(_) | Err(NoEntry::Draft(_) | NoEntry::Unknown(_)) => ComponentKind::Command,
        Err(NoEntry::Http(_)) => ComponentKind::HttpHandler,
        Err(NoEntry::Library) => ComponentKind::Library,
    }
}

/// The WASI versions that interface names carry.
pub(crate) fn versions(names: &[&str]) -> Vec<String> {
    let wasi = names.iter().filter(|name| name.starts_with("wasi:"));
    let versions = wasi.filter_map(|name| name.split_once('@')).map(|(_, version)| version.to_owned());
    versions.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The interface without its version.
pub(crate) fn without_version(name: &str) -> &str {
    name.split_once('@').map_or(name, |(interface, _)| interface)
}

/// The interface and the part of its version that says what is compatible: an older release of
/// the same series may be asked for inside a component.
fn series(name: &str) -> (&str, &str) {
    let Some((interface, version)) = name.split_once('@') else { return (name, "") };
    let mut dots = version.match_indices('.').map(|(at, _)| at);
    let end = if version.starts_with("0.") { dots.nth(1) } else { dots.next() };
    (interface, end.map_or(version, |end| &version[..end]))
}

/// The function behind the name of a core import, or nothing for the built-ins of handles, streams
/// and futures, which reach nothing by themselves.
fn function_name(import: &str) -> Option<&str> {
    let name = import.strip_prefix("[async-lower]").unwrap_or(import);
    let built_in =
        ["[resource-", "[stream-", "[future-", "[error-context", "[task-", "[waitable", "[subtask", "[context"];
    (!built_in.iter().any(|prefix| name.starts_with(prefix))).then_some(name)
}

/// What an interface reaches.
pub(crate) fn reach_of(interface: &str) -> Reach {
    let name = without_version(interface);
    let (package, name) = name.split_once('/').unwrap_or((name, ""));
    match (package, name) {
        ("wasi:filesystem", _) => Reach::Files,
        ("wasi:cli", "environment") | ("wasi:config", _) => Reach::Environment,
        ("wasi:cli", "exit" | "run") => Reach::Process,
        ("wasi:cli", _) | ("wasi:io", "streams" | "error") => Reach::Streams,
        ("wasi:io", "poll") | ("wasi:clocks", _) => Reach::Clock,
        ("wasi:sockets" | "wasi:http" | "wasi:tls", _) => Reach::Network,
        ("wasi:random", _) => Reach::Random,
        _ => Reach::Other,
    }
}

/// The functions of the imported interfaces, and the calls that need files.
pub(crate) struct Uses {
    pub imports: Vec<ImportReport>,
    pub forced_by: Vec<String>,
    pub functions: u32,
    pub reachable_functions: u32,
}

/// Follows the core modules.
pub(crate) fn uses(parts: &Parts<'_>) -> Result<Uses, InspectError> {
    let mut uses = Uses { imports: Vec::new(), forced_by: Vec::new(), functions: 0, reachable_functions: 0 };
    let asked = asked_of_adapters(parts)?;
    let outer: Outer<'_> = parts.imports.iter().map(|import| (series(import), *import)).collect();
    for (base, module) in &parts.modules {
        let adapter = is_adapter(module);
        let root = |name: &str| !adapter || p1::find(name).is_none() || asked.contains(name);
        let found = reachable(module, root).map_err(|error| InspectError::of_link(error, *base))?;
        uses.functions += module.function_items.count;
        uses.reachable_functions += found.defined;
        module_imports(&outer, module, &found, adapter, &mut uses);
    }
    // Without an import that has files, as in a pack, what adapters are asked for is served inside.
    let reaches_files = |import: &&&str| reach_of(import) == Reach::Files && !parts.types_only.contains(**import);
    let outside = parts.imports.iter().any(|import| reaches_files(&import));
    for name in asked.iter().filter(|_| outside) {
        if p1::find(name).is_some_and(|(_, function)| function.needs_files()) {
            uses.forced_by.push(format!("{}.{name}", p1::SNAPSHOT));
        }
    }
    // An interface that no module imports by name may be passed on under another one.
    let known: HashSet<String> = uses.imports.iter().map(|report| report.module.clone()).collect();
    for import in &parts.imports {
        if !known.contains(*import) && !parts.types_only.contains(import) {
            let reach = reach_of(import);
            if reach == Reach::Files
                && !parts.modules.is_empty()
                && without_version(import) != "wasi:filesystem/preopens"
            {
                uses.forced_by.push((*import).to_owned());
            }
            uses.imports.push(ImportReport { module: (*import).to_owned(), name: "*".into(), reach, reachable: true });
        }
    }
    uses.imports.sort_by(|a, b| (a.reach, &a.module, &a.name).cmp(&(b.reach, &b.module, &b.name)));
    uses.imports.dedup_by(|next, first| {
        let same = next.module == first.module && next.name == first.name;
        first.reachable |= same && next.reachable;
        same
    });
    uses.forced_by.sort();
    uses.forced_by.dedup();
    Ok(uses)
}

/// An adapter has the functions of WASI 0.1 and imports those of a component.
fn is_adapter(module: &Module<'_>) -> bool {
    let exports_p1 = module.exports.iter().any(|export| p1::find(export.name).is_some());
    exports_p1 && module.imports.iter().any(|(_, import)| import.module.starts_with("wasi:"))
}

/// The functions of WASI 0.1 that the other modules can get to.
fn asked_of_adapters(parts: &Parts<'_>) -> Result<BTreeSet<String>, InspectError> {
    let mut asked = BTreeSet::new();
    for (base, module) in parts.modules.iter().filter(|(_, module)| !is_adapter(module)) {
        if !module.imports.iter().any(|(_, import)| import.module == p1::SNAPSHOT) {
            continue;
        }
        let found = reachable(module, |_| true).map_err(|error| InspectError::of_link(error, *base))?;
        for (index, (_, import, _)) in module.function_imports().enumerate() {
            if import.module == p1::SNAPSHOT && found.has(index as u32) {
                asked.insert(import.name.to_owned());
            }
        }
    }
    Ok(asked)
}

/// The imports of the component by series.
type Outer<'a> = HashMap<(&'a str, &'a str), &'a str>;

fn module_imports(outer: &Outer<'_>, module: &Module<'_>, found: &Reachable, adapter: bool, uses: &mut Uses) {
    for (index, (_, import, _)) in module.function_imports().enumerate() {
        // What the component does not import itself is served inside of it.
        let Some(outer) = outer.get(&series(import.module)) else { continue };
        let Some(name) = function_name(import.name) else { continue };
        let reach = reach_of(outer);
        let reachable = found.has(index as u32);
        if reach == Reach::Files && reachable && !adapter {
            uses.forced_by.push(format!("{outer}.{name}"));
        }
        uses.imports.push(ImportReport { module: (*outer).to_owned(), name: name.to_owned(), reach, reachable });
    }
}
