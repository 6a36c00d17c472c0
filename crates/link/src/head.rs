//! The head of a program: only the sections before the code are looked at. Damage is for others to report, so what cannot
//! be read is as good as not there.

use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::Types;
use wasmparser::{Parser, Payload, TypeRef, ValidPayload, Validator, WasmFeatures};
use weir_types::head::{ComponentHead, ModuleHead, ModuleImport};

/// The head of a core module.
pub fn module_head(bytes: &[u8]) -> ModuleHead {
    let mut head = ModuleHead::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::ImportSection(section)) => {
                for import in section.into_imports().map_while(Result::ok) {
                    if let TypeRef::Memory(memory) = import.ty {
                        head.shared_memory |= memory.shared;
                    }
                    head.imports.push(ModuleImport {
                        module: import.module.into(),
                        name: import.name.into(),
                        is_function: matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)),
                    });
                }
            }
            Ok(Payload::MemorySection(section)) => {
                head.shared_memory |= section.into_iter().map_while(Result::ok).any(|memory| memory.shared);
            }
            Ok(Payload::CodeSectionStart { .. }) | Err(_) => break,
            Ok(_) => {}
        }
    }
    head
}

/// The head of a component; `is_served` says which interfaces need no further look. `None` if it is damaged.
pub fn component_head(bytes: &[u8], is_served: impl Fn(&str) -> bool) -> Option<ComponentHead> {
    let (mut head, mut depth) = (ComponentHead::default(), 0u32);
    // Function bodies are not validated, so this costs little; it is what knows the types.
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.ok()?;
        if let ValidPayload::End(types) = validator.payload(&payload).ok()?
            && depth == 0
        {
            head.imports.retain(|name| has_functions(&types, name));
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::MemorySection(section) => {
                head.shared_memory |= section.into_iter().map_while(Result::ok).any(|memory| memory.shared);
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                let names = section.into_iter().map_while(Result::ok).map(|import| import.name.name);
                head.imports.extend(names.filter(|name| !is_served(name)).map(Into::into));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                head.exports.extend(section.into_iter().map_while(Result::ok).map(|export| export.name.name.into()));
            }
            _ => {}
        }
    }
    Some(head)
}

/// Whether a memory of any module in a component is shared between threads. Unlike the whole head, this is not lost where a
/// part of the component is not valid.
pub fn has_shared_memory(bytes: &[u8]) -> bool {
    let memories = Parser::new(0).parse_all(bytes).map_while(Result::ok).filter_map(|payload| match payload {
        Payload::MemorySection(section) => Some(section),
        _ => None,
    });
    memories.flat_map(|section| section.into_iter().map_while(Result::ok)).any(|memory| memory.shared)
}

/// Whether an import of a component has anything that can be called: types alone need no grant.
fn has_functions(types: &Types, import: &str) -> bool {
    let types = types.as_ref();
    match types.component_item_for_import(import).map(|item| item.ty) {
        Some(ComponentEntityType::Instance(instance)) => {
            types[instance].exports.values().any(|item| matches!(item.ty, ComponentEntityType::Func(_)))
        }
        Some(ComponentEntityType::Type { .. } | ComponentEntityType::Value(_)) => false,
        _ => true,
    }
}
