//! The shim that comes with weir keeps the contract that linking relies on.

mod common;

use common::{Facts, everything, validate, wasm};
use weir_link::p1::{SNAPSHOT, UNSTABLE};
use weir_link::{Exit, LinkOptions, link};

#[test]
fn every_function_links_with_every_choice() {
    for module in [SNAPSHOT, UNSTABLE] {
        let program = wasm(&everything(module));
        for bits in 0..64u8 {
            let options = LinkOptions {
                host_dirs: bits & 1 != 0,
                mounts: bits & 2 != 0,
                streams: bits & 4 != 0,
                control: bits & 8 != 0,
                trace: bits & 16 != 0,
                exit: if bits & 32 != 0 { Exit::Unwind } else { Exit::Host },
            };
            let linked = link(&program, &options).unwrap();
            validate(&linked.bytes).unwrap();
            let facts = Facts::of(&linked.bytes);
            for import in &facts.imports {
                let (module, name) = import.split_once('.').unwrap();
                let outgoing = match module {
                    "weir_hostdir" => options.host_dirs,
                    "weir" if name.starts_with("blob_") => options.mounts,
                    "weir" if name.starts_with("stream_") => options.streams,
                    "weir" => name != "trace" || options.trace,
                    _ => module == SNAPSHOT && !name.starts_with("path_") && name != "fd_readdir",
                };
                assert!(outgoing, "{import} with {options:?}");
            }
        }
    }
}

#[test]
fn little_is_linked_into_a_program_that_needs_little() {
    let program = r#"(module
      (import "wasi_snapshot_preview1" "fd_prestat_get" (func (param i32 i32) (result i32)))
      (memory (export "memory") 1) (func (export "_start")))"#;
    let options = LinkOptions { control: false, mounts: false, streams: false, ..LinkOptions::default() };
    let linked = link(&wasm(program), &options).unwrap();
    let (kept, all) = linked.report.shim_functions;
    assert!(kept < all, "{kept} of {all}");
}
