//! Calls a lifted program from Rust, as a function that takes and gives values:
//!
//!     cargo run -p weir-engine --example call -- render.wasm render %drawing.svg -
//!
//! An argument is `=TEXT`, `%FILE` (a file's text), `@FILE` (a file's bytes) or `-` (none). Prints the SHA-256 sum and
//! the length of each part of the result, or the failure.

use sha2::{Digest, Sha256};
use std::error::Error;
use weir_engine::{LiftedFunction, Program, Type, Val};
use weir_types::limits::Limits;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [component, name, args @ ..] = words.as_slice() else {
        return Err("usage: call COMPONENT FUNCTION ARGUMENT...".into());
    };
    // Compiled once. Each call has an instance of its own, from any thread.
    let program = Program::open(component.as_ref(), None)?;
    let cache = weir_engine::Cache::of_user();
    let function =
        LiftedFunction::load(&program, Some(name), &Limits::default(), cache.as_ref(), weir_engine::as_it_is)?;
    let types = function.params().iter().map(|(_, ty)| ty);
    let values = args.iter().zip(types).map(|(arg, ty)| value(arg, ty)).collect::<Result<Vec<Val>, _>>()?;
    match function.call(&values)? {
        Some(Val::Result(Ok(Some(value)))) => match *value {
            Val::Record(fields) => fields.iter().try_for_each(|(name, value)| show(name, value)),
            value => show("result", &value),
        },
        Some(Val::Result(Err(Some(failure)))) => {
            let Val::Record(fields) = *failure else { return Err("a failure is a record".into()) };
            let part = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
            let (Some(Val::U32(code)), Some(Val::String(message))) = (part("exit-code"), part("message")) else {
                return Err("a failure has an exit code and a message".into());
            };
            println!("failure {code} {message}");
            Ok(())
        }
        other => Err(format!("the function gives something else than a result: {other:?}").into()),
    }
}

fn value(arg: &str, ty: &Type) -> Result<Val, Box<dyn Error>> {
    if let Type::Option(inside) = ty {
        return Ok(Val::Option(if arg == "-" { None } else { Some(Box::new(value(arg, &inside.ty())?)) }));
    }
    let (kind, rest) = arg.split_at(1);
    Ok(match kind {
        "=" => Val::String(rest.into()),
        "%" => Val::String(std::fs::read_to_string(rest)?),
        "@" => Val::List(std::fs::read(rest)?.into_iter().map(Val::U8).collect()),
        _ => return Err(format!("{arg:?} is no argument").into()),
    })
}

fn show(name: &str, value: &Val) -> Result<(), Box<dyn Error>> {
    let bytes = match value {
        Val::String(text) => text.clone().into_bytes(),
        Val::List(items) => {
            items.iter().filter_map(|item| if let Val::U8(byte) = item { Some(*byte) } else { None }).collect()
        }
        other => return Err(format!("{name} is no text and no bytes: {other:?}").into()),
    };
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{name} {sum} {}", bytes.len());
    Ok(())
}
