//! Functions of a program, called by value.

use crate::error::Error;
use crate::program::Program;
use std::borrow::Cow;
use weir_engine::{KeptFunction, LiftedFunction, check_functions};
use weir_link::{for_one_use, has_shared_memory};
use weir_types::limits::Limits;

impl Program {
    /// The function `name` of a component; without a name its only one. Each call has an instance of its own, from a pool.
    ///
    /// # Errors
    /// The program is no component, has no such function, or imports what functions do not get.
    pub fn function(&self, name: Option<&str>, limits: &Limits) -> Result<LiftedFunction, Error> {
        Ok(LiftedFunction::load(self.engine_program(), name, limits, self.cache(), once)?)
    }

    /// The same with instances that serve many calls and may keep what they like from one to the next.
    ///
    /// # Errors
    /// As for [`function`](Self::function).
    pub fn kept_function(&self, name: Option<&str>, limits: &Limits) -> Result<KeptFunction, Error> {
        Ok(KeptFunction::load(self.engine_program(), name, limits, self.cache(), as_it_is)?)
    }

    /// Compiles the functions of a component for calls, if the cache does not have them; says whether it did.
    ///
    /// # Errors
    /// The program is no component, or there is no cache.
    pub fn compile_functions(&self, limits: &Limits) -> Result<bool, Error> {
        let none = || Error::new(crate::Kind::Grant, "there is no cache to compile into");
        let cache = self.cache().ok_or_else(none)?;
        Ok(LiftedFunction::compile(self.engine_program(), limits, cache, once)?)
    }
}

/// A component for instances that serve one call each: what they need to be put back is left out.
fn once(bytes: &[u8]) -> Result<Cow<'_, [u8]>, weir_engine::Error> {
    check_functions(has_shared_memory(bytes))?;
    Ok(for_one_use(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned))
}

fn as_it_is(bytes: &[u8]) -> Result<Cow<'_, [u8]>, weir_engine::Error> {
    check_functions(has_shared_memory(bytes))?;
    Ok(Cow::Borrowed(bytes))
}
