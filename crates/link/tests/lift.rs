//! Lifting: what a component imports and exports, and bindings that do not match.

mod common;

use common::{validate, wasm};
use weir_link::lift::{Binding, lift, wit};

/// A program that asks for time, randomness and its arguments, and exits.
const PROGRAM: &str = include_str!("programs/lifted.wat");

const HEAD: &str = "program = \"p.wasm\"\n";

fn binding(rest: &str) -> Binding {
    Binding::parse(&format!("{HEAD}{rest}")).unwrap()
}

/// A function of this type that gives what the program prints.
fn printing(export: &str) -> Binding {
    binding(&format!("export = \"{export}\"\nargv = [\"p\"]\nstdout = \"result\"\n"))
}

#[test]
fn clock_and_randomness_are_imported_where_the_program_can_ask_for_them() {
    let export = "f: func() -> result<string, failure>";
    let lifted = lift(&wasm(PROGRAM), &printing(export)).unwrap();
    validate(&lifted.bytes).unwrap();
    let all = ["wasi:clocks/monotonic-clock@0.2.0", "wasi:clocks/wall-clock@0.2.0", "wasi:random/random@0.2.0"];
    assert_eq!(lifted.report.imports, all);
    let pinned = Binding { pinned: true, ..printing(export) };
    assert!(lift(&wasm(PROGRAM), &pinned).unwrap().report.imports.is_empty());
    let plain = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    let lifted = lift(&wasm(plain), &printing(export)).unwrap();
    assert!(lifted.report.imports.is_empty());
    let text = wit(&lifted.bytes).unwrap();
    assert!(text.contains("export weir:lifted/api;") && text.contains(export), "{text}");
    assert!(!text.contains("import"), "{text}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let binding = printing("f: func(a: string, b: option<u64>) -> result<list<u8>, failure>");
    assert!(lift(&wasm(PROGRAM), &binding).unwrap().bytes == lift(&wasm(PROGRAM), &binding).unwrap().bytes);
}

#[test]
fn types_of_every_kind_make_a_valid_component() {
    for params in [
        "a: bool, b: s8, c: u8, d: s16, e: u16, f: s32, g: u32, h: s64, i: u64, j: f32, k: f64, l: char, m: string",
        // More core values than parameters may have: they come in memory.
        "a: string, b: string, c: string, d: string, e: string, f: string, g: string, h: string, i: string",
        "a: map<string, list<u8>>, b: list<u16, 3>, c: option<map<u32, tuple<f32, string>>>, d: list<list<u8, 20>>",
        "a: option<f32>, b: tuple<u8, option<f64>>, c: list<tuple<string, list<u8>>>, d: result<u8, string>, e: r",
    ] {
        let binding = binding(&format!(
            "types = \"record r {{ x: u8, y: v }} variant v {{ a(u64), b(f32), c }} enum e {{ p, q }} flags g {{ s, t }}\"\n\
             export = \"f: func({params}, last-one: e, last-two: g) -> result<string, failure>\"\nstdout = \"result\"\n"
        ));
        validate(&lift(&wasm(PROGRAM), &binding).unwrap().bytes).unwrap();
    }
}

#[test]
fn bindings_that_do_not_match_are_told_where() {
    let export = "export = \"f: func(a: string, n: option<u32>, l: list<string>) -> result<string, failure>\"\n";
    for (rest, words) in [
        ("export = \"f: func(\"\nstdout = \"result\"\n".to_owned(), "is no WIT"),
        ("export = \"f: func() -> string\"\nstdout = \"result\"\n".into(), "gives no `result<..., failure>`"),
        ("export = \"f: func(); g: func()\"\n".into(), "one function"),
        (export.into(), "nothing is the result"),
        (format!("{export}stdout = \"a\"\n"), "what the program writes is \"result\""),
        (format!("{export}stdout = \"result.x\"\n"), "has no part \"x\""),
        (format!("{export}stdout = \"result\"\nstdin = \"b\"\n"), "\"b\" is no parameter of"),
        (format!("{export}stdout = \"result\"\nstdin = \"n\"\n"), "\"n\" is `option<u32>`, not string or list<u8>"),
        (format!("{export}stdout = \"result\"\nargv = [\"{{b}}\"]\n"), "there are: a, n, l"),
        (format!("{export}stdout = \"result\"\nargv = [\"{{l}}\"]\n"), "no text for an argument"),
        (format!("{export}stdout = \"result\"\nargv = [\"{{}}\"]\n"), "the item of an `each` over texts or numbers"),
        (format!("{export}stdout = \"result\"\nargv = [\"{{a\"]\n"), "a brace without its other one"),
        (
            "export = \"f: func(m: map<string, string>) -> result<string, failure>\"\nstdout = \"result\"\n\
             argv = [{ each = \"m\", then = [\"{}\"] }]\n"
                .into(),
            "over texts or numbers",
        ),
        (
            format!("{export}stdout = \"result\"\nargv = [{{ each = \"a\", then = [] }}]\n"),
            "it is `string`, not a list",
        ),
        (format!("{export}stdout = \"result\"\n[files]\n\"../x\" = \"a\"\n"), "a path is absolute"),
        (format!("{export}stdout = \"result\"\n[files]\n\"/x\" = \"result\"\n"), "that something else is, too"),
        (format!("{export}stdout = \"result\"\n[files]\n\"/x/\" = \"a\"\n"), "not list<tuple<string, list<u8>>>"),
        ("export = \"f: func(a: list<u8, 2000>) -> result<string, failure>\"\n".into(), "longer than 1024"),
    ] {
        let error = lift(&wasm(PROGRAM), &binding(&rest)).unwrap_err().to_string();
        assert!(error.contains(words), "{rest}: {error}");
    }
    let error = Binding::parse("program = \"p\"\nexport = \"f\"\nargs = []\n").unwrap_err().to_string();
    assert!(error.contains("unknown field `args`") && error.contains("line 3"), "{error}");
}

#[test]
fn programs_that_cannot_be_lifted_are_told_why() {
    let binding = printing("f: func() -> result<string, failure>");
    let library = r#"(module (memory (export "memory") 1) (func (export "f")))"#;
    let foreign = r#"(module (import "env" "f" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    for (program, words) in [
        (wasm(library), "no function `_start`"),
        (wasm(foreign), "`env.f`, which nobody could give"),
        (wasm("(component)"), "build it for WASI 0.1"),
        (b"nothing".to_vec(), "first bytes"),
    ] {
        let error = lift(&program, &binding).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// A module with typed functions for WASI 0.2, as a component.
fn component_of(module: &str, wit: &str) -> Vec<u8> {
    let mut module = wasm(module);
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let utf8 = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, utf8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}

const WASI: &str = "
    package wasi:cli@0.2.3 {
      interface exit { exit: func(status: result); }
      interface run { run: func() -> result; }
    }
    package wasi:random@0.2.3 { interface random { get-random-u64: func() -> u64; } }";

#[test]
fn a_library_that_is_a_component_keeps_its_functions() {
    let module = r#"(module
      (import "wasi:cli/exit@0.2.3" "exit" (func $exit (param i32)))
      (import "wasi:random/random@0.2.3" "get-random-u64" (func $random (result i64)))
      (memory (export "memory") 1)
      (func (export "_initialize"))
      (func (export "dice") (result i32) (i32.wrap_i64 (call $random)))
      (func (export "a:b/calc#leave") (param i32) (call $exit (local.get 0))))"#;
    let wit = format!(
        "package a:b;
         interface calc {{ leave: func(n: u32); }}
         world w {{
           import wasi:cli/exit@0.2.3;
           import wasi:random/random@0.2.3;
           export dice: func() -> u32;
           export calc;
         }} {WASI}"
    );
    let component = component_of(module, &wit);
    let lifted = lift(&component, &binding("")).unwrap();
    validate(&lifted.bytes).unwrap();
    assert_eq!(lifted.report.imports, ["wasi:random/random@0.2.3"]);
    let text = self::wit(&lifted.bytes).unwrap();
    assert!(text.contains("export dice: func() -> u32;") && text.contains("export a:b/calc;"), "{text}");
    assert!(!text.contains("wasi:cli"), "{text}");
    let pinned = lift(&component, &binding("pinned = true\n")).unwrap();
    assert!(pinned.report.imports.is_empty());
    let command = printing("f: func() -> result<string, failure>");
    let error = lift(&component, &command).unwrap_err().to_string();
    assert!(error.contains("leave out `export` for a library"), "{error}");
}

#[test]
fn the_entry_of_a_component_decides_whether_it_is_lifted() {
    let module = |name: &str| {
        let run = format!(r#"(func (export "wasi:cli/run@{name}#run") (result i32) (i32.const 0))"#);
        format!(r#"(module (memory (export "memory") 1) {run})"#)
    };
    let run = "package a:b; world w { export wasi:cli/run@0.2.3; }";
    let component = component_of(&module("0.2.3"), &format!("{run} {WASI}"));
    validate(&lift(&component, &printing("f: func() -> result<string, failure>")).unwrap().bytes).unwrap();
    let error = lift(&component, &binding("")).unwrap_err().to_string();
    assert!(error.contains("give `export`"), "{error}");
    let (run, wasi) = (run.replace("0.2.3", "0.3.0"), WASI.replace("0.2.3", "0.3.0"));
    let component = component_of(&module("0.3.0"), &format!("{run} {wasi}"));
    validate(&lift(&component, &printing("f: func() -> result<string, failure>")).unwrap().bytes).unwrap();
    let (run, wasi) = (run.replace("0.3.0", "0.4.0"), wasi.replace("0.3.0", "0.4.0"));
    let component = component_of(&module("0.4.0"), &format!("{run} {wasi}"));
    let error = lift(&component, &printing("f: func() -> result<string, failure>")).unwrap_err().to_string();
    assert!(error.contains("a version of WASI that is not known"), "{error}");
}

#[test]
fn libraries_say_their_types() {
    let library = wasm(r#"(module (memory (export "memory") 1) (func (export "f")))"#);
    for (rest, words) in [
        ("", "does not say the types of its functions"),
        ("stdout = \"result\"\n", "`stdout` belongs to a function"),
        ("argv = [\"{a}\"]\n", "\"a\" is no parameter"),
    ] {
        let error = lift(&library, &binding(rest)).unwrap_err().to_string();
        assert!(error.contains(words), "{rest}: {error}");
    }
}

#[test]
fn programs_that_cannot_be_put_back_are_named() {
    let binding = printing("f: func() -> result<string, failure>");
    let plain = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    assert_eq!(lift(&wasm(plain), &binding).unwrap().report.once, None);
    for (program, words) in [
        ("(table 1 funcref) (func $f (drop (table.grow 0 (ref.null func) (i32.const 1))))", "makes tables larger"),
        ("(memory i64 1)", "64 bits"),
    ] {
        let program = format!(r#"(module (memory (export "memory") 1) {program} (func (export "_start")))"#);
        let lifted = lift(&wasm(&program), &binding).unwrap();
        validate(&lifted.bytes).unwrap();
        assert!(lifted.report.once.as_ref().is_some_and(|why| why.contains(words)), "{:?}", lifted.report.once);
    }
}
