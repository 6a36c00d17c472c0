//! The WIT of a lifted program: one interface with one function, and the types of both as the shim knows them.

use super::binding::Binding;
use super::error::LiftError;
use super::signature::{Early, Named, Signature, holds};
use crate::link::Flow;
use std::collections::BTreeMap;
use wasm_encoder::ValType;
use weir_vfs::lift::{Case, Type};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Handle, InterfaceId, Mangling, Resolve, TypeDefKind, WorldId, WorldKey};

/// The interface that a lifted program exports.
pub const INTERFACE: &str = "weir:lifted/api";

/// What every function can fail with, and the interfaces that may be imported: of each only what is used.
const FAILURE: &str = "\
  /// Why a call has no result.
  record failure {
    /// What the program ended with; 0 if it ended well and its result is missing.
    exit-code: u32,
    /// What is wrong.
    message: string,
    /// What the program wrote to stderr.
    stderr: string,
  }
";
const WASI: &str = "\
package wasi:clocks@0.2.0 {
  interface monotonic-clock {
    type instant = u64;
    now: func() -> instant;
  }
  interface wall-clock {
    record datetime { seconds: u64, nanoseconds: u32 }
    now: func() -> datetime;
  }
}
package wasi:io@0.2.0 {
  interface error {
    resource error;
  }
  interface poll {
    resource pollable {
      block: func();
    }
  }
  interface streams {
    use error.{error};
    use poll.{pollable};
    variant stream-error { last-operation-failed(error), closed }
    resource input-stream {
      blocking-read: func(len: u64) -> result<list<u8>, stream-error>;
    }
    resource output-stream {
      check-write: func() -> result<u64, stream-error>;
      write: func(contents: list<u8>) -> result<_, stream-error>;
      blocking-flush: func() -> result<_, stream-error>;
      subscribe: func() -> pollable;
    }
  }
}
package wasi:random@0.2.0 {
  interface random {
    get-random-u64: func() -> u64;
  }
}
";

/// The streams of wasi:io.
const INPUT: &str = "input-stream";
const OUTPUT: &str = "output-stream";

/// Items of a list of a fixed length at most: each is a type of its own in what the shim is told.
const FIXED_LIST_MAX: u32 = 1024;

/// The world of a binding that imports these interfaces.
pub(super) fn world(binding: &Binding, imports: &[String]) -> Result<(Resolve, WorldId), LiftError> {
    let export = export_of(binding)?.trim_end_matches(';');
    let imports: String = imports.iter().map(|name| format!("  import {name};\n")).collect();
    let named = |name: &str| export.contains(name) || binding.types.contains(name);
    let streams: Vec<&str> = [INPUT, OUTPUT].into_iter().filter(|name| named(name)).collect();
    let uses = if streams.is_empty() {
        String::new()
    } else {
        format!("  use wasi:io/streams@0.2.0.{{{}}};\n", streams.join(", "))
    };
    let text = format!(
        "package weir:lifted;\n\ninterface api {{\n{uses}{FAILURE}\n{}\n  {export};\n}}\n\nworld lifted {{\n{imports}  export api;\n}}\n\n{WASI}",
        binding.types
    );
    let mut resolve = Resolve::default();
    let package = resolve
        .push_str("binding.wit", &text)
        .map_err(|error| LiftError::new(format!("`export` (with `types`) is no WIT: {error:#}")))?;
    let world =
        resolve.select_world(&[package], Some("lifted")).map_err(|error| LiftError::new(format!("{error:#}")))?;
    Ok((resolve, world))
}

/// A world that does nothing but import these interfaces, to be added to that of a library.
pub(super) fn imports(names: &[String]) -> Result<(Resolve, WorldId), LiftError> {
    let lines: String = names.iter().map(|name| format!("  import {name};\n")).collect();
    let text = format!("package weir:lifted;\n\nworld inside {{\n{lines}}}\n\n{WASI}");
    let wrong = |error: &dyn std::fmt::Display| LiftError::new(format!("{error:#}"));
    let mut resolve = Resolve::default();
    let package = resolve.push_str("imports.wit", &text).map_err(|error| wrong(&error))?;
    let world = resolve.select_world(&[package], Some("inside")).map_err(|error| wrong(&error))?;
    Ok((resolve, world))
}

fn export_of(binding: &Binding) -> Result<&str, LiftError> {
    let missing = || LiftError::new("the binding has no `export`");
    binding.export.as_deref().map(str::trim).ok_or_else(missing)
}

/// The function of a binding.
pub(super) fn signature(binding: &Binding) -> Result<Signature, LiftError> {
    let (resolve, _) = world(binding, &[])?;
    let interfaces = resolve.interfaces.iter().filter(|(_, interface)| interface.name.as_deref() == Some("api"));
    let functions: Vec<_> =
        interfaces.flat_map(|(id, interface)| interface.functions.values().map(move |found| (id, found))).collect();
    let [(interface, function)] = functions[..] else {
        return Err(LiftError::new("`export` is one function: `name: func(...) -> result<..., failure>`"));
    };
    let wit = export_of(binding)?.to_owned();
    let describe = Describe { resolve: &resolve };
    let mut params = Vec::new();
    for param in &function.params {
        params.push((param.name.clone(), describe.named(&param.ty)?));
    }
    let asynchronous = function.kind.is_async();
    let early = function.result.as_ref().map_or(Ok(None), |ty| describe.early(ty))?;
    let holds = |of: &dyn Fn(&Type) -> bool| params.iter().any(|(_, param)| holds(&param.ty, of));
    let of_io = holds(&|ty| matches!(ty, Type::Input | Type::Output));
    if asynchronous && of_io {
        let what = format!("`{wit}` is asynchronous, so its streams are `stream<u8>`, not those of wasi:io");
        return Err(LiftError::new(what));
    }
    if !asynchronous && (early.is_some() || holds(&|ty| *ty == Type::Stream)) {
        let what = format!("`{wit}` has streams, whose bytes flow while it runs: write `async func`");
        return Err(LiftError::new(what));
    }
    let (early, result) = early.map_or((Vec::new(), function.result), |(early, result)| (early, Some(result)));
    let result = result.as_ref().map_or(Ok(None), |ty| describe.ok_of(ty))?.ok_or_else(|| {
        let streams = if asynchronous { ", or a tuple or record of streams and the `future` of that" } else { "" };
        LiftError::new(format!(
            "`{wit}` gives no `result<..., failure>`{streams}: a program can always fail, so it has to say so"
        ))
    })?;
    let variant = if asynchronous { AbiVariant::GuestExportAsync } else { AbiVariant::GuestExport };
    let core = resolve.wasm_signature(variant, function);
    Ok(Signature {
        name: function.name.clone(),
        wit,
        params,
        result,
        early,
        core: values(&core.params),
        spilled: core.indirect_params,
        flow: if asynchronous {
            Some(flow(&resolve, interface, function))
        } else {
            of_io.then(|| (Flow::default(), false))
        },
    })
}

fn values(types: &[WasmType]) -> Vec<ValType> {
    let value = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
        _ => ValType::I32,
    };
    types.iter().map(value).collect()
}

/// The imports of an asynchronous function. All streams are of bytes, so that one of them names the type of all.
fn flow(resolve: &Resolve, interface: InterfaceId, function: &wit_parser::Function) -> (Flow, bool) {
    let key = WorldKey::Interface(interface);
    let (module, task_return, core) = function.task_return_import(resolve, Some(&key), Mangling::Legacy);
    let mut imports = BTreeMap::new();
    let mut add = |name: &'static str, module: &str, import: String| {
        imports.insert(name, (module.to_owned(), import));
    };
    let (name, found) = (&function.name, function.find_futures_and_streams(resolve));
    let number =
        |stream: bool| found.iter().position(|id| matches!(resolve.types[*id].kind, TypeDefKind::Stream(_)) == stream);
    if let Some(stream) = number(true) {
        add("stream_new", &module, format!("[stream-new-{stream}]{name}"));
        add("stream_read", &module, format!("[async-lower][stream-read-{stream}]{name}"));
        add("stream_write", &module, format!("[async-lower][stream-write-{stream}]{name}"));
        add("stream_drop_readable", &module, format!("[stream-drop-readable-{stream}]{name}"));
        add("stream_drop_writable", &module, format!("[stream-drop-writable-{stream}]{name}"));
    }
    if let Some(future) = number(false) {
        add("future_new", &module, format!("[future-new-{future}]{name}"));
        add("future_write", &module, format!("[async-lower][future-write-{future}]{name}"));
        add("future_drop_writable", &module, format!("[future-drop-writable-{future}]{name}"));
    }
    for (name, import) in [
        ("set_new", "[waitable-set-new]"),
        ("set_wait", "[waitable-set-wait]"),
        ("set_drop", "[waitable-set-drop]"),
        ("join", "[waitable-join]"),
    ] {
        add(name, "$root", import.to_owned());
    }
    add("task_return", &module, task_return);
    let callback = format!("[callback][async-lift]{INTERFACE}#{name}");
    (Flow { callback: Some(callback), imports, given: values(&core.params) }, core.indirect_params)
}

struct Describe<'r> {
    resolve: &'r Resolve,
}

impl Describe<'_> {
    /// What a `result<T, failure>` gives: for `_` a record of no fields.
    fn ok_of(&self, ty: &wit_parser::Type) -> Result<Option<Named>, LiftError> {
        let wit_parser::Type::Id(id) = ty else { return Ok(None) };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Result(result) => {
                let Some(wit_parser::Type::Id(failure)) = result.err else { return Ok(None) };
                if self.resolve.types[failure].name.as_deref() != Some("failure") {
                    return Ok(None);
                }
                let nothing = Named { ty: Type::Record(Vec::new()), fields: Vec::new(), wit: "_".into() };
                result.ok.as_ref().map_or(Ok(nothing), |ty| self.named(ty)).map(Some)
            }
            TypeDefKind::Type(other) => self.ok_of(other),
            _ => Ok(None),
        }
    }

    /// Streams and the future of a `result`, where a tuple or record is those, and the type in the future.
    #[allow(clippy::type_complexity, reason = "names and kinds, and a type")]
    fn early(&self, ty: &wit_parser::Type) -> Result<Option<(Vec<(String, Early)>, wit_parser::Type)>, LiftError> {
        let wit_parser::Type::Id(id) = ty else { return Ok(None) };
        let fields: Vec<(String, wit_parser::Type)> = match &self.resolve.types[*id].kind {
            TypeDefKind::Type(other) => return self.early(other),
            TypeDefKind::Record(record) => record.fields.iter().map(|field| (field.name.clone(), field.ty)).collect(),
            TypeDefKind::Tuple(tuple) => tuple.types.iter().enumerate().map(|(at, ty)| (at.to_string(), *ty)).collect(),
            _ => return Ok(None),
        };
        let (mut all, mut results) = (Vec::new(), Vec::new());
        for (name, ty) in fields {
            match self.future_of(&ty) {
                Some(inside) => {
                    results.push(inside);
                    all.push((name, Early::Future));
                }
                None if self.named(&ty)?.ty == Type::Stream => all.push((name, Early::Stream)),
                None => return Ok(None),
            }
        }
        match results[..] {
            [result] => Ok(Some((all, result))),
            _ => Ok(None),
        }
    }

    /// A stream of wasi:io.
    fn of_io(&self, resource: wit_parser::TypeId) -> Option<(Type, &'static str)> {
        let def = &self.resolve.types[resource];
        if let TypeDefKind::Type(wit_parser::Type::Id(other)) = def.kind {
            return self.of_io(other);
        }
        let wit_parser::TypeOwner::Interface(owner) = def.owner else { return None };
        match (self.resolve.interfaces[owner].name.as_deref()?, def.name.as_deref()?) {
            ("streams", INPUT) => Some((Type::Input, INPUT)),
            ("streams", OUTPUT) => Some((Type::Output, OUTPUT)),
            _ => None,
        }
    }

    fn future_of(&self, ty: &wit_parser::Type) -> Option<wit_parser::Type> {
        let wit_parser::Type::Id(id) = ty else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Type(other) => self.future_of(other),
            TypeDefKind::Future(inside) => *inside,
            _ => None,
        }
    }

    fn named(&self, ty: &wit_parser::Type) -> Result<Named, LiftError> {
        use wit_parser::Type as Wit;
        let plain = |ty: Type, wit: &str| Ok(Named { ty, fields: Vec::new(), wit: wit.into() });
        match ty {
            Wit::Bool => plain(Type::Bool, "bool"),
            Wit::U8 => plain(Type::Unsigned(1), "u8"),
            Wit::U16 => plain(Type::Unsigned(2), "u16"),
            Wit::U32 => plain(Type::Unsigned(4), "u32"),
            Wit::U64 => plain(Type::Unsigned(8), "u64"),
            Wit::S8 => plain(Type::Signed(1), "s8"),
            Wit::S16 => plain(Type::Signed(2), "s16"),
            Wit::S32 => plain(Type::Signed(4), "s32"),
            Wit::S64 => plain(Type::Signed(8), "s64"),
            Wit::F32 => plain(Type::F32, "f32"),
            Wit::F64 => plain(Type::F64, "f64"),
            Wit::Char => plain(Type::Char, "char"),
            Wit::String => plain(Type::Text, "string"),
            Wit::ErrorContext => Err(LiftError::new("`error-context` cannot be a value of a lifted function")),
            Wit::Id(id) => self.defined(&self.resolve.types[*id]),
        }
    }

    fn defined(&self, def: &wit_parser::TypeDef) -> Result<Named, LiftError> {
        let name = |wit: String| def.name.clone().unwrap_or(wit);
        let case = |name: &str, ty: Option<Type>| Case { name: name.into(), ty };
        let optional = |ty: &Option<wit_parser::Type>| ty.as_ref().map(|ty| self.named(ty)).transpose();
        let plain = |ty: Type, wit: String| Ok(Named { ty, fields: Vec::new(), wit: name(wit) });
        match &def.kind {
            TypeDefKind::Type(other) => self.named(other),
            TypeDefKind::List(_) | TypeDefKind::Map(..) | TypeDefKind::FixedLengthList(..) => self.items(def),
            TypeDefKind::Option(inside) => {
                let inside = self.named(inside)?;
                let wit = name(format!("option<{}>", inside.wit));
                let ty = Type::Variant(vec![case("none", None), case("some", Some(inside.ty))]);
                Ok(Named { ty, fields: inside.fields, wit })
            }
            TypeDefKind::Result(result) => {
                let (ok, err) = (optional(&result.ok)?, optional(&result.err)?);
                let ty = |named: Option<Named>| named.map(|named| named.ty);
                plain(Type::Variant(vec![case("ok", ty(ok)), case("err", ty(err))]), "result".into())
            }
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter().map(|field| Ok((field.name.clone(), self.named(&field.ty)?)));
                self.record(fields.collect::<Result<_, LiftError>>()?, name("record".into()))
            }
            TypeDefKind::Tuple(tuple) => {
                let fields = tuple.types.iter().enumerate().map(|(at, ty)| Ok((at.to_string(), self.named(ty)?)));
                let fields: Vec<(String, Named)> = fields.collect::<Result<_, LiftError>>()?;
                let types: Vec<&str> = fields.iter().map(|(_, named)| named.wit.as_str()).collect();
                let wit = name(format!("tuple<{}>", types.join(", ")));
                self.record(fields, wit)
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant
                    .cases
                    .iter()
                    .map(|case| Ok(Case { name: case.name.clone(), ty: optional(&case.ty)?.map(|named| named.ty) }));
                plain(Type::Variant(cases.collect::<Result<_, LiftError>>()?), "variant".into())
            }
            TypeDefKind::Enum(cases) => {
                let cases = cases.cases.iter().map(|one| case(&one.name, None)).collect();
                plain(Type::Variant(cases), "enum".into())
            }
            TypeDefKind::Flags(flags) => {
                plain(Type::Flags(flags.flags.iter().map(|flag| flag.name.clone()).collect()), "flags".into())
            }
            TypeDefKind::Handle(Handle::Own(resource) | Handle::Borrow(resource))
                if self.of_io(*resource).is_some() =>
            {
                let (ty, name) = self.of_io(*resource).unwrap_or((Type::Input, INPUT));
                plain(ty, name.into())
            }
            TypeDefKind::Stream(Some(wit_parser::Type::U8)) => plain(Type::Stream, "stream<u8>".into()),
            TypeDefKind::Stream(_) => Err(LiftError::new("a stream of a lifted function is `stream<u8>`")),
            other => Err(LiftError::new(format!("`{}` cannot be a value of a lifted function", kind(other)))),
        }
    }

    /// What holds values of one type. What the canonical ABI makes of maps and of lists of a fixed length is lists and tuples.
    fn items(&self, def: &wit_parser::TypeDef) -> Result<Named, LiftError> {
        let name = |wit: String| def.name.clone().unwrap_or(wit);
        let list =
            |item: Type, wit: String| Ok(Named { ty: Type::List(Box::new(item)), fields: Vec::new(), wit: name(wit) });
        match &def.kind {
            TypeDefKind::Map(key, value) => {
                let (key, value) = (self.named(key)?, self.named(value)?);
                list(Type::Record(vec![key.ty, value.ty]), format!("map<{}, {}>", key.wit, value.wit))
            }
            TypeDefKind::FixedLengthList(item, len) => {
                let item = self.named(item)?;
                let wit = format!("list<{}, {len}>", item.wit);
                if *len > FIXED_LIST_MAX {
                    return Err(LiftError::new(format!("`{wit}` is longer than {FIXED_LIST_MAX}: write a list")));
                }
                self.record((0..*len).map(|at| (at.to_string(), item.clone())).collect(), name(wit))
            }
            TypeDefKind::List(item) => {
                let item = self.named(item)?;
                list(item.ty, format!("list<{}>", item.wit))
            }
            other => Err(LiftError::new(format!("`{}` is no list", kind(other)))),
        }
    }

    fn record(&self, fields: Vec<(String, Named)>, wit: String) -> Result<Named, LiftError> {
        let ty = Type::Record(fields.iter().map(|(_, named)| named.ty.clone()).collect());
        Ok(Named { ty, fields, wit })
    }
}

fn kind(kind: &TypeDefKind) -> &'static str {
    match kind {
        TypeDefKind::Resource | TypeDefKind::Handle(Handle::Own(_) | Handle::Borrow(_)) => "resource",
        TypeDefKind::Future(_) => "future",
        _ => "this type",
    }
}
