//! Functions of core modules, which take and give numbers.

use crate::error::{Error, Kind};
use crate::program::{Prepared, run_of};
use weir_engine::{Called, ModuleFunction, Value};

impl Prepared {
    /// A function of a core module by its name, or by a call of it such as `name(1, 2.5)`. Each call has an instance of its
    /// own, with what was granted as data.
    ///
    /// # Errors
    /// The program is no core module, has none of this name, or it takes or gives other things than numbers.
    pub fn number_function<'p>(&'p self, call: &str) -> Result<NumberFunction<'p>, Error> {
        let (core, _) = self.core().ok_or_else(|| Error::new(Kind::Program, "the program is no core module"))?;
        Ok(NumberFunction { prepared: self, function: ModuleFunction::of(core, call)? })
    }
}

/// A function that takes and gives numbers.
pub struct NumberFunction<'p> {
    prepared: &'p Prepared,
    function: ModuleFunction<'p>,
}

impl NumberFunction<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.function.name()
    }

    /// The arguments of `call`.
    ///
    /// # Errors
    /// One of them does not fit.
    pub fn arguments(&self, call: &str) -> Result<Vec<Value>, Error> {
        let named = |error| Error::new(Kind::Grant, format!("{}: {error}", self.name()));
        self.function.arguments(call).map_err(named)
    }

    /// Calls it in an instance of its own.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the function traps or meets a limit.
    pub fn call(&self, args: &[Value]) -> Result<Called, Error> {
        let (grants, limits) = self.prepared.parts();
        let mut run = run_of(grants, limits);
        run.carried = self.prepared.core().and_then(|(_, carried)| carried);
        Ok(self.function.call(run, args)?)
    }
}
