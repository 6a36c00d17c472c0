//! Calls a lifted program from Rust, as a function that takes and gives values:
//!
//!     cargo run -p weir-engine --example call -- render.wasm render %drawing.svg -
//!
//! An argument is `=TEXT`, `%FILE` (a file's text), `@FILE` (a file's bytes) or `-` (none). Prints the SHA-256 sum and
//! the length of each part of the result, or the failure.

use sha2::{Digest, Sha256};
use std::error::Error;
use weir_engine::{LiftedFunction, Program, Type, Value};
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
    let values = args.iter().zip(types).map(|(arg, ty)| value(arg, ty)).collect::<Result<Vec<Value>, _>>()?;
    match function.call(values)? {
        Some(Value::Result(Ok(Some(value)))) => match *value {
            Value::Record(fields) => fields.iter().try_for_each(|(name, value)| show(name, value)),
            value => show("result", &value),
        },
        Some(Value::Result(Err(Some(failure)))) => {
            let Value::Record(fields) = *failure else { return Err("a failure is a record".into()) };
            let part = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
            let (Some(Value::U32(code)), Some(Value::String(message))) = (part("exit-code"), part("message")) else {
                return Err("a failure has an exit code and a message".into());
            };
            println!("failure {code} {message}");
            Ok(())
        }
        other => Err(format!("the function gives something else than a result: {other:?}").into()),
    }
}

fn value(arg: &str, ty: &Type) -> Result<Value, Box<dyn Error>> {
    if let Type::Option(inside) = ty {
        return Ok(Value::Option(if arg == "-" { None } else { Some(Box::new(value(arg, &inside.ty())?)) }));
    }
    let (kind, rest) = arg.split_at(1);
    Ok(match kind {
        "=" => Value::String(rest.into()),
        "%" => Value::String(std::fs::read_to_string(rest)?),
        "@" => Value::bytes(std::fs::read(rest)?),
        _ => return Err(format!("{arg:?} is no argument").into()),
    })
}

fn show(name: &str, value: &Value) -> Result<(), Box<dyn Error>> {
    let bytes = match value {
        Value::String(text) => text.clone().into_bytes(),
        other => match other.as_bytes() {
            Some(bytes) => bytes.to_vec(),
            None => return Err(format!("{name} is no text and no bytes: {other:?}").into()),
        },
    };
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{name} {sum} {}", bytes.len());
    Ok(())
}
