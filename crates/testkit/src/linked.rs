//! WASI 0.1 as a linked program meets it: a module that imports every function and exports each as it
//! is, linked with the shim and run by the engine.

use crate::Wasi;
use std::fmt::Write;
use weir_engine::{CoreProgram, Live, Program, Run};
use weir_link::p1::P1_FUNCTIONS;
use weir_link::{Exit, LinkOptions};
use weir_types::grants::{Grants, Source};
use weir_types::limits::Limits;

/// A linked module whose WASI functions a test calls.
pub struct Linked {
    live: Live,
}

impl Linked {
    /// An instance with these grants and limits.
    ///
    /// # Panics
    /// When it cannot be made: the test is wrong then.
    pub fn new(grants: &Grants, limits: &Limits) -> Self {
        Self::of_module(&driver("wasi_snapshot_preview1"), grants, limits)
    }

    /// The same with the functions of `wasi_unstable`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn unstable(grants: &Grants, limits: &Limits) -> Self {
        Self::of_module(&driver("wasi_unstable"), grants, limits)
    }

    fn of_module(text: &str, grants: &Grants, limits: &Limits) -> Self {
        let program = Program::from_bytes("driver.wat", text.as_bytes().to_vec()).expect("the driver assembles");
        let host_dirs = grants.places.iter().any(|place| matches!(place.source, Source::HostDir { .. }));
        let options =
            LinkOptions { host_dirs, mounts: true, streams: true, control: true, trace: false, exit: Exit::Host };
        let link = |bytes: &[u8]| Ok(weir_link::link(bytes, &options).expect("the driver links").bytes);
        let core = CoreProgram::load(&program, b"", limits, None, link).expect("the linked driver compiles");
        let run = Run { grants, limits, saves: &[], trace: false, discard_output: false };
        Self { live: core.instantiate(&run).expect("the linked driver starts") }
    }

    /// Calls a function; a trap is an error text.
    ///
    /// # Errors
    /// The call trapped.
    pub fn try_call(&mut self, name: &str, arguments: &[u64]) -> Result<u16, String> {
        self.live.call(name, arguments).map(|errno| errno as u16).map_err(|error| error.to_string())
    }
}

impl Wasi for Linked {
    fn call(&mut self, name: &str, arguments: &[u64]) -> u16 {
        self.try_call(name, arguments).unwrap_or_else(|error| panic!("{name}{arguments:?}: {error}"))
    }

    fn memory(&mut self) -> &mut [u8] {
        self.live.memory()
    }

    fn place(&self) -> &'static str {
        "in a linked module"
    }
}

/// A module that imports every WASI function and exports it.
fn driver(module: &str) -> String {
    let mut text = String::from("(module\n");
    for function in P1_FUNCTIONS {
        if module == "wasi_unstable" && function.name == "sock_accept" {
            continue;
        }
        let letters = function.params.chars().map(|letter| if letter == 'I' { "i64 " } else { "i32 " });
        let params: String = letters.collect();
        let result = if function.returns_errno { "(result i32)" } else { "" };
        let name = function.name;
        let _ = writeln!(text, "(import \"{module}\" \"{name}\" (func ${name} (param {params}) {result}))");
        let _ = writeln!(text, "(export \"{name}\" (func ${name}))");
    }
    text.push_str("(memory (export \"memory\") 16)\n(func (export \"_start\")))");
    text
}
