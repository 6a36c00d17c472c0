//! The program in a component: the one core module that is a command, as compilers for WASI 0.2 make it, by itself or
//! together with an adapter from WASI 0.1. The adapter is not needed where everything is answered inside.

use super::LiftError;
use crate::link::is_start;
use wasmparser::{Parser, Payload};
use weir_types::entry::START;

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
    // An adapter starts the program that it is for, which has `_start`.
    for start in [&|name: &str| name == START, &is_start as &dyn Fn(&str) -> bool] {
        let mut commands = found.iter().filter(|module| exports(module, start));
        if let (Some(command), None) = (commands.next(), commands.next()) {
            return Ok(command);
        }
    }
    let why = if nested { "components in it" } else { "no module in it that is a command for WASI 0.1 or 0.2" };
    let what = format!(
        "the program is a component with {why}: of components those can be lifted that are one command, with or without an \
         adapter, as wasm32-wasip2 and `wasm-tools component new` make them; build it for WASI 0.1 (wasm32-wasip1)"
    );
    Err(LiftError::new(what))
}

fn exports(module: &[u8], wanted: &dyn Fn(&str) -> bool) -> bool {
    let payloads = Parser::new(0).parse_all(module).map_while(Result::ok);
    payloads.into_iter().any(|payload| match payload {
        Payload::ExportSection(section) => section.into_iter().flatten().any(|export| wanted(export.name)),
        _ => false,
    })
}
