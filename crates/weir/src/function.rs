//! Functions of a component, called by value: each call has an instance of its own.

use crate::error::{Error, Kind};
use crate::program::Program;
use crate::typed::{FromResult, ToValues, result_as};
use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};
use weir_engine::{KeptFunction, LiftedFunction, Value, check_functions};
use weir_link::{for_one_use, has_shared_memory};
use weir_types::limits::Limits;

impl Program {
    /// The function `name` of a component; without a name its only one. Each call has an instance of its own, from a pool,
    /// and no call sees another one. Functions get clock and randomness, and nothing else.
    ///
    /// # Errors
    /// The program is no component, has no such function, or imports what functions do not get.
    pub fn function(&self, name: Option<&str>, limits: &Limits) -> Result<Function, Error> {
        Ok(Function(LiftedFunction::load(self.engine_program(), name, limits, self.cache(), once)?))
    }

    /// The same with instances that serve many calls, for streams and for measuring.
    #[doc(hidden)]
    pub fn kept_function(&self, name: Option<&str>, limits: &Limits) -> Result<KeptFunction, Error> {
        Ok(KeptFunction::load(self.engine_program(), name, limits, self.cache(), as_it_is)?)
    }

    /// Compiles the functions of a component for calls, if the cache does not have them; says whether it did.
    ///
    /// # Errors
    /// The program is no component, or there is no cache.
    pub fn compile_functions(&self, limits: &Limits) -> Result<bool, Error> {
        let none = || Error::new(Kind::Grant, "there is no cache to compile into");
        let cache = self.cache().ok_or_else(none)?;
        Ok(LiftedFunction::compile(self.engine_program(), limits, cache, once)?)
    }
}

/// A function of a component. Clones are the same function; it may be called from many threads at once.
#[derive(Clone)]
pub struct Function(LiftedFunction);

impl Function {
    /// Its name.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Calls it with values of the embedder's own types, on this thread.
    ///
    /// # Errors
    /// The types are others, or the function traps or meets a limit. A failure that the function's type speaks of is a
    /// result.
    pub fn call<R: FromResult>(&self, args: impl ToValues) -> Result<R, Error> {
        result_as(self.name(), self.call_values(args.to_values())?)
    }

    /// The same beside other calls and programs: while it computes, it gives way to them from time to time.
    ///
    /// # Errors
    /// As for [`call`](Self::call), and where the limits did not ask for code that can be interrupted.
    pub async fn call_async<R: FromResult>(&self, args: impl ToValues) -> Result<R, Error> {
        result_as(self.name(), self.0.call_async(args.to_values()).await?)
    }

    /// Calls it with values whose types are known at run time.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn call_values(&self, args: impl Into<Arc<[Value]>>) -> Result<Option<Value>, Error> {
        Ok(self.0.call(args)?)
    }

    /// The engine's side of it, for calls that are text or have streams.
    #[doc(hidden)]
    pub fn lifted(&self) -> &LiftedFunction {
        &self.0
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

/// Something that can be replaced under those who use it, such as a function by its next version: whoever has got the old one
/// finishes with it, whoever asks now gets the new one.
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// With this to begin with.
    pub fn new(first: T) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// What is current now.
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in its place, and gives the old one.
    pub fn replace(&self, next: T) -> Arc<T> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), Arc::new(next))
    }
}
