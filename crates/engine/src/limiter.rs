//! Memory and table limits of a store.

use std::fmt;
use weir_types::limits::Limits;

/// Counts what a store's memories and tables hold and refuses more than the limits allow.
///
/// Growing past a limit fails as WebAssembly says (`memory.grow` gives -1), so that a program can
/// handle it; `refused` remembers it for the error message if the program then gives up.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    memory_left: u64,
    table_elements_left: u64,
    memory_held: u64,
    /// The first refusal, in words.
    pub refused: Option<String>,
}

impl Limiter {
    pub fn new(limits: &Limits) -> Self {
        Self {
            memory_left: limits.memory_max,
            table_elements_left: limits.table_elements_max,
            memory_held: 0,
            refused: None,
        }
    }

    /// Bytes of linear memory that the program holds at most so far.
    pub fn memory_peak(&self) -> u64 {
        self.memory_held
    }

    fn refuse(&mut self, what: fmt::Arguments) {
        self.refused.get_or_insert_with(|| what.to_string());
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        if more > self.memory_left {
            let (held, left) = (self.memory_held, self.memory_left);
            self.refuse(format_args!(
                "the program asked for {more} bytes of memory more than the {held} it holds, {left} were left: raise --memory-max to allow it"
            ));
            return Ok(false);
        }
        self.memory_left -= more;
        self.memory_held += more;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        if more > self.table_elements_left {
            self.refuse(format_args!("the program asked for a table of {desired} elements, more than it may hold"));
            return Ok(false);
        }
        self.table_elements_left -= more;
        Ok(true)
    }
}
