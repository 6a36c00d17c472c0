//! The program in a component: the one core module that is a command for WASI 0.1, as compilers for WASI 0.2 make it
//! together with an adapter. The adapter is not needed where everything is answered inside.

use super::LiftError;
use wasmparser::{Parser, Payload, TypeRef};

/// The bytes of the module.
pub(super) fn of_component(component: &[u8]) -> Result<&[u8], LiftError> {
    let (mut depth, mut found, mut nested) = (0, Vec::new(), false);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(|error| LiftError::new(format!("the component is damaged: {error}")))?;
        match &payload {
            Payload::ModuleSection { unchecked_range, .. } => {
                if depth == 0 {
                    found.push(component.get(unchecked_range.clone()).unwrap_or_default());
                }
                depth += 1;
            }
            Payload::ComponentSection { .. } => {
                nested = true;
                depth += 1;
            }
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    let mut commands = found.iter().filter(|module| is_command(module));
    match (commands.next(), commands.next()) {
        (Some(command), None) => refuse(command).map(|()| *command),
        _ => {
            let why = if nested { "components in it" } else { "no module in it that is a command for WASI 0.1" };
            let what = format!(
                "the program is a component with {why}: of components those can be lifted that are a command \
                 (`_start`) and an adapter, as wasm32-wasip2 and `wasm-tools component new` make them; build it for WASI 0.1 \
                 (wasm32-wasip1)"
            );
            Err(LiftError::new(what))
        }
    }
}

fn is_command(module: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads.into_iter().any(|payload| match payload {
        Payload::ExportSection(section) => section.into_iter().flatten().any(|export| export.name == "_start"),
        _ => false,
    })
}

/// Files and streams of WASI 0.2 itself are not those of the shim.
fn refuse(module: &[u8]) -> Result<(), LiftError> {
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        let Payload::ImportSection(section) = payload else { continue };
        for import in section.into_imports().flatten() {
            let own = import.module.starts_with("wasi:filesystem/") || import.module.starts_with("wasi:cli/std");
            if own && matches!(import.ty, TypeRef::Func(_)) && !import.name.starts_with("[resource-drop]") {
                let what = format!(
                    "the program asks for `{}.{}` itself, and not by the functions of WASI 0.1: build it for WASI 0.1 \
                     (wasm32-wasip1)",
                    import.module, import.name
                );
                return Err(LiftError::new(what));
            }
        }
    }
    Ok(())
}
