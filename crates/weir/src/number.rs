//! Functions of core modules by call, which take and give numbers: each call has an instance of its own.

use crate::error::{Error, Kind};
use crate::program::{Code, Prepared, run_of};
use weir_engine::{Called, CoreProgram, ModuleFunction, Value};

impl Prepared {
    /// The core module behind it, linked for calls of its functions.
    ///
    /// # Errors
    /// The program is no core module, or imports what nobody grants.
    pub fn numbers(&self) -> Result<NumberFunctions<'_>, Error> {
        let Code::Core(core, _) = &self.code else {
            return Err(Error::new(Kind::Program, "the program is no core module"));
        };
        let core = core.link(self.grants.data.unknown_imports, &self.grants.functions)?;
        Ok(NumberFunctions { prepared: self, core })
    }
}

/// A core module whose functions are called with numbers.
pub struct NumberFunctions<'p> {
    prepared: &'p Prepared,
    core: CoreProgram,
}

impl NumberFunctions<'_> {
    /// A function by its name, or by a call of it such as `name(1, 2.5)`.
    ///
    /// # Errors
    /// There is none of this name, or it takes or gives other things than numbers.
    pub fn function(&self, call: &str) -> Result<NumberFunction<'_>, Error> {
        Ok(NumberFunction { prepared: self.prepared, function: ModuleFunction::of(&self.core, call)? })
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

    /// Calls it in an instance of its own, with what was granted as data, on this process's streams.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the function traps or meets a limit.
    pub fn call(&self, args: &[Value]) -> Result<Called, Error> {
        let mut run = run_of(&self.prepared.grants, &self.prepared.limits);
        if let Code::Core(_, carried) = &self.prepared.code {
            run.carried = carried.as_deref();
        }
        Ok(self.function.call(run, args)?)
    }
}
