//! Linking what nobody wrote: random valid modules, truncated and corrupted ones, lying sizes.

mod common;

use arbitrary::Unstructured;
use common::{RANDOM_IMPORTS, SHIM, all, validate, wasm};
use proptest::prelude::*;
use std::collections::BTreeMap;
use wasm_smith::{Config, Module};
use wasmparser::{Operator, Parser, Payload, TypeRef};
use weir_link::{Exit, LinkOptions, inspect, link_unvalidated_with_shim, link_with_shim};

/// 400, or what `PROPTEST_CASES` asks for.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400)
}

fn config(seed: u8) -> Config {
    Config {
        available_imports: Some(wasm(RANDOM_IMPORTS)),
        min_imports: 1,
        max_imports: 20,
        max_memories: 3,
        min_memories: u32::from(seed & 1),
        max_tables: 3,
        memory64_enabled: seed & 2 != 0,
        threads_enabled: seed & 4 != 0,
        gc_enabled: seed & 8 != 0,
        export_everything: seed & 16 != 0,
        generate_custom_sections: seed & 32 != 0,
        wide_arithmetic_enabled: true,
        min_uleb_size: 1 + (seed >> 6),
        ..Config::default()
    }
}

fn options(bits: u8) -> LinkOptions {
    LinkOptions {
        host_dirs: bits & 1 != 0,
        mounts: bits & 2 != 0,
        streams: bits & 4 != 0,
        control: bits & 8 != 0,
        trace: bits & 16 != 0,
        exit: if bits & 32 != 0 { Exit::Unwind } else { Exit::Host },
    }
}

/// The operators of all defined functions, and how many functions are imported.
fn code(bytes: &[u8]) -> (u32, Vec<Vec<Operator<'_>>>) {
    let mut imported = 0;
    let mut all = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                let functions =
                    section.into_imports().filter(|import| matches!(import.as_ref().unwrap().ty, TypeRef::Func(_)));
                imported = functions.count() as u32;
            }
            Payload::CodeSectionEntry(body) => {
                all.push(body.get_operators_reader().unwrap().into_iter().map(Result::unwrap).collect());
            }
            _ => {}
        }
    }
    (imported, all)
}

/// Function indices in order, and the operator with them taken out.
fn split(operator: &Operator<'_>) -> (Option<u32>, String) {
    match operator {
        Operator::Call { function_index } => (Some(*function_index), "call".into()),
        Operator::ReturnCall { function_index } => (Some(*function_index), "return_call".into()),
        Operator::RefFunc { function_index } => (Some(*function_index), "ref.func".into()),
        other => (None, format!("{other:?}")),
    }
}

/// The program's code is the same but for the numbers of functions, which move together.
fn same_code(before: &[u8], after: &[u8]) {
    let (imported, old) = code(before);
    let (imported_after, new) = code(after);
    let mut moved = BTreeMap::new();
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(old.len(), new.len());
        for (old, new) in old.iter().zip(new) {
            let ((old_function, old), (new_function, new)) = (split(old), split(new));
            assert_eq!(old, new);
            let (Some(old), Some(new)) = (old_function, new_function) else { continue };
            let expected =
                if old < imported { *moved.entry(old).or_insert(new) } else { old - imported + imported_after };
            assert_eq!(new, expected);
        }
    }
}

/// Whatever the bytes are, there is an answer; a good one is valid.
fn any_answer(bytes: &[u8], options: &LinkOptions) {
    let shim = wasm(SHIM);
    match link_with_shim(bytes, &shim, options) {
        Ok(linked) => validate(&linked.bytes).unwrap(),
        Err(error) => assert!(!error.is_internal(), "{error}"),
    }
    if let Ok(linked) = link_unvalidated_with_shim(bytes, &shim, options)
        && validate(bytes).is_ok()
    {
        validate(&linked.bytes).unwrap();
    }
    let _ = inspect(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_valid_modules_link_to_valid_ones(
        bytes in proptest::collection::vec(any::<u8>(), 0..6000),
        seed: u8,
        choice: u8,
    ) {
        let mut source = Unstructured::new(&bytes);
        let Ok(module) = Module::new(config(seed), &mut source) else { return Ok(()) };
        let program = module.to_bytes();
        prop_assert!(validate(&program).is_ok());
        let shim = wasm(SHIM);
        match link_with_shim(&program, &shim, &options(choice)) {
            Ok(linked) => {
                if let Err(error) = validate(&linked.bytes) {
                    panic!("{error}");
                }
                same_code(&program, &linked.bytes);
            }
            Err(error) => prop_assert!(!error.is_internal() && !error.is_invalid(), "{}", error),
        }
        prop_assert!(inspect(&program).is_ok());
    }

    #[test]
    fn corrupted_modules_are_answered(at in 0usize..100_000, byte: u8, choice: u8) {
        let mut program = small();
        let at = at % program.len();
        program[at] = byte;
        any_answer(&program, &options(choice));
    }
}

/// A module with every section.
fn small() -> Vec<u8> {
    wasm(include_str!("programs/small.wat"))
}

#[test]
fn truncated_modules_are_answered() {
    let program = small();
    validate(&program).unwrap();
    for options in [all(), LinkOptions { exit: Exit::Unwind, trace: true, ..all() }] {
        for length in 0..=program.len() {
            any_answer(&program[..length], &options);
        }
    }
}

#[test]
fn lying_sizes_and_counts_cost_nothing() {
    // A count of 2^32 - 1 in every section, with a section size that fits and one that does not.
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    for id in 0..=14u8 {
        for size in [&[5u8][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0x80, 0x80, 0x80, 0x80, 0x04]] {
            let mut bytes = b"\0asm\x01\0\0\0".to_vec();
            bytes.push(id);
            bytes.extend_from_slice(size);
            bytes.extend_from_slice(&most);
            let before = std::time::Instant::now();
            any_answer(&bytes, &all());
            assert!(before.elapsed().as_millis() < 1000, "section {id}");
        }
    }
}

#[test]
fn bytes_in_place_of_a_section_are_answered() {
    // Every byte of a small module replaced by those that matter most in LEB128.
    let program = small();
    for at in 8..program.len() {
        for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut program = program.clone();
            program[at] = byte;
            any_answer(&program, &all());
        }
    }
}
