//! Fuzzing of linking and inspecting with the shim that comes with weir.
//!
//! The first byte chooses the options and how the rest is read: as a module as it is, or as the
//! choices of a generator of valid modules. Whatever the input, there is an answer without a
//! panic; what links is valid; and a valid module is never refused as invalid.
//!
//!     cargo +nightly fuzz run link --fuzz-dir fuzz/link
#![no_main]

use libfuzzer_sys::{arbitrary::Unstructured, fuzz_target};
use wasm_smith::{Config, Module};
use wasmparser::{Validator, WasmFeatures};
use weir_link::{Exit, LinkOptions, inspect, link, link_unvalidated};

fuzz_target!(|data: &[u8]| {
    let [choice, rest @ ..] = data else { return };
    let options = LinkOptions {
        host_dirs: choice & 1 != 0,
        mounts: choice & 2 != 0,
        streams: choice & 4 != 0,
        control: choice & 8 != 0,
        trace: choice & 16 != 0,
        exit: if choice & 32 != 0 { Exit::Unwind } else { Exit::Host },
    };
    if choice & 64 == 0 {
        check(rest, &options);
    } else if let Some(program) = generate(rest, choice & 128 != 0) {
        check(&program, &options);
    }
});

/// A valid module that imports functions of WASI.
fn generate(bytes: &[u8], everything: bool) -> Option<Vec<u8>> {
    let config = Config {
        available_imports: Some(imports()),
        max_memories: 3,
        max_tables: 3,
        memory64_enabled: everything,
        threads_enabled: everything,
        generate_custom_sections: everything,
        export_everything: everything,
        ..Config::default()
    };
    Module::new(config, &mut Unstructured::new(bytes)).ok().map(|module| module.to_bytes())
}

/// A module that imports every function of WASI 0.1, in bytes: the types of the table in words.
fn imports() -> Vec<u8> {
    let mut types = Vec::new();
    let mut imports = Vec::new();
    let count = weir_link::p1::P1_FUNCTIONS.len() as u8;
    for (at, function) in weir_link::p1::P1_FUNCTIONS.iter().enumerate() {
        types.extend([0x60, function.params.len() as u8]);
        types.extend(function.params.bytes().map(|letter| if letter == b'I' { 0x7e } else { 0x7f }));
        types.extend(if function.returns_errno { &[1, 0x7f][..] } else { &[0][..] });
        for name in [weir_link::p1::SNAPSHOT, function.name] {
            imports.push(name.len() as u8);
            imports.extend(name.bytes());
        }
        imports.extend([0, at as u8]);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, items) in [(1, types), (2, imports)] {
        let size = items.len() + 1;
        module.extend([id, (size & 0x7f) as u8 | 0x80, (size >> 7) as u8, count]);
        module.extend(items);
    }
    module
}

fn check(program: &[u8], options: &LinkOptions) {
    let valid = is_valid(program);
    match link(program, options) {
        Ok(linked) => assert!(is_valid(&linked.bytes), "the linked module is invalid"),
        Err(error) => {
            assert!(!error.is_internal(), "{error}");
            assert!(!valid || !error.is_invalid() || error.is_component(), "{error}");
        }
    }
    let unvalidated = link_unvalidated(program, options);
    if valid && let Ok(linked) = unvalidated {
        assert!(is_valid(&linked.bytes), "the linked module is invalid");
    }
    let inspected = inspect(program);
    assert!(!valid || inspected.is_ok(), "a valid program cannot be inspected");
}

fn is_valid(bytes: &[u8]) -> bool {
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).is_ok()
}
