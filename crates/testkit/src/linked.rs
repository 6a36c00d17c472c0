//! WASI 0.1 as a linked program meets it: a module that imports every function and exports each as it
//! is, linked with the shim and run by the engine.

use crate::wasi::Wasi;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use weir_engine::{CoreProgram, Live, Program, Run};
use weir_link::p1::P1_FUNCTIONS;
use weir_link::{Exit, LinkOptions};
use weir_types::grants::{Grants, Source, UnknownImports};
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
        Self::of_module("wasi_snapshot_preview1", grants, limits)
    }

    /// The same with the functions of `wasi_unstable`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn unstable(grants: &Grants, limits: &Limits) -> Self {
        Self::of_module("wasi_unstable", grants, limits)
    }

    fn of_module(module: &'static str, grants: &Grants, limits: &Limits) -> Self {
        let host_dirs = grants.places.iter().any(|place| matches!(place.source, Source::HostDir { .. }));
        let core = core(Key { module, host_dirs, fuel: limits.fuel_max.is_some(), time: limits.time_max.is_some() });
        let run = Run::new(grants, limits);
        Self { live: core.instantiate(run).expect("the linked driver starts") }
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

/// What makes one compiled driver differ from another.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    module: &'static str,
    host_dirs: bool,
    fuel: bool,
    time: bool,
}

/// The compiled driver of this kind. Compiling takes far longer than a test, so each is made once.
fn core(key: Key) -> Arc<CoreProgram> {
    static MADE: Mutex<Vec<(Key, Arc<CoreProgram>)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, core)) = made.iter().find(|(known, _)| *known == key) {
        return Arc::clone(core);
    }
    let text = driver(key.module).into_bytes();
    let program = Program::from_bytes("driver.wat", text).expect("the driver assembles");
    let options = LinkOptions {
        host_dirs: key.host_dirs,
        mounts: true,
        streams: true,
        control: true,
        trace: false,
        exit: Exit::Host,
    };
    let limits = Limits {
        fuel_max: key.fuel.then_some(u64::MAX),
        time_max: key.time.then_some(std::time::Duration::MAX),
        ..Limits::default()
    };
    let core = CoreProgram::load(&program, b"", &limits, UnknownImports::Refuse, None, |bytes| {
        Ok(weir_link::link(bytes, &options).expect("the driver links").bytes.into())
    })
    .expect("the linked driver compiles");
    let core = Arc::new(core);
    made.push((key, Arc::clone(&core)));
    core
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
