//! The type of a lifted function, as binding and shim know it.

use crate::link::Flow;
use wasm_encoder::ValType;
use weir_vfs::lift::Type;

/// The types of the function.
pub(super) struct Signature {
    pub name: String,
    /// As it is written.
    pub wit: String,
    pub params: Vec<(String, Named)>,
    /// What it gives if it does not fail; a record of no fields for nothing.
    pub result: Named,
    /// What it gives before the program runs: streams, and where nothing is said of a stream the future of the result.
    pub early: Vec<(String, Early)>,
    /// Core values of the parameters.
    pub core: Vec<ValType>,
    /// Whether they are one address.
    pub spilled: bool,
    /// What an asynchronous function needs, and whether it gives its core values as one address.
    pub flow: Option<(Flow, bool)>,
}

impl Signature {
    /// Of a library, which has functions of its own.
    pub fn nothing() -> Self {
        let result = Named { ty: Type::default(), fields: Vec::new(), wit: "_".into() };
        Self {
            name: String::new(),
            wit: "a library".into(),
            params: Vec::new(),
            result,
            early: Vec::new(),
            core: Vec::new(),
            spilled: false,
            flow: None,
        }
    }
}

/// A part of what a function gives at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    Stream,
    Future,
}

/// A type with the names of its fields, which the shim does not need.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub ty: Type,
    /// Names and types of the fields, if it is a record (or a tuple, whose fields are numbers) or an option of one.
    pub fields: Vec<(String, Named)>,
    /// As it is written in WIT.
    pub wit: String,
}

/// Whether a stream is somewhere in a type.
pub(super) fn holds_stream(ty: &Type) -> bool {
    holds(ty, &|ty| matches!(ty, Type::Stream | Type::Input | Type::Output))
}

/// Whether what is meant is somewhere in a type.
pub(super) fn holds(ty: &Type, meant: &dyn Fn(&Type) -> bool) -> bool {
    meant(ty)
        || match ty {
            Type::List(item) => holds(item, meant),
            Type::Record(fields) => fields.iter().any(|field| holds(field, meant)),
            Type::Variant(cases) => cases.iter().filter_map(|case| case.ty.as_ref()).any(|ty| holds(ty, meant)),
            _ => false,
        }
}
