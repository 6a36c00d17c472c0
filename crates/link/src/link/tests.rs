//! Several programs, each with its own shim, as one module.

use super::*;
use arbitrary::Unstructured;
use std::collections::BTreeMap;
use wasm_encoder::ValType;
use wasmparser::{ExternalKind, Operator, Payload};
use weir_vfs::pack::Codec;

/// A shim that reads and writes its program's memory, and has something of everything that gets a new number.
const SHIM: &str = r#"(module
  (type $step (func (param i32) (result i32)))
  (import "weir:program" "load32" (func $load32 (param i32) (result i32)))
  (import "weir:program" "copy_out" (func $copy_out (param i32 i32 i32)))
  (import "weir:pack" "size" (func $size (result i32)))
  (import "weir:pack" "init_program" (func $init_program (param i32 i32 i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (table 2 funcref)
  (global $calls (mut i32) (i32.const 0))
  (elem (i32.const 1) func $double)
  (elem declare func $fd_write)
  (elem $late func $double)
  (data $name "shim")
  (func $double (type $step) (i32.mul (local.get 0) (i32.const 2)))
  (func (export "path_open") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (memory.init $name (i32.const 0) (i32.const 0) (i32.const 4))
    (table.init $late (i32.const 0) (i32.const 0) (i32.const 1))
    (call $copy_out (local.get 8) (i32.const 0) (i32.const 4))
    (drop (ref.func $fd_write))
    (if (call $size) (then (call $init_program (i32.const 80) (i32.const 0) (i32.const 4))))
    (if (i32.eqz (local.get 0)) (then (call $proc_exit (i32.const 7))))
    (call_indirect (type $step) (call $load32 (local.get 2)) (i32.const 1)))
  (func (export "weir_calls") (result i32) (global.get $calls)))"#;

/// A program with an import of its own that opens what its memory holds at `at`, and exits if `fd` is 0.
fn toy(own: &str, fd: u32, at: u32) -> Vec<u8> {
    let text = format!(
        r#"(module
          (type $main (func (result i32)))
          {own}
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (global $fd (mut i32) (i32.const {fd}))
          (table $t 2 funcref)
          (elem (table $t) (i32.const 0) func $open)
          (elem $late func $main)
          (tag $oops (param i32))
          (data (i32.const {at}) "\15\00\00\00")
          (data $more "at {at}")
          (func $main (type $main)
            (call $open (global.get $fd) (i32.const 0) (i32.const {at}) (i32.const 1) (i32.const 0)
              (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 64)))
          (func (export "run") (result i32)
            (memory.init $more (i32.const 128) (i32.const 0) (i32.const 4))
            (table.init $t $late (i32.const 1) (i32.const 0) (i32.const 1))
            (block $caught (result i32)
              (try_table (catch $oops $caught) (throw $oops (i32.const 1)))
              (unreachable))
            (call_indirect $t (type $main)))
          (func (export "read") (param i32) (result i32) (i32.load (local.get 0))))"#
    );
    wat::parse_str(text).unwrap()
}

const PROPOSALS: &str = include_str!("../../tests/programs/proposals.wat");
const REFERENCES: &str = include_str!("../../tests/programs/references.wat");
const EVERY_SECTION: &str = include_str!("../../tests/programs/small.wat");

fn merged(programs: &[(&str, Vec<u8>)], options: &LinkOptions) -> Result<Linked, LinkError> {
    let shim = wat::parse_str(SHIM).unwrap();
    with_shim(programs, &shim, options, |_| None)
}

/// With this shim each, and what `carries` gives to each.
fn with_shim<'a>(
    programs: &'a [(&str, Vec<u8>)],
    shim: &'a [u8],
    options: &LinkOptions,
    carries: impl Fn(usize) -> Option<Carry<'a>>,
) -> Result<Linked, LinkError> {
    let inputs = programs.iter().enumerate();
    let inputs = inputs.map(|(at, (label, program))| input(label, program, shim, carries(at)));
    merge(inputs.collect::<Result<_, _>>()?, options)
}

fn validate(linked: &Linked) {
    let validated = Validator::new_with_features(WasmFeatures::all()).validate_all(&linked.bytes);
    validated.unwrap_or_else(|error| panic!("the merged module is invalid: {error}"));
}

/// The exports of a module by their names, and the instructions of its functions by their numbers.
type Contents<'m> = (BTreeMap<&'m str, (ExternalKind, u32)>, BTreeMap<u32, Vec<Operator<'m>>>);

fn contents(bytes: &[u8]) -> Contents<'_> {
    let (mut exports, mut code, mut imported) = (BTreeMap::new(), BTreeMap::new(), 0);
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                let all = section.into_imports().map(Result::unwrap);
                imported = all.filter(|import| matches!(import.ty, wasmparser::TypeRef::Func(_))).count() as u32;
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(Result::unwrap).map(|at| (at.name, (at.kind, at.index))));
            }
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader().unwrap().into_iter().map(Result::unwrap);
                code.insert(imported + code.len() as u32, operators.collect());
            }
            _ => {}
        }
    }
    (exports, code)
}

#[test]
fn two_programs_with_a_shim_each_are_one_module() {
    let programs = [("a:", toy("", 3, 16)), ("b:", toy(r#"(import "env" "g" (global i32))"#, 0, 32))];
    let linked = merged(&programs, &LinkOptions { exit: Exit::Unwind, ..LinkOptions::default() }).unwrap();
    validate(&linked);
    assert!(linked.report.shim_linked && linked.report.resolved.len() == 2);
    let (exports, code) = contents(&linked.bytes);
    let index = |name: &str| exports.get(name).unwrap_or_else(|| panic!("no {name}: {exports:?}")).1;
    for (own, other) in [("a:", "b:"), ("b:", "a:")] {
        for name in ["memory", "weir_memory", "weir_calls", "weir_exit", "run"] {
            assert_ne!(index(&format!("{own}{name}")), index(&format!("{other}{name}")), "{name}");
        }
        let (program, shim) = (index(&format!("{own}memory")), index(&format!("{own}weir_memory")));
        let operators = |function: u32| format!("{:?}", code[&function]);
        let read = operators(called(&code, index(&format!("{own}read"))));
        assert!(read.contains(&format!("memory: {program} ")), "{read}");
        // What the program opens is served by the shim that works on its memory, and on none else.
        let open = served(&code, &exports, own);
        let served = operators(open);
        assert!(served.contains(&format!("MemoryCopy {{ dst_mem: {program}, src_mem: {shim} }}")), "{served}");
        assert!(served.contains(&format!("memory: {program} ")), "{served}");
        assert!(served.contains(&format!("mem: {shim} ")), "{served}");
    }
}

/// The last function that another one calls.
fn called(code: &BTreeMap<u32, Vec<Operator<'_>>>, function: u32) -> u32 {
    let mut calls = code[&function].iter().filter_map(|operator| match operator {
        Operator::Call { function_index } => Some(*function_index),
        _ => None,
    });
    calls.next_back().unwrap()
}

/// The function that serves the first function which a program defines.
fn served(code: &BTreeMap<u32, Vec<Operator<'_>>>, exports: &BTreeMap<&str, (ExternalKind, u32)>, label: &str) -> u32 {
    let run = called(code, exports[format!("{label}run").as_str()].1);
    // It stands before `run`.
    called(code, run - 1)
}

/// The segment of which this code initializes a table, and the one of which it initializes this memory.
fn initialized(code: &[Operator<'_>], memory: u32) -> (u32, u32) {
    let of_table = code.iter().find_map(|operator| match operator {
        Operator::TableInit { elem_index, .. } => Some(*elem_index),
        _ => None,
    });
    let of_memory = code.iter().find_map(|operator| match operator {
        Operator::MemoryInit { data_index, mem } if *mem == memory => Some(*data_index),
        _ => None,
    });
    (of_table.unwrap(), of_memory.unwrap())
}

#[test]
fn segments_are_those_of_the_same_part() {
    let programs = [("a:", toy("", 1, 16)), ("b:", toy(r#"(import "env" "t" (table 1 funcref))"#, 1, 32))];
    let linked = merged(&programs, &LinkOptions { exit: Exit::Unwind, ..LinkOptions::default() }).unwrap();
    validate(&linked);
    let (exports, code) = contents(&linked.bytes);
    let module = Module::parse(&linked.bytes).unwrap();
    let data: Vec<_> = module.data().unwrap().map(|segment| segment.unwrap().data).collect();
    let elements: Vec<(bool, u32)> = module.elements.iter().map(first_of).collect();
    for (label, at) in [("a:", 16), ("b:", 32)] {
        let index = |name: &str| exports[format!("{label}{name}").as_str()].1;
        let run = called(&code, index("run"));
        let (element, segment) = initialized(&code[&run], index("memory"));
        assert_eq!(data[segment as usize], format!("at {at}").as_bytes());
        assert_eq!(elements[element as usize], (true, run - 1));
        let served = served(&code, &exports, label);
        let (element, segment) = initialized(&code[&served], index("weir_memory"));
        assert_eq!(data[segment as usize], b"shim");
        // It stands before what serves.
        assert_eq!(elements[element as usize], (true, served - 1));
    }
}

/// Whether an element segment is passive, and its first function.
fn first_of(element: &wasmparser::Element<'_>) -> (bool, u32) {
    let first = match &element.items {
        wasmparser::ElementItems::Functions(items) => items.clone().into_iter().next().unwrap().unwrap(),
        wasmparser::ElementItems::Expressions(..) => u32::MAX,
    };
    (matches!(element.kind, wasmparser::ElementKind::Passive), first)
}

#[test]
fn programs_of_every_kind_are_one_module() {
    let wasm = |text: &str| wat::parse_str(text).unwrap();
    let all = [
        ("1:", wasm(PROPOSALS)),
        ("2:", wasm(REFERENCES)),
        ("3:", wasm(EVERY_SECTION)),
        ("4:", toy("", 0, 8)),
        ("5:", wasm(r#"(module (func (export "alone")))"#)),
        ("6:", wasm(PROPOSALS)),
    ];
    let none =
        LinkOptions { host_dirs: false, mounts: false, streams: false, control: false, trace: false, exit: Exit::Host };
    for options in [none, LinkOptions { trace: true, exit: Exit::Unwind, ..LinkOptions::default() }] {
        for count in 1..=all.len() {
            validate(&merged(&all[..count], &options).unwrap());
            validate(&merged(&all[all.len() - count..], &options).unwrap());
        }
    }
}

#[test]
fn each_program_carries_its_own_files() {
    let shim = wat::parse_str(SHIM).unwrap();
    let programs = [("a:", toy("", 1, 8)), ("b:", toy("", 1, 8))];
    let segments = ["files of a", "files of b"];
    let carries = |at: usize| {
        let segment = segments[at].as_bytes();
        Some(Carry { segment, codec: Codec::None, entry: false, purpose: Purpose::Run })
    };
    let options = LinkOptions { exit: Exit::Unwind, ..LinkOptions::default() };
    let linked = with_shim(&programs, &shim, &options, carries).unwrap();
    validate(&linked);
    let (exports, code) = contents(&linked.bytes);
    let module = Module::parse(&linked.bytes).unwrap();
    let data: Vec<_> = module.data().unwrap().map(|segment| segment.unwrap().data).collect();
    for (label, segment) in ["a:", "b:"].into_iter().zip(segments) {
        let memory = exports[format!("{label}memory").as_str()].1;
        let served = &code[&served(&code, &exports, label)];
        let into_program = served.iter().find_map(|operator| match operator {
            Operator::MemoryInit { data_index, mem } if *mem == memory => Some(data[*data_index as usize]),
            _ => None,
        });
        assert_eq!(into_program, Some(segment.as_bytes()));
    }
}

#[test]
fn the_shims_of_weir_are_there_once_for_each() {
    let text = include_str!("../../tests/programs/lifted.wat");
    let realloc = r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)"#;
    let library = text.replace("(func $helper", &format!("{realloc} (func $helper"));
    let wasm = |text: &str| wat::parse_str(text).unwrap();
    let programs = [("a:", wasm(text)), ("b:", wasm(&library)), ("c:", wasm(PROPOSALS))];
    let options = LinkOptions { exit: Exit::Unwind, ..LinkOptions::default() };
    let linked = with_shim(&programs, crate::SHIM, &options, |_| None).unwrap();
    validate(&linked);
    let segment = [0; 64];
    let carry = |purpose| Some(Carry { segment: &segment, codec: Codec::Zstd, entry: false, purpose });
    let lift = Lift { name: "f", params: &[ValType::I32, ValType::F64], pinned: true, flow: None };
    let linked = with_shim(&programs[..2], crate::builtin::LIFT_SHIM, &options, |at| match at {
        0 => carry(Purpose::Function(lift)),
        _ => carry(Purpose::Library { pinned: false }),
    });
    let linked = linked.unwrap();
    validate(&linked);
    let exports: Vec<&str> = contents(&linked.bytes).0.into_keys().collect();
    let of_function = ["a:cabi_realloc", "a:f", "a:memory"];
    let of_library = ["b:_initialize", "b:_start", "b:cabi_realloc", "b:helper", "b:memory"];
    assert_eq!(exports, [&of_function[..], &of_library].concat());
}

#[test]
fn what_two_programs_export_has_two_names() {
    let error = merged(&[("", toy("", 1, 8)), ("", toy("", 1, 8))], &LinkOptions::default()).unwrap_err();
    assert!(matches!(error.kind(), crate::LinkErrorKind::ExportTaken { name, .. } if name == "memory"), "{error}");
}

#[test]
fn indices_beyond_a_program_do_not_reach_the_other() {
    for (instruction, what) in [
        ("(drop (i32.load 1 (i32.const 0)))", "memory"),
        ("(drop (global.get 9))", "global"),
        ("(drop (ref.func 9))", "function"),
        ("(data.drop 9)", "data segment"),
        ("(throw 9)", "tag"),
        ("(block (type 9))", "type"),
    ] {
        let wrong = wat::parse_str(format!(r#"(module (memory 1) (func {instruction}))"#)).unwrap();
        let error = merged(&[("a:", toy("", 1, 8)), ("b:", wrong)], &LinkOptions::default()).unwrap_err();
        assert!(error.is_invalid() && error.to_string().contains(&format!("{what} index")), "{instruction}: {error}");
    }
}

#[test]
fn random_programs_are_one_valid_module() {
    let imports = wat::parse_str(
        r#"(module
          (import "wasi_snapshot_preview1" "path_open"
            (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
          (import "env" "f" (func (param f64) (result i64)))
          (import "env" "table" (table 1 funcref))
          (import "env" "global" (global i32))
          (import "env" "tag" (tag (param i32))))"#,
    )
    .unwrap();
    let mut state = 1u64;
    let mut random = |seed: u32| {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(2_000)
        .collect();
        let config = wasm_smith::Config {
            available_imports: Some(imports.clone()),
            max_imports: 8,
            min_memories: 1,
            max_memories: 2,
            gc_enabled: seed.is_multiple_of(2),
            exceptions_enabled: true,
            export_everything: true,
            ..wasm_smith::Config::default()
        };
        wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).map(|module| module.to_bytes())
    };
    let mut valid = 0;
    for seed in 0..150 {
        let (Ok(first), Ok(second)) = (random(seed), random(seed)) else { continue };
        let exit = if seed % 3 == 0 { Exit::Unwind } else { Exit::Host };
        let options = LinkOptions { trace: seed % 5 == 0, exit, ..LinkOptions::default() };
        match merged(&[("a:", first), ("b:", second)], &options) {
            Ok(linked) => {
                validate(&linked);
                valid += 1;
            }
            // Some have a memory that cannot be used.
            Err(error) => assert!(!error.is_internal() && !error.is_invalid(), "{error}"),
        }
    }
    assert!(valid > 50, "{valid}");
}
