//! What a core module exports, in words: its functions, without those that weir added to it.

use wasmtime::{FuncType, Module, ValType};
use weir_types::Shown;
use weir_types::entry;

/// Functions that a message names.
const NAMED_MAX: usize = 12;

/// The functions of `module` that can be called, in words, if there are any.
pub(crate) fn callable(module: &Module) -> Option<String> {
    let setup = [entry::START, entry::INITIALIZE, entry::DEFAULT];
    let own = module.exports().filter(|export| !is_ours(export.name()) && !setup.contains(&export.name()));
    let mut all = own.filter_map(|export| signature(export.name(), export.ty().func()?));
    let named: Vec<String> = all.by_ref().take(NAMED_MAX).collect();
    let more = match all.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| named.join(", ") + &more)
}

/// The functions of `module` that can be called, as a part of a sentence about another one.
pub(crate) fn or_those(module: &Module) -> String {
    callable(module)
        .map_or_else(|| "it has none that takes and gives numbers".into(), |those| format!("it has {those}"))
}

/// Whether weir has added an export for itself.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with("weir_")
}

/// A function as text, if it takes and gives numbers.
pub(crate) fn signature(name: &str, ty: &FuncType) -> Option<String> {
    let numeric = |ty: ValType| matches!(ty, ValType::I32 | ValType::I64 | ValType::F32 | ValType::F64);
    if !ty.params().chain(ty.results()).all(numeric) {
        return None;
    }
    let params = list(ty.params());
    let results = match ty.results().len() {
        0 => String::new(),
        1 => format!(" -> {}", list(ty.results())),
        _ => format!(" -> ({})", list(ty.results())),
    };
    Some(format!("{}({params}){results}", Shown(name)))
}

/// Types as text, with commas.
pub(crate) fn list(types: impl Iterator<Item = impl ToString>) -> String {
    types.map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
}
