//! Fuzzes lifting: whatever the program, there is an answer without a panic that is no fault of weir, and what comes of
//! it is a valid component whose interface can be read.
//!
//! The first byte chooses the binding and how the rest is read: as choices of a generator of valid commands that import
//! functions of WASI 0.1 and 0.2, alone or in a component, or as changes of such a command. `fuzz/driver.rs` says how it
//! is run.

#[path = "../../driver.rs"]
mod driver;

use arbitrary::Unstructured;
use std::fmt::Write;
use std::sync::LazyLock;
use wasm_smith::{Config, Module};
use wasmparser::{Validator, WasmFeatures};
use weir_link::lift::{Binding, draft, lift, wit};
use weir_link::p1::{P1_FUNCTIONS, SNAPSHOT};

/// Functions of many types, with what they bind.
const BINDINGS: [&str; 8] = [
    "export = \"f: func() -> result<_, failure>\"",
    "export = \"f: func(a: string) -> result<string, failure>\"\nstdin = \"a\"\nstdout = \"result\"\npinned = true",
    "export = \"f: func(a: list<u8>, b: option<s64>) -> result<tuple<list<u8>, u32>, failure>\"\n\
     argv = [\"p\", { if = \"b\", then = [\"{b}\"] }]\nexit-code = \"result.1\"\n[files]\n\"/a\" = \"a\"\n\"/b\" = \"result.0\"",
    "export = \"f: func(d: list<tuple<string, list<u8>>>) -> result<list<tuple<string, string>>, failure>\"\n\
     [files]\n\"/in/\" = \"d\"\n\"/out/\" = \"result\"",
    "export = \"f: async func(a: stream<u8>) -> tuple<stream<u8>, future<result<_, failure>>>\"\n\
     stdin = \"a\"\nstdout = \"result.0\"",
    "export = \"f: async func(a: stream<u8>) -> result<string, failure>\"\nstdout = \"result\"\n[files]\n\"/a\" = \"a\"",
    "export = \"f: func(a: input-stream, b: output-stream) -> result<_, failure>\"\nstdin = \"a\"\nstdout = \"b\"",
    "",
];

/// Functions of WASI 0.2 with the types that they have as core functions: interface, name, parameters, result.
const OF_P2: [(&str, &str, &str, &str); 7] = [
    ("wasi:filesystem/preopens@0.2.0", "get-directories", "i32", ""),
    ("wasi:filesystem/types@0.2.0", "[method]descriptor.open-at", "i32 i32 i32 i32 i32 i32 i32", ""),
    ("wasi:io/streams@0.2.0", "[method]input-stream.read", "i32 i64 i32", ""),
    ("wasi:cli/stdin@0.2.0", "get-stdin", "", "(result i32)"),
    ("wasi:cli/exit@0.2.0", "exit", "i32", ""),
    ("wasi:clocks/wall-clock@0.2.0", "now", "i32", ""),
    ("wasi:sockets/network@0.2.0", "[resource-drop]network", "i32", ""),
];

/// Modules that a generated one imports from, and that it exports like.
static IMPORTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut text = "(module".to_owned();
    for function in P1_FUNCTIONS {
        let params: Vec<&str> =
            function.params.bytes().map(|letter| if letter == b'I' { "i64" } else { "i32" }).collect();
        let result = if function.returns_errno { "(result i32)" } else { "" };
        let name = function.name;
        let _ = write!(text, "(import {SNAPSHOT:?} {name:?} (func (param {}) {result}))", params.join(" "));
    }
    for (interface, name, params, result) in OF_P2 {
        let _ = write!(text, "(import {interface:?} {name:?} (func (param {params}) {result}))");
    }
    wat::parse_str(text + ")").expect("the imports are a module")
});
static COMMANDS: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let realloc = "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) unreachable)";
    [
        "(func (export \"_start\"))".to_owned(),
        format!("(func (export \"_start\")) {realloc}"),
        format!("(func (export \"wasi:cli/run@0.2.0#run\") (result i32) unreachable) {realloc}"),
    ]
    .map(|fields| wat::parse_str(format!("(module {fields})")).expect("the exports are a module"))
});

fn main() {
    driver::main(one, |random| {
        let len = 16 + random.below(3000);
        random.bytes(len)
    });
}

fn one(bytes: &[u8]) {
    let [binding, how, rest @ ..] = bytes else { return };
    let text = format!("program = \"p\"\n{}", BINDINGS[usize::from(*binding) % BINDINGS.len()]);
    let binding = Binding::parse(&text).expect("the bindings are right");
    // Text of its own: it is read to an end.
    let _ = Binding::parse(&String::from_utf8_lossy(rest));
    let paths: Vec<String> =
        rest.chunks(9).take(6).map(|bytes| format!("/{}", String::from_utf8_lossy(bytes))).collect();
    let drafted = draft("p", &paths[..paths.len() / 2], &paths[paths.len() / 2..]);
    if let Err(error) = Binding::parse(&drafted) {
        panic!("a draft is refused: {error}\n{drafted}");
    }
    let Some(mut program) = generate(rest, usize::from(*how)) else { return };
    if how & 8 != 0 {
        program = in_component(&program);
    }
    if how & 80 == 80 {
        for change in rest.chunks_exact(4).take(3) {
            let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % program.len();
            program[place] ^= change[2];
        }
    }
    match lift(&program, &binding) {
        Ok(lifted) => {
            if let Err(error) = Validator::new_with_features(WasmFeatures::all()).validate_all(&lifted.bytes) {
                panic!("the component is invalid: {error}");
            }
            wit(&lifted.bytes).expect("its interface can be read");
        }
        Err(error) => assert!(!error.to_string().contains("a fault of weir"), "{error}"),
    }
}

/// A command.
fn generate(bytes: &[u8], how: usize) -> Option<Vec<u8>> {
    let config = Config {
        available_imports: Some(IMPORTS.clone()),
        exports: Some(COMMANDS[how % COMMANDS.len()].clone()),
        max_memories: 3,
        max_tables: 3,
        min_memories: 1,
        max_imports: 20,
        generate_custom_sections: how & 32 != 0,
        // Both are refused at once.
        memory64_enabled: false,
        threads_enabled: false,
        ..Config::default()
    };
    Module::new(config, &mut Unstructured::new(bytes)).ok().map(|module| module.to_bytes())
}

/// A component of this one module.
fn in_component(module: &[u8]) -> Vec<u8> {
    let mut out = b"\0asm\x0d\0\x01\0\x01".to_vec();
    let mut len = module.len();
    while len > 0x7f {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(module);
    out
}
