//! What of a program's head cannot be served, said before anything is linked or compiled: a large module takes minutes to
//! compile and an instant to be refused.

use crate::error::{Error, Hint, Kind};
use crate::functions::Functions;
use weir_types::entry::{self, ComponentEntry, NoEntry};
use weir_types::grants::UnknownImports;
use weir_types::head::{ComponentHead, ModuleHead};

/// The modules whose functions somebody grants; whether they have each function is for linking to say.
const GRANTED: [&str; 4] = ["wasi_snapshot_preview1", "wasi_unstable", "weir", "weir_hostdir"];

/// Refuses a core module that imports what neither WASI nor `functions` grant, or uses what is not supported.
///
/// # Errors
/// [`Kind::Import`] names the first such import, [`Kind::Program`] what is not supported.
pub fn check_module(head: &ModuleHead, unknown: UnknownImports, functions: &Functions) -> Result<(), Error> {
    let granted = |module: &str| GRANTED.contains(&module) || functions.has(module);
    let foreign = head.imports.iter().find(|import| !granted(&import.module));
    match foreign {
        Some(import) if unknown == UnknownImports::Refuse => {
            Err(not_granted(&import.module, &import.name, import.is_function))
        }
        _ => refuse_shared(head.shared_memory),
    }
}

/// The packages of WASI that are served to components.
const PACKAGES: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];

/// Refuses a component that is no command, or imports what nobody grants.
///
/// # Errors
/// [`Kind::Program`] says what it is instead of a command, [`Kind::Import`] names all such imports.
pub fn check_component(head: &ComponentHead, unknown: UnknownImports) -> Result<(), Error> {
    let exports: Vec<&str> = head.exports.iter().map(String::as_str).collect();
    component_entry(&exports)?;
    if !head.imports.is_empty() && unknown == UnknownImports::Refuse {
        let names: Vec<&str> = head.imports.iter().map(String::as_str).collect();
        return Err(not_granted_to_component(&names));
    }
    refuse_shared(head.shared_memory)
}

/// Refuses a component with threads in one of its modules, if `shared_memory` says so.
///
/// # Errors
/// It has.
pub fn check_functions(shared_memory: bool) -> Result<(), Error> {
    refuse_shared(shared_memory)
}

/// The entry of a component with these exports.
///
/// # Errors
/// It has none, and what it is instead.
pub(crate) fn component_entry<'a>(exports: &[&'a str]) -> Result<ComponentEntry<'a>, Error> {
    entry::of_component(exports.iter().copied()).map_err(|none| {
        let what = format!("the program has no entry point `wasi:cli/run`: {none}");
        match none {
            NoEntry::Library if exports.is_empty() => Error::new(Kind::Program, format!("{what}, and exports nothing")),
            NoEntry::Library => {
                let named = &exports[..exports.len().min(8)];
                let what = format!("{what}, its exports are {named:?}");
                Error::new(Kind::Program, what).with_hint(Hint::CallTypedFunctions)
            }
            _ => Error::new(Kind::Program, what),
        }
    })
}

/// Whether an imported interface belongs to a released version of what is served.
pub fn is_served(name: &str) -> bool {
    let (package, version) = name
        .split_once('/')
        .map_or((name, ""), |(package, rest)| (package, rest.split_once('@').map_or("", |(_, version)| version)));
    let stable = (version.starts_with("0.2.") || version.starts_with("0.3.")) && !version.contains('-');
    PACKAGES.contains(&package) && stable
}

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
         compose the program with a component that provides the rest",
        missing.join(", ")
    );
    Error::new(Kind::Import, message).with_hint(Hint::TrapUnknownImports)
}

fn refuse_shared(shared: bool) -> Result<(), Error> {
    if shared {
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
    let error = Error::new(Kind::Import, format!("the program imports `{module}::{name}`, which nobody grants: {why}"));
    if is_function { error.with_hint(Hint::TrapUnknownImports) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_types::head::ModuleImport;

    fn head(module: &str, name: &str, shared_memory: bool) -> ModuleHead {
        let import = ModuleImport { module: module.into(), name: name.into(), is_function: true };
        ModuleHead { imports: vec![import], shared_memory }
    }

    #[test]
    fn the_head_of_a_module_is_enough() {
        let unknown = head("embedder", "call\nback", false);
        let error = check_module(&unknown, UnknownImports::Refuse, &Functions::default()).unwrap_err();
        assert_eq!((error.kind(), error.hint()), (Kind::Import, Some(Hint::TrapUnknownImports)));
        assert!(error.to_string().contains(r"`embedder::call\nback`"), "{error}");
        assert!(check_module(&unknown, UnknownImports::Trap, &Functions::default()).is_ok());
        let error =
            check_module(&head("weir", "blob_read", true), UnknownImports::Trap, &Functions::default()).unwrap_err();
        assert!(error.kind() == Kind::Program && error.to_string().contains("threads"), "{error}");
    }
}
