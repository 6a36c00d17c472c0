//! The WIT of a lifted program: one interface with one function, and the types of both as the shim knows them.

use super::LiftError;
use super::binding::{Binding, Named};
use wasm_encoder::ValType;
use weir_vfs::lift::{Case, Type};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Handle, Resolve, TypeDefKind, WorldId};

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
package wasi:random@0.2.0 {
  interface random {
    get-random-u64: func() -> u64;
  }
}
";

/// The types of the function.
pub(super) struct Signature {
    pub name: String,
    /// As it is written.
    pub wit: String,
    pub params: Vec<(String, Named)>,
    /// What it gives if it does not fail.
    pub result: Named,
    /// Core values of the parameters.
    pub core: Vec<ValType>,
    /// Whether they are one address.
    pub spilled: bool,
}

/// The world of a binding that imports these interfaces.
pub(super) fn world(binding: &Binding, imports: &[String]) -> Result<(Resolve, WorldId), LiftError> {
    let export = binding.export.trim().trim_end_matches(';');
    let imports: String = imports.iter().map(|name| format!("  import {name};\n")).collect();
    let text = format!(
        "package weir:lifted;\n\ninterface api {{\n{FAILURE}\n{}\n  {export};\n}}\n\nworld lifted {{\n{imports}  export api;\n}}\n\n{WASI}",
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

/// The function of a binding.
pub(super) fn signature(binding: &Binding) -> Result<Signature, LiftError> {
    let (resolve, _) = world(binding, &[])?;
    let interfaces = resolve.interfaces.iter().filter(|(_, interface)| interface.name.as_deref() == Some("api"));
    let functions: Vec<_> = interfaces.flat_map(|(_, interface)| interface.functions.values()).collect();
    let [function] = functions[..] else {
        return Err(LiftError::new("`export` is one function: `name: func(...) -> result<..., failure>`"));
    };
    let wit = binding.export.trim().to_owned();
    let describe = Describe { resolve: &resolve };
    let mut params = Vec::new();
    for param in &function.params {
        params.push((param.name.clone(), describe.named(&param.ty)?));
    }
    let result = function.result.as_ref().and_then(|ty| describe.ok_of(ty)).ok_or_else(|| {
        LiftError::new(format!(
            "`{wit}` gives no `result<..., failure>`: a program can always fail, so it has to say so"
        ))
    })?;
    let core = resolve.wasm_signature(AbiVariant::GuestExport, function);
    let value = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
        _ => ValType::I32,
    };
    Ok(Signature {
        name: function.name.clone(),
        wit,
        params,
        result: describe.named(&result)?,
        core: core.params.iter().map(value).collect(),
        spilled: core.indirect_params,
    })
}

struct Describe<'r> {
    resolve: &'r Resolve,
}

impl Describe<'_> {
    /// What a `result<T, failure>` gives.
    fn ok_of(&self, ty: &wit_parser::Type) -> Option<wit_parser::Type> {
        let wit_parser::Type::Id(id) = ty else { return None };
        match &self.resolve.types[*id].kind {
            TypeDefKind::Result(result) => {
                let wit_parser::Type::Id(failure) = result.err? else { return None };
                (self.resolve.types[failure].name.as_deref() == Some("failure")).then_some(result.ok?)
            }
            TypeDefKind::Type(other) => self.ok_of(other),
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
            TypeDefKind::List(item) => {
                let item = self.named(item)?;
                plain(Type::List(Box::new(item.ty)), format!("list<{}>", item.wit))
            }
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
            other => Err(LiftError::new(format!("`{}` cannot be a value of a lifted function", kind(other)))),
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
        TypeDefKind::Stream(_) => "stream",
        TypeDefKind::Map(..) => "map",
        _ => "this type",
    }
}
