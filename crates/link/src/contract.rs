//! The names that weir's shims, linked modules and the engine know each other by.

/// The module name of the functions through which the shim reaches the program's memory. Calls to
/// them are replaced by instructions.
pub const PROGRAM: &str = "weir:program";
/// The module name of the functions through which the shim reaches the data segment of a pack. Calls to
/// them are replaced by instructions.
pub const PACK: &str = "weir:pack";
/// The module name of the function that decompresses a chunk of a pack. Calls to it become calls to one of
/// the shim's decompressors.
pub const CODEC: &str = "weir:codec";
/// The module name of the functions by which the shim starts a lifted program. Calls to them become calls to the
/// program.
pub const LIFT: &str = "weir:lift";
/// The module name of the functions by which the shim moves the streams of a lifted program. They become imports of
/// the component model.
pub const FLOW: &str = "weir:flow";
/// The module name of the narrow imports that a linked module may have besides WASI's own.
pub const WEIR: &str = "weir";
/// The module name of the WASI functions for real directories of the host.
pub const HOST_DIRECTORIES: &str = "weir_hostdir";
/// The export name of the shim's memory.
pub const MEMORY_EXPORT: &str = "weir_memory";
/// The export name of the global (`i64`, mutable) that holds the exit code in
/// [`Exit::Unwind`](crate::Exit::Unwind), or
/// -1 while the program has not exited. Every entry sets it back to -1.
pub const EXIT_GLOBAL: &str = "weir_exit";
/// The beginning of the export names of the shim's control functions.
pub(crate) const CONTROL: &str = "weir_";
/// The module name of functions that the component shim has several of, among which linking chooses.
pub(crate) const HOST: &str = "weir:host";
/// The module names that no program may import from.
pub(crate) const RESERVED: [&str; 7] = [WEIR, PROGRAM, PACK, CODEC, LIFT, FLOW, HOST_DIRECTORIES];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::Module;
    use crate::p1::SNAPSHOT;
    use std::collections::BTreeSet;
    use wasmparser::{ExternalKind, Parser};

    /// The control functions that the engine asks for.
    const CONTROL_FUNCTIONS: [&str; 6] =
        ["weir_buffer", "weir_lookup", "weir_next", "weir_read", "weir_readlink", "weir_stat"];

    /// The shims that are modules, by their names.
    fn shims() -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap().map(|entry| entry.unwrap().path());
        let shims = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        let shims = shims.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()));
        shims.filter(|(_, bytes)| !Parser::is_component(bytes)).collect()
    }

    #[test]
    fn shims_import_from_these_names_and_wasi_alone() {
        let mut imported = BTreeSet::new();
        for (path, bytes) in shims() {
            for (_, import) in &Module::parse(&bytes).unwrap().imports {
                let ours = RESERVED.contains(&import.module) || import.module == HOST;
                let wasi = ["wasi:", "[export]wasi:", "$root", "[export]$root"];
                let known =
                    ours || import.module == SNAPSHOT || wasi.iter().any(|name| import.module.starts_with(name));
                assert!(known, "{path} imports `{}.{}`", import.module, import.name);
                imported.insert(import.module.to_owned());
            }
        }
        for name in RESERVED.into_iter().chain([HOST]) {
            assert!(imported.contains(name), "no shim imports from `{name}`");
        }
    }

    #[test]
    fn shims_export_the_control_functions_and_leave_the_names_of_linking_free() {
        for (path, bytes) in shims() {
            let module = Module::parse(&bytes).unwrap();
            let names =
                |kind| module.exports.iter().filter(move |export| export.kind == kind).map(|export| export.name);
            assert!(names(ExternalKind::Memory).eq(["memory"]), "{path}");
            let control: BTreeSet<&str> = names(ExternalKind::Func).filter(|name| name.starts_with(CONTROL)).collect();
            let of_modules = module.imports.iter().any(|(_, import)| import.module == PROGRAM);
            let expected: &[&str] = if of_modules { &CONTROL_FUNCTIONS } else { &[] };
            assert!(control.iter().eq(expected), "{path}: {control:?}");
            let taken = |export: &wasmparser::Export<'_>| [MEMORY_EXPORT, EXIT_GLOBAL].contains(&export.name);
            assert!(!module.exports.iter().any(taken), "{path}");
        }
    }
}
