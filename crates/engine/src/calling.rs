//! Exported functions of a component: finding them, and calling one with values.

use crate::direct::{self, Flat, InMemory, Params, Unlike};
use crate::error::{Error, Kind};
use crate::value::Value;
use std::sync::Arc;
use wasmtime::component::{ComponentNamedList, Func, Lift, Type, Val, types, types::ComponentItem};
use wasmtime::{Engine, Store};
use weir_types::Shown;

/// What a function is called with, what it gives, and how its values are handed over.
#[derive(Clone)]
pub(crate) struct Signature {
    pub name: String,
    pub params: Vec<(String, Type)>,
    pub results: Vec<Type>,
    form: Form,
}

/// In which form values are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Directly; the result is in memory.
    InMemory,
    /// Directly; the result is a number or nothing.
    Flat,
    /// As the engine's own values.
    Own,
}

/// Why a call gave nothing.
pub(crate) enum Failed {
    /// It was not made, or what it gave is no value.
    Ours(Error),
    /// The engine says so.
    Engine(wasmtime::Error),
}

impl Signature {
    /// Calls `function`, which has this signature.
    pub async fn call<T: Send>(
        &self,
        store: &mut Store<T>,
        function: Func,
        args: Arc<[Value]>,
    ) -> Result<Option<Value>, Failed> {
        if args.len() != self.params.len() {
            let what = format!("{} takes {} arguments, and {} are given", self.name, self.params.len(), args.len());
            return Err(Failed::Ours(Error::new(Kind::Grant, what)));
        }
        let called = match self.form {
            Form::InMemory => call_as::<InMemory, T>(store, function, args).await.map(|result| result.0),
            Form::Flat => call_as::<Flat, T>(store, function, args).await.map(|result| result.0),
            Form::Own => {
                let args: Vec<Val> = args.iter().cloned().map(Value::into_val).collect();
                let mut results = vec![Val::Bool(false); self.results.len()];
                match function.call_async(store, &args, &mut results).await {
                    Ok(()) => return self.value(results.pop()).map_err(Failed::Ours),
                    Err(error) => Err(error),
                }
            }
        };
        called.map_err(|error| match error.downcast_ref::<Unlike>() {
            Some(unlike) => Failed::Ours(Error::new(Kind::Grant, format!("{}: {unlike}", self.name))),
            None => Failed::Engine(error),
        })
    }

    /// A result that stands for itself.
    pub fn value(&self, result: Option<Val>) -> Result<Option<Value>, Error> {
        let (Some(result), Some(ty)) = (result, self.results.first()) else { return Ok(None) };
        let early = early_parts(ty)
            .into_iter()
            .find_map(|(_, ty)| if let Type::Future(future) = ty { future.ty() } else { None });
        let value = Value::of_type(result, early.as_ref().unwrap_or(ty)).map(Some);
        value.ok_or_else(|| {
            let what = format!("the result of {} belongs to its instance and is no value by itself", self.name);
            Error::new(Kind::Program, what)
        })
    }

    #[cfg(test)]
    pub fn is_direct(&self) -> bool {
        self.form != Form::Own
    }

    #[cfg(test)]
    pub fn go_own_way(&mut self) {
        self.form = Form::Own;
    }
}

async fn call_as<R: ComponentNamedList + Lift + Send + Sync + 'static, T: Send>(
    store: &mut Store<T>,
    function: Func,
    args: Arc<[Value]>,
) -> wasmtime::Result<R> {
    let function = function.typed::<Params, R>(&*store)?;
    function.call_async(store, Params::new(args)).await
}

/// An exported function, and the interface it is in.
pub(crate) struct Found {
    pub interface: Option<String>,
    pub name: String,
    params: Vec<(String, Type)>,
    results: Vec<Type>,
}

impl Found {
    /// Its signature; `waits_for_nothing` says whether values may go the short way.
    pub fn signature(self, waits_for_nothing: bool) -> Signature {
        let Found { name, params, results, .. } = self;
        let takes = direct::takes_all(params.iter().map(|(_, ty)| ty)) && results.iter().all(direct::takes);
        let form = match takes && waits_for_nothing {
            false => Form::Own,
            true if results.iter().map(direct::flat_count).sum::<usize>() > 1 => Form::InMemory,
            true => Form::Flat,
        };
        Signature { name, params, results, form }
    }
}

/// Names and types of what a function gives at once, where that is streams with the future of its result.
pub(crate) fn early_parts(result: &Type) -> Vec<(String, Type)> {
    let parts: Vec<(String, Type)> = match result {
        Type::Tuple(tuple) => tuple.types().enumerate().map(|(at, ty)| (at.to_string(), ty)).collect(),
        Type::Record(record) => record.fields().map(|field| (field.name.to_owned(), field.ty)).collect(),
        _ => return Vec::new(),
    };
    let all = parts.iter().all(|(_, ty)| matches!(ty, Type::Stream(_) | Type::Future(_)));
    if all { parts } else { Vec::new() }
}

/// Every function that the component exports, by itself or in an interface.
pub(crate) fn exported(engine: &Engine, component: &types::Component) -> Vec<Found> {
    let mut all = Vec::new();
    let mut add = |interface: Option<&str>, name: &str, ty: &types::ComponentFunc| {
        all.push(Found {
            interface: interface.map(Into::into),
            name: name.into(),
            params: ty.params().map(|(name, ty)| (name.into(), ty)).collect(),
            results: ty.results().collect(),
        });
    };
    for (name, item) in component.exports(engine) {
        match item.ty {
            ComponentItem::ComponentFunc(ty) => add(None, name, &ty),
            ComponentItem::ComponentInstance(instance) => {
                for (inner, item) in instance.exports(engine) {
                    if let ComponentItem::ComponentFunc(ty) = item.ty {
                        add(Some(name), inner, &ty);
                    }
                }
            }
            _ => {}
        }
    }
    all
}

pub(crate) fn choose(mut all: Vec<Found>, name: Option<&str>, path: &str) -> Result<Found, Error> {
    let whole = |found: &Found| found.interface.as_ref().map(|interface| format!("{interface}#{}", found.name));
    // By its own name, or with its interface where several have that.
    let named = |found: &Found, name: &str| found.name == name || whole(found).as_deref() == Some(name);
    let fits: Vec<usize> = match name {
        Some(name) => (0..all.len()).filter(|at| named(&all[*at], name)).collect(),
        None => (0..all.len()).collect(),
    };
    if let [at] = fits[..] {
        return Ok(all.swap_remove(at));
    }
    if all.is_empty() {
        return Err(Error::new(Kind::Program, format!("{path} has no functions")));
    }
    let several = |found: &Found| all.iter().filter(|other| other.name == found.name).count() > 1;
    let names = all.iter().map(|found| whole(found).filter(|_| several(found)).unwrap_or_else(|| found.name.clone()));
    let names: Vec<String> = names.map(|name| Shown(&name).to_string()).collect();
    let what = match name {
        Some(name) if fits.is_empty() => format!("no function {name:?}"),
        Some(name) => format!("several functions {name:?}"),
        None => "several functions".to_owned(),
    };
    Err(Error::new(Kind::Program, format!("{path} has {what}; it has: {}", names.join(", "))))
}
