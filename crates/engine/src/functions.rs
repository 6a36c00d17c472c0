//! Functions that whoever runs a program grants to it: typed ones for components, raw ones for modules.

use crate::error::{Error, Kind, Stop};
use crate::state::RunState;
use crate::value::Value;
use std::fmt;
use std::sync::Arc;
use wasmtime::component::{Linker as ComponentLinker, Val};
use wasmtime::{FuncType, Linker, Val as CoreVal, ValType};

/// What a granted function does: it takes values and gives some; an error ends the program.
type Body = dyn Fn(&mut Caller<'_>, &[Value]) -> Result<Vec<Value>, Error> + Send + Sync;

/// Functions for a program's imports. Cheap to clone.
#[derive(Clone, Default)]
pub struct Functions(Vec<Granted>);

#[derive(Clone)]
struct Granted {
    interface: Arc<str>,
    name: Arc<str>,
    body: Arc<Body>,
}

impl fmt::Debug for Functions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.0.iter().map(|granted| format!("{}#{}", granted.interface, granted.name)))
            .finish()
    }
}

/// The program that calls a granted function.
pub struct Caller<'a> {
    memory: &'a mut [u8],
}

impl Caller<'_> {
    /// The memory of a module, where its pointers point; empty for a component, whose values come as values.
    pub fn memory(&mut self) -> &mut [u8] {
        self.memory
    }
}

impl Functions {
    /// Grants `name` of `interface` (a component) or of the imported module of that name. One that is granted again takes
    /// the place of the one before.
    pub fn add(
        &mut self,
        interface: &str,
        name: &str,
        body: impl Fn(&mut Caller<'_>, &[Value]) -> Result<Vec<Value>, Error> + Send + Sync + 'static,
    ) {
        self.0.retain(|granted| (&*granted.interface, &*granted.name) != (interface, name));
        self.0.push(Granted { interface: interface.into(), name: name.into(), body: Arc::new(body) });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether anything of this interface or module is granted.
    pub fn has(&self, interface: &str) -> bool {
        self.0.iter().any(|granted| &*granted.interface == interface)
    }

    /// Defines an import of a module; says whether it is granted.
    pub(crate) fn define(
        &self,
        linker: &mut Linker<RunState>,
        (module, name): (&str, &str),
        ty: FuncType,
    ) -> wasmtime::Result<bool> {
        let granted = self.0.iter().find(|granted| (&*granted.interface, &*granted.name) == (module, name));
        let Some(Granted { body, .. }) = granted.cloned() else { return Ok(false) };
        let full = format!("{module}::{name}");
        let kinds: Vec<ValType> = ty.results().collect();
        linker.func_new(module, name, ty, move |mut call, args, results| {
            let memory = call.data().memory.or_else(|| call.get_export("memory")?.into_memory());
            let memory = memory.map_or(&mut [][..], |memory| memory.data_mut(&mut call));
            let args: Option<Vec<Value>> = args.iter().map(Value::from_core).collect();
            let args = args.ok_or_else(|| failed(&full, "it takes other things than numbers"))?;
            let given = body(&mut Caller { memory }, &args).map_err(ended)?;
            if given.len() != results.len() {
                return Err(failed(&full, format_args!("it gave {} values instead of {}", given.len(), results.len())));
            }
            for ((result, value), kind) in results.iter_mut().zip(&given).zip(&kinds) {
                let value = value.to_core().filter(|value| is_of(value, kind));
                *result =
                    value.ok_or_else(|| failed(&full, format_args!("it did not give a number of type {kind}")))?;
            }
            Ok(())
        })?;
        Ok(true)
    }

    /// Defines those that are granted to a component.
    pub(crate) fn define_all<T: 'static>(&self, linker: &mut ComponentLinker<T>) -> wasmtime::Result<()> {
        for Granted { interface, name, body } in self.0.clone() {
            let full = format!("{interface}#{name}");
            let mut root = linker.root();
            let call = move |_: wasmtime::StoreContextMut<'_, T>,
                             ty: wasmtime::component::types::ComponentFunc,
                             args: &[Val],
                             results: &mut [Val]| {
                let args = args.iter().zip(ty.params()).map(|(arg, (_, ty))| Value::of_type(arg.clone(), &ty));
                let args: Option<Vec<Value>> = args.collect();
                let args = args.ok_or_else(|| failed(&full, "it takes what is no value by itself"))?;
                let given = body(&mut Caller { memory: &mut [] }, &args).map_err(ended)?;
                if given.len() != results.len() {
                    let what = format!("it gave {} values instead of {}", given.len(), results.len());
                    return Err(failed(&full, what));
                }
                for (result, value) in results.iter_mut().zip(given) {
                    *result = value.into_val();
                }
                Ok(())
            };
            match &*interface {
                "" => root.func_new(&name, call)?,
                interface => root.instance(interface)?.func_new(&name, call)?,
            }
        }
        Ok(())
    }
}

fn is_of(value: &CoreVal, kind: &ValType) -> bool {
    matches!(
        (value, kind),
        (CoreVal::I32(_), ValType::I32)
            | (CoreVal::I64(_), ValType::I64)
            | (CoreVal::F32(_), ValType::F32)
            | (CoreVal::F64(_), ValType::F64)
    )
}

/// A granted function that does not keep to its type is a mistake of whoever granted it.
fn failed(name: &str, what: impl fmt::Display) -> wasmtime::Error {
    ended(Error::new(Kind::Grant, format!("the granted function `{}`: {what}", name.escape_debug())))
}

/// The program ends, because a granted function says so.
fn ended(error: Error) -> wasmtime::Error {
    Stop::Failed(error.kind(), error.to_string()).into()
}
