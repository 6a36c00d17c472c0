//! Runs third-party WebAssembly in your program: under limits, with what you hand over and nothing else.
//!
//! A program is opened, made ready, and run; or its functions are called. Here a plug-in that somebody else wrote gets a text,
//! a tenth of a second and a megabyte:
//!
//! ```
//! use std::time::Duration;
//! use weir::{Grants, Input, Kind, Limits, Output, Weir};
//!
//! # const PLUGIN: &str = r#"(module
//! #   (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
//! #   (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
//! #   (memory (export "memory") 1) (data (i32.const 0) "\10\00\00\00\05\00\00\00")
//! #   (func (export "_start")
//! #     (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
//! #     (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
//! fn main() -> Result<(), weir::Error> {
//!     let plugin = Weir::new().open_bytes("plugin.wasm", PLUGIN)?;
//!     let limits = Limits { time_max: Some(Duration::from_millis(100)), memory_max: 1 << 20, ..Limits::default() };
//!     let (stdout, written) = Output::memory(64 << 10);
//!     let grants = Grants::new().args(["plugin"]).stdin(Input::bytes("hello, world")).stdout(stdout);
//!     match plugin.run(grants, limits) {
//!         Ok(outcome) => assert_eq!(outcome.exit_code, 0),
//!         Err(error) if error.kind() == Kind::Limit => eprintln!("{error}: {:?}", error.limit()),
//!         Err(error) => return Err(error),
//!     }
//!     assert_eq!(written.take(), b"hello");
//!     Ok(())
//! }
//! ```
//!
//! # From a program to its result
//!
//! 1. [`Weir`] opens programs: [`open`](Weir::open) a file, [`open_bytes`](Weir::open_bytes), or
//!    [`open_named`](Weir::open_named) what may be in a registry. It knows the cache of compiled code.
//! 2. A [`Program`] says what it can reach at most ([`inspect`](Program::inspect)) and is made ready for a run with
//!    [`Grants`] and [`Limits`] by [`prepare`](Program::prepare). What is compiled and linked is kept with the program, so the
//!    second time costs microseconds.
//! 3. What is [`Prepared`] is [`run`](Prepared::run) to its end on this thread, or [`spawn`](Prepared::spawn)ed beside
//!    others. A [`Running`] program is a future; it can be asked what it uses, stopped, and ends when it is dropped.
//!    Programs that wait hold no thread, and those that compute give way: ten thousand on two threads do not notice one that
//!    loops, floods or recurses without end (`examples/ten_thousand.rs`).
//!
//! # Functions
//!
//! A component's functions are called with values of your own types, in an instance of its own for each call
//! ([`Program::function`]), or in an [`Instance`] that keeps its state ([`Program::instance`]). A module's functions take and
//! give numbers, and [`Instance::memory`] is where its pointers point. Lists of numbers are copied whole, in and out. Records
//! are made with [`record!`]; values whose types are known at run time are [`Value`]s. Functions for a program's imports are
//! [`Grants::function`] and [`Grants::raw_function`]. A function is replaced under its callers by [`Current`].
//!
//! # What is handed over
//!
//! Nothing by default. Streams are bytes, memory, a [`pipe`] with back-pressure, anything that tokio reads or writes, or this
//! process's own ends; files are bytes, host paths seen as data, or empty directories; network, clock and randomness are
//! named. The data form of all this is [`data::Grants`], which can be handed over as it is.
//!
//! # Errors
//!
//! An [`Error`] has a [`Kind`] that says whose business it is, and the [`Limit`] that was met, with numbers. It speaks of no
//! command line; a [`Hint`] says what may help to whoever knows how that is asked for.
#![forbid(unsafe_code)]

mod error;
mod function;
mod grants;
mod instance;
mod number;
mod open;
mod packed;
mod program;
mod running;
mod typed;
mod weir;

pub use error::{Error, Hint, Kind, Limit};
pub use function::{Current, Function};
pub use grants::Grants;
pub use instance::Instance;
pub use number::{NumberFunction, NumberFunctions};
pub use open::{Located, locate, reference};
pub use program::{Prepared, Program};
pub use running::Running;
pub use typed::{FromResult, FromValue, FromValues, ToResult, ToValue, ToValues};
pub use weir::Weir;
pub use weir_engine::{
    Blob, Called, Caller, Format, Input, Numbers, Outcome, Output, Stats, Usage, Value, Written, pipe,
};
pub use weir_link::Inspection;
pub use weir_store::Options as RegistryOptions;
pub use weir_types::Digest;
/// The data form of grants, as a manifest or a command line says them.
pub use weir_types::grants as data;
pub use weir_types::grants::{Clock, Net, Random, Tier, UnknownImports};
pub use weir_types::limits::{Limits, Quota};
