//! What the tests share: a small shim in text form, and questions about linked modules.

#![allow(dead_code, reason = "each test binary uses its own part")]

use wasmparser::{
    BinaryReader, ExternalKind, KnownCustom, Name, NameSectionReader, Operator, Parser, Payload, TypeRef, Validator,
    WasmFeatures,
};
use weir_link::p1::{P1_FUNCTIONS, UNSTABLE};
use weir_link::{LinkError, LinkOptions, Linked, link_unvalidated_with_shim, link_with_shim};

/// A shim that keeps the contract: every kind of import, a table, globals, data, dead code.
pub const SHIM: &str = r#"
(module $shim
  (type $unary (func (param i32) (result i32)))
  (type $dead (func (param f64) (result f64)))
  (import "weir:program" "load32" (func $load32 (param i32) (result i32)))
  (import "weir:program" "store32" (func $store32 (param i32 i32)))
  (import "weir:program" "store64" (func $store64 (param i32 i64)))
  (import "weir:program" "copy_out" (func $copy_out (param i32 i32 i32)))
  (import "weir:program" "copy_in" (func $copy_in (param i32 i32 i32)))
  (import "weir:program" "memory_size" (func $memory_size (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $host_fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $host_fd_sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $host_exit (param i32)))
  (import "weir" "blob_read" (func $blob_read (param i32 i64 i32 i32 i32) (result i32)))
  (import "weir" "stream_read" (func $stream_read (param i32 i32 i32 i32) (result i32)))
  (import "weir_hostdir" "path_open"
    (func $host_path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory $heap (export "memory") 3)
  (table $callbacks 4 funcref)
  (global $stack (mut i32) (i32.const 65536))
  (global $unused (mut i32) (i32.const 0))
  (global $base i32 (i32.const 1024))
  (elem $entries (i32.const 1) func $double $dead_entry $host_fd_sync)
  (data (i32.const 1024) "shim image")
  (data $image "passive image")
  (func $double (type $unary) local.get 0 i32.const 2 i32.mul)
  (func $dead_entry (type $dead) local.get 0)
  (func $never_called (param i32) (result i32) local.get 0 global.get $unused i32.add)
  (func $fd_write (export "fd_write") (param i32 i32 i32 i32) (result i32)
    local.get 0 local.get 1 local.get 2 local.get 3 call $host_fd_write)
  (func $fd_close (export "fd_close") (param i32) (result i32)
    local.get 0
    i32.const 1
    call_indirect (type $unary))
  (func $fd_filestat_get (export "fd_filestat_get") (param i32 i32) (result i32)
    local.get 1 i64.const 7 call $store64 i32.const 0)
  (func $old_filestat_get (export "unstable:fd_filestat_get") (param i32 i32) (result i32)
    local.get 1 i32.const 7 call $store32 i32.const 0)
  (func $fd_prestat_get (export "fd_prestat_get") (param i32 i32) (result i32)
    call $memory_size drop i32.const 8)
  (func $fd_readdir (export "fd_readdir") (param i32 i32 i32 i64 i32) (result i32)
    i32.const 1 i32.const 0 i32.const 0 i32.const 1 return_call $stream_read)
  (func $path_open (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    (local $scratch i32)
    global.get $stack i32.const 16 i32.sub local.tee $scratch global.set $stack
    local.get $scratch local.get 2 local.get 3 call $copy_in
    (block (result i32) local.get 8 call $load32)
    drop
    i32.const 0 i32.const 0 i32.const 4 memory.init $image
    local.get 8 i32.const 1024 i32.const 4 call $copy_out
    i32.const 0 i64.const 0 i32.const 1 i32.const 0 i32.const 8 call $blob_read
    if (result i32)
      local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6 local.get 7 local.get 8
      call $host_path_open
    else
      i32.const 44
    end
    global.get $base
    drop
    local.get $scratch i32.const 16 i32.add global.set $stack)
  (func $weir_sync (export "weir_sync") (param i32)
    local.get 0 call $host_exit)
)
"#;

/// Imports that random modules may choose from.
pub const RANDOM_IMPORTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_filestat_get" (func (param i32 i32) (result i32)))
  (import "wasi_unstable" "fd_sync" (func (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (import "env" "f" (func (param f64) (result i64)))
  (import "env" "table" (table 1 funcref))
  (import "env" "global" (global i32))
  (import "env" "tag" (tag (param i32))))"#;

/// Everything on, no tracing.
pub fn all() -> LinkOptions {
    LinkOptions { host_dirs: true, ..LinkOptions::default() }
}

/// Turns text into a module.
pub fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether a module is valid with every proposal.
pub fn validate(bytes: &[u8]) -> Result<(), String> {
    let result = Validator::new_with_features(WasmFeatures::all()).validate_all(bytes);
    result.map(drop).map_err(|error| error.to_string())
}

/// Links a text program with [`SHIM`]; the result must be valid, and the same without validation.
pub fn link(program: &str, options: &LinkOptions) -> Result<Linked, LinkError> {
    link_bytes(&wasm(program), options)
}

/// As [`link`] for bytes.
pub fn link_bytes(program: &[u8], options: &LinkOptions) -> Result<Linked, LinkError> {
    let shim = wasm(SHIM);
    let linked = link_with_shim(program, &shim, options)?;
    let again = link_unvalidated_with_shim(program, &shim, options).expect("validation only refuses");
    assert_eq!(linked.bytes, again.bytes);
    if let Err(error) = validate(&linked.bytes) {
        panic!("the linked module is invalid: {error}");
    }
    Ok(linked)
}

/// A program that imports and calls every function of WASI under one of its names.
pub fn everything(module: &str) -> String {
    let mut imports = String::new();
    let mut calls = String::new();
    for function in P1_FUNCTIONS {
        if module == UNSTABLE && function.name == "sock_accept" {
            continue;
        }
        let params: Vec<&str> = function.params.bytes().map(|ty| if ty == b'I' { "i64" } else { "i32" }).collect();
        let name = function.name;
        let result = if function.returns_errno { "(result i32)" } else { "" };
        imports += &format!(r#"(import "{module}" "{name}" (func ${name} (param {}) {result}))"#, params.join(" "));
        let zeros: String = params.iter().map(|ty| format!("{ty}.const 0 ")).collect();
        let drop = if function.returns_errno { "drop" } else { "" };
        calls += &format!("{zeros} call ${name} {drop}\n");
    }
    format!(r#"(module {imports} (memory (export "memory") 1) (func $main (export "_start") {calls}))"#)
}

/// What a module contains, in words.
#[derive(Default)]
pub struct Facts {
    /// `module.name` of every import.
    pub imports: Vec<String>,
    /// `name kind index` of every export.
    pub exports: Vec<String>,
    /// Names of functions by index, from the name section.
    pub names: Vec<(u32, String)>,
    /// The instructions of the defined functions, with called functions by name.
    pub code: Vec<(u32, Vec<String>)>,
    /// The functions of all element segments, by name.
    pub elements: Vec<String>,
    /// How many memories.
    pub memories: u32,
    /// The names of the custom sections.
    pub customs: Vec<String>,
    /// The start function, by name.
    pub start: Option<String>,
}

impl Facts {
    /// Reads a module.
    pub fn of(bytes: &[u8]) -> Facts {
        let mut facts = Facts::default();
        facts.read_names(bytes);
        let mut functions = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.unwrap() {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.unwrap();
                        facts.imports.push(format!("{}.{}", import.module, import.name));
                        functions += u32::from(matches!(import.ty, TypeRef::Func(_)));
                        facts.memories += u32::from(matches!(import.ty, TypeRef::Memory(_)));
                    }
                }
                Payload::MemorySection(section) => facts.memories += section.count(),
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.unwrap();
                        let what = match export.kind {
                            ExternalKind::Func => facts.name(export.index),
                            other => format!("{other:?} {}", export.index),
                        };
                        facts.exports.push(format!("{} = {what}", export.name));
                    }
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        let found = element_names(element.unwrap(), &facts);
                        facts.elements.extend(found);
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let code = body.get_operators_reader().unwrap().into_iter();
                    let code = code.map(|operator| facts.operator(operator.unwrap())).collect();
                    facts.code.push((functions, code));
                    functions += 1;
                }
                Payload::StartSection { func, .. } => facts.start = Some(facts.name(func)),
                Payload::CustomSection(section) => facts.customs.push(section.name().to_owned()),
                _ => {}
            }
        }
        facts
    }

    fn read_names(&mut self, bytes: &[u8]) {
        for payload in Parser::new(0).parse_all(bytes) {
            let Payload::CustomSection(section) = payload.unwrap() else { continue };
            let KnownCustom::Name(_) = section.as_known() else { continue };
            for name in NameSectionReader::new(BinaryReader::new(section.data(), 0)) {
                let Name::Function(map) = name.unwrap() else { continue };
                self.names
                    .extend(map.into_iter().map(Result::unwrap).map(|naming| (naming.index, naming.name.to_owned())));
            }
        }
        assert!(self.names.is_sorted(), "the name map is not in order");
    }

    /// The name of a function, or its number.
    pub fn name(&self, index: u32) -> String {
        let found = self.names.iter().find(|(at, _)| *at == index);
        found.map_or_else(|| format!("#{index}"), |(_, name)| name.clone())
    }

    /// The instructions of a function as one line.
    pub fn code_of(&self, name: &str) -> String {
        let found = self.code.iter().find(|(index, _)| self.name(*index) == name);
        found.unwrap_or_else(|| panic!("no function {name}: {:?}", self.names)).1.join("; ")
    }

    fn operator(&self, operator: Operator<'_>) -> String {
        match operator {
            Operator::Call { function_index } => format!("call {}", self.name(function_index)),
            Operator::ReturnCall { function_index } => format!("return_call {}", self.name(function_index)),
            Operator::RefFunc { function_index } => format!("ref.func {}", self.name(function_index)),
            other => format!("{other:?}"),
        }
    }
}

fn element_names(element: wasmparser::Element<'_>, facts: &Facts) -> Vec<String> {
    match element.items {
        wasmparser::ElementItems::Functions(items) => items.into_iter().map(|item| facts.name(item.unwrap())).collect(),
        wasmparser::ElementItems::Expressions(_, items) => {
            let first = |item: wasmparser::ConstExpr<'_>| facts.operator(item.get_operators_reader().read().unwrap());
            items.into_iter().map(|item| first(item.unwrap())).collect()
        }
    }
}
