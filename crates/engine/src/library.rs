//! Libraries: instances of components and of core modules that live as long as somebody holds them. Their functions are
//! called one after another, and what one leaves the next one finds.

use crate::arm::{Limited, Thread, Watch, arm};
use crate::blocking;
use crate::calling::{Failed, Signature, choose, exported};
use crate::component::ComponentCode;
use crate::component::state::State;
use crate::control::{Control, Usage};
use crate::deadline::Deadline;
use crate::engines::Room;
use crate::error::{Error, Kind};
use crate::explain;
use crate::functions::Functions;
use crate::places::Places;
use crate::run::Run;
use crate::source::Program;
use crate::value::Value;
use crate::within::within;
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::Store;
use wasmtime::component::{Func, Instance, InstancePre, Linker};
use wasmtime_wasi::I32Exit;
use weir_types::grants::UnknownImports;
use weir_types::limits::Limits;

/// A component whose functions are called, linked with what it imports.
pub struct Library {
    code: ComponentCode,
    pre: InstancePre<State>,
    linker: Linker<State>,
}

impl Library {
    /// Links a component with what it imports: of WASI, and of `functions`.
    ///
    /// # Errors
    /// It imports what nobody grants, where that is refused.
    pub fn link(code: &ComponentCode, unknown: UnknownImports, functions: &Functions) -> Result<Self, Error> {
        let (pre, linker) = code.pre(unknown, functions)?;
        Ok(Self { code: code.clone(), pre, linker })
    }

    /// An instance with everything granted. `program` is named in messages.
    ///
    /// # Errors
    /// A grant cannot be honoured, or the instance cannot be made within the limits.
    pub fn instance(&self, program: &Program, mut run: Run<'_>) -> Result<LibraryInstance, Error> {
        let places = Places::plan(&mut run)?;
        let (control, limits) = (Arc::<Control>::default(), run.limits.clone());
        let ends = (Thread::Own, Deadline::new(None));
        let mut store = Store::new(&self.code.0.room.engine, State::new(run, places, control.clone(), ends)?);
        let room = self.code.0.room.clone();
        let (deadline, watch) = allow(&mut store, &room, &limits)?;
        let made = within(&deadline, &control, self.pre.instantiate_async(&mut store));
        let made = blocking::wait(made)?.map_err(|stop| Error::from(&stop))?;
        let instance = made.map_err(|error| explain::setup(&deadline, &store.data().limiter, error))?;
        drop(watch);
        let ty = self.linker.substituted_component_type(&self.code.0.code);
        let ty = ty.map_err(|error| Error::caused(Kind::Internal, "cannot link", error))?;
        Ok(LibraryInstance {
            store,
            instance,
            room,
            limits,
            control,
            ty,
            path: program.path().display().to_string(),
            known: HashMap::new(),
        })
    }
}

/// An instance of a component.
pub struct LibraryInstance {
    store: Store<State>,
    instance: Instance,
    room: Arc<Room>,
    limits: Limits,
    control: Arc<Control>,
    ty: wasmtime::component::types::Component,
    path: String,
    known: HashMap<String, (Func, Signature)>,
}

impl LibraryInstance {
    /// Calls an exported function; one of an interface by `INTERFACE#NAME`, or by its name where no other has it. Each call
    /// has the time and the fuel of the limits. After a trap the instance is lost, and every further call is an error.
    ///
    /// # Errors
    /// There is no such function, an argument has another type, or the function traps or meets a limit.
    pub async fn call(&mut self, name: &str, args: Arc<[Value]>) -> Result<Option<Value>, Error> {
        let (function, signature) = self.function(name)?;
        let (deadline, _watch) = allow(&mut self.store, &self.room, &self.limits)?;
        let control = self.control.clone();
        let called = within(&deadline, &control, signature.call(&mut self.store, function, args)).await;
        match called.map_err(|stop| Error::from(&stop))? {
            Ok(value) => Ok(value),
            Err(Failed::Ours(error)) => Err(error),
            Err(Failed::Engine(error)) => Err(match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(code)) => {
                    Error::new(Kind::Program, format!("{name} ended the program with exit code {code}"))
                }
                None => explain::run(&deadline, &self.store.data().limiter, error),
            }),
        }
    }

    /// What it holds and has moved so far.
    pub fn usage(&self) -> Usage {
        self.control.usage()
    }

    fn function(&mut self, name: &str) -> Result<(Func, Signature), Error> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let found = choose(exported(&self.room.engine, &self.ty), Some(name), &self.path)?;
        let interface = found.interface.as_ref();
        let interface =
            interface.and_then(|interface| self.instance.get_export_index(&mut self.store, None, interface));
        let export = self.instance.get_export_index(&mut self.store, interface.as_ref(), &found.name);
        let function = export.and_then(|export| self.instance.get_func(&mut self.store, export));
        let function = function.ok_or_else(|| Error::new(Kind::Internal, "a function that was listed is not there"))?;
        let known = (function, found.signature(!self.room.recipe.concurrent));
        self.known.insert(name.to_owned(), known.clone());
        Ok(known)
    }
}

/// Gives a call what it may use up.
fn allow<T: Limited>(store: &mut Store<T>, room: &Room, limits: &Limits) -> Result<(Deadline, Watch), Error> {
    let deadline = Deadline::new(limits.time_max);
    Ok((deadline, arm(store, room, limits, limits.result_bytes_max, (Thread::Own, deadline))?))
}
