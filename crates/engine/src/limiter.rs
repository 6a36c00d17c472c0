//! Memory and table limits of a store.

use crate::control::Control;
use crate::error::Limit;
use std::sync::Arc;
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
    /// Told what is held, where somebody may ask during the run.
    control: Option<Arc<Control>>,
    /// The first refusal.
    pub refused: Option<Limit>,
}

impl Limiter {
    pub fn new(limits: &Limits, control: Option<Arc<Control>>) -> Self {
        Self {
            memory_left: limits.memory_max,
            table_elements_left: limits.table_elements_max,
            memory_held: 0,
            control,
            refused: None,
        }
    }

    /// Bytes of linear memory that the program holds at most so far.
    pub fn memory_peak(&self) -> u64 {
        self.memory_held
    }
}

impl wasmtime::ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let asked = desired.saturating_sub(current) as u64;
        let (held, left) = (self.memory_held, self.memory_left);
        if asked > left {
            self.refused.get_or_insert(Limit::Memory { asked, held, left });
            return Ok(false);
        }
        self.memory_left -= asked;
        self.memory_held += asked;
        if let Some(control) = &self.control {
            control.hold_memory(self.memory_held);
        }
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        if more > self.table_elements_left {
            self.refused.get_or_insert(Limit::Table { asked: desired as u64 });
            return Ok(false);
        }
        self.table_elements_left -= more;
        Ok(true)
    }
}
