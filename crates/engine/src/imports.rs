//! What of a module's head cannot be served, said before anything is linked or compiled: a large module takes minutes to
//! compile and an instant to be refused. Only the sections before the code are looked at.

use crate::error::{Error, Kind};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{MemoryType, Parser, Payload, TypeRef, ValidPayload, Validator, WasmFeatures};
use weir_types::entry::{self, ComponentEntry, NoEntry};
use weir_types::grants::UnknownImports;

/// The modules whose functions somebody grants; whether they have each function is for linking to say.
const GRANTED: [&str; 4] = ["wasi_snapshot_preview1", "wasi_unstable", "weir", "weir_hostdir"];

/// Refuses a core module that imports what nobody grants, or uses what is not supported. Damage is for others to report.
///
/// # Errors
/// [`Kind::Import`] names the first such import, [`Kind::Program`] what is not supported.
pub fn check_module(bytes: &[u8], unknown: UnknownImports) -> Result<(), Error> {
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::ImportSection(section)) => {
                for import in section.into_imports().map_while(Result::ok) {
                    let granted = GRANTED.contains(&import.module);
                    match import.ty {
                        _ if !granted && unknown == UnknownImports::Refuse => {
                            let is_function = matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                            return Err(not_granted(import.module, import.name, is_function));
                        }
                        TypeRef::Memory(memory) => refuse_shared(memory)?,
                        _ => {}
                    }
                }
            }
            Ok(Payload::MemorySection(section)) => {
                section.into_iter().map_while(Result::ok).try_for_each(refuse_shared)?;
            }
            Ok(Payload::CodeSectionStart { .. }) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The packages of WASI that are served to components.
const PACKAGES: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];

/// Refuses a component that is no command, or imports what nobody grants. Damage is for others to report.
///
/// # Errors
/// [`Kind::Program`] says what it is instead of a command, [`Kind::Import`] names all such imports.
pub(crate) fn check_component(bytes: &[u8], unknown: UnknownImports) -> Result<(), Error> {
    let (mut names, mut exports, mut depth) = (Vec::<&str>::new(), Vec::new(), 0u32);
    // Function bodies are not validated, so this costs little; it is what knows the types.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { return Ok(()) };
        match validator.payload(&payload) {
            Ok(ValidPayload::End(types)) if depth == 0 => names.retain(|name| has_functions(&types, name)),
            Ok(_) => {}
            Err(_) => return Ok(()),
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                let imports = section.into_iter().map_while(Result::ok);
                names.extend(imports.map(|import| import.name.name).filter(|name| !is_served(name)));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(section.into_iter().map_while(Result::ok).map(|export| export.name.name));
            }
            _ => {}
        }
    }
    component_entry(&exports)?;
    if names.is_empty() || unknown == UnknownImports::Trap { Ok(()) } else { Err(not_granted_to_component(&names)) }
}

/// Refuses a component with threads in one of its modules. Damage is for others to report.
///
/// # Errors
/// It has.
pub(crate) fn refuse_threads(bytes: &[u8]) -> Result<(), Error> {
    for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
        if let Payload::MemorySection(section) = payload {
            section.into_iter().map_while(Result::ok).try_for_each(refuse_shared)?;
        }
    }
    Ok(())
}

/// The entry of a component with these exports.
///
/// # Errors
/// It has none, and what it is instead.
pub(crate) fn component_entry<'a>(exports: &[&'a str]) -> Result<ComponentEntry<'a>, Error> {
    entry::of_component(exports.iter().copied()).map_err(|none| {
        let exports = match none {
            NoEntry::Library if exports.is_empty() => ", and exports nothing".into(),
            NoEntry::Library => {
                let named = &exports[..exports.len().min(8)];
                format!(", its exports are {named:?}: `weir call` calls functions, `weir wit` shows them")
            }
            _ => String::new(),
        };
        Error::new(Kind::Program, format!("the program has no entry point `wasi:cli/run`: {none}{exports}"))
    })
}

/// Whether an import of a component has anything that can be called: types alone need no grant.
fn has_functions(types: &Types, import: &str) -> bool {
    let types = types.as_ref();
    match types.component_item_for_import(import).map(|item| item.ty) {
        Some(ComponentEntityType::Instance(instance)) => {
            types[instance].exports.values().any(|item| matches!(item.ty, ComponentEntityType::Func(_)))
        }
        Some(ComponentEntityType::Type { .. } | ComponentEntityType::Value(_)) => false,
        _ => true,
    }
}

/// Whether an imported interface belongs to a released version of what is served.
pub(crate) fn is_served(name: &str) -> bool {
    let (package, version) = name
        .split_once('/')
        .map_or((name, ""), |(package, rest)| (package, rest.split_once('@').map_or("", |(_, version)| version)));
    let stable = (version.starts_with("0.2.") || version.starts_with("0.3.")) && !version.contains('-');
    PACKAGES.contains(&package) && stable
}

/// What is left where nobody grants a function.
const START_ALL_THE_SAME: &str = "; with `--unknown-imports trap` it starts, and traps only if it calls one";

/// The error for imports of a component that nobody grants.
pub(crate) fn not_granted_to_component(names: &[&str]) -> Error {
    let hint = |name: &str| match name.split_once('@') {
        Some((_, version)) if name.starts_with("wasi:") && version.contains('-') => {
            " (a draft of WASI: rebuild the program for a released version)"
        }
        _ => "",
    };
    let missing: Vec<String> = names.iter().map(|name| format!("`{}`{}", name.escape_debug(), hint(name))).collect();
    let message = format!(
        "the program imports {}, which nobody grants: weir grants WASI 0.2 and 0.3 (cli, clocks, filesystem, http, random, sockets); \
         compose the program with a component that provides the rest{START_ALL_THE_SAME}",
        missing.join(", ")
    );
    Error::new(Kind::Import, message)
}

fn refuse_shared(memory: MemoryType) -> Result<(), Error> {
    if memory.shared {
        let what = "the program uses shared memory (threads), and one run is one thread here";
        return Err(Error::new(Kind::Program, format!("{what}: build it without threads")));
    }
    Ok(())
}

/// The error for an import that nobody grants.
pub(crate) fn not_granted(module: &str, name: &str, is_function: bool) -> Error {
    let why = match module {
        "wasi_snapshot_preview1" | "wasi_unstable" => "WASI 0.1 has no such function",
        "wasi" => "threads (wasi-threads) are not supported",
        "env" => "an embedder's own function; a program for weir imports WASI alone",
        _ => "weir grants WASI alone",
    };
    let (module, name) = (module.escape_debug(), name.escape_debug());
    let otherwise = if is_function { START_ALL_THE_SAME } else { "" };
    Error::new(Kind::Import, format!("the program imports `{module}::{name}`, which nobody grants: {why}{otherwise}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_module_is_enough() {
        let unknown = wat::parse_str(r#"(module (import "embedder" "call\nback" (func)))"#).unwrap();
        let error = check_module(&unknown, UnknownImports::Refuse).unwrap_err();
        assert_eq!(error.kind(), Kind::Import);
        assert!(error.to_string().contains(r"`embedder::call\nback`"), "{error}");
        assert!(check_module(&unknown, UnknownImports::Trap).is_ok());
        for text in ["(module (memory 1 1 shared))", r#"(module (import "weir" "m" (memory 1 1 shared)))"#] {
            let error = check_module(&wat::parse_str(text).unwrap(), UnknownImports::Trap).unwrap_err();
            assert!(error.kind() == Kind::Program && error.to_string().contains("threads"), "{error}");
        }
        assert!(check_module(b"\0asm\x01\0\0\0\x02\xff", UnknownImports::Refuse).is_ok());
    }
}
