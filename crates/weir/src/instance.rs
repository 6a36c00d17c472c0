//! Instances that keep their state from call to call: plug-ins, reactors.

use crate::error::{Error, Kind};
use crate::grants::Grants;
use crate::program::{Code, Prepared, Program, run_of};
use crate::typed::{FromResult, ToValues, result_as};
use std::sync::Arc;
use weir_engine::{Library, LibraryInstance, Live, Usage, Value};
use weir_types::limits::Limits;

impl Program {
    /// An instance whose functions can be called: [`prepare`](Self::prepare) and [`Prepared::instance`].
    ///
    /// # Errors
    /// As both.
    pub fn instance(&self, grants: impl Into<Grants>, limits: Limits) -> Result<Instance, Error> {
        self.prepare_library(grants, limits)?.instance()
    }
}

impl Prepared {
    /// An instance whose functions can be called. Of a module, `_initialize` is called first, if there is one.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the instance cannot be made within the limits.
    pub fn instance(self) -> Result<Instance, Error> {
        let Self { program, code, mut grants, limits, .. } = self;
        let (ends, objects) = (std::mem::take(&mut grants.ends), std::mem::take(&mut grants.objects));
        let mut run = weir_engine::Run { ends, objects, ..run_of(&grants, &limits) };
        Ok(Instance(match &code {
            Code::Core(core, carried) => {
                run.carried = carried.as_deref();
                let core = core.link(grants.data.unknown_imports, &grants.functions)?;
                let mut live = core.instantiate(run)?;
                live.initialize()?;
                Inside::Module(Box::new(live))
            }
            Code::Component(component) => {
                let library = Library::link(component, grants.data.unknown_imports, &grants.functions)?;
                Inside::Component(Box::new(library.instance(program.engine_program(), run)?))
            }
        }))
    }
}

/// An instance of a program. Its functions are called one after another, and what one leaves the next one finds. Each call
/// has the time and the fuel of the limits; memory is for all of them together.
pub struct Instance(Inside);

enum Inside {
    Module(Box<Live>),
    Component(Box<LibraryInstance>),
}

impl Instance {
    /// Calls an exported function with values of the embedder's own types. One of an interface is `INTERFACE#NAME`, or its
    /// name where no other has it. A module's functions take and give numbers: `i32`, `i64`, `f32` and `f64`. After a trap
    /// the instance is lost.
    ///
    /// # Errors
    /// There is no such function, the types are others, or it traps, meets a limit or ends the program.
    pub fn call<R: FromResult>(&mut self, name: &str, args: impl ToValues) -> Result<R, Error> {
        result_as(name, self.call_values(name, args.to_values())?)
    }

    /// Calls it with values whose types are known at run time. Several results of a module's function are a tuple.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn call_values(&mut self, name: &str, args: impl Into<Arc<[Value]>>) -> Result<Option<Value>, Error> {
        match &mut self.0 {
            Inside::Component(component) => Ok(weir_engine::wait(component.call(name, args.into()))??),
            Inside::Module(module) => {
                let mut results = module.call_values(name, &args.into())?;
                Ok(if results.len() > 1 { Some(Value::Tuple(results)) } else { results.pop() })
            }
        }
    }

    /// The memory of a module, where its pointers point.
    ///
    /// # Errors
    /// It is a component, whose memories are its own.
    pub fn memory(&mut self) -> Result<&mut [u8], Error> {
        match &mut self.0 {
            Inside::Module(module) => Ok(module.memory()),
            Inside::Component(_) => Err(Error::new(Kind::Program, "a component's memories are its own")),
        }
    }

    /// What it holds and has moved so far.
    pub fn usage(&self) -> Usage {
        match &self.0 {
            Inside::Module(module) => module.usage(),
            Inside::Component(component) => component.usage(),
        }
    }
}
