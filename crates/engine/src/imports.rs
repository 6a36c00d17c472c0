//! What of a module's head cannot be served, said before anything is linked or compiled: a large module takes minutes to
//! compile and an instant to be refused. Only the sections before the code are looked at.

use crate::error::{Error, Kind};
use wasmparser::{MemoryType, Parser, Payload, TypeRef};
use weir_types::grants::UnknownImports;

/// The modules whose functions somebody grants; whether they have each function is for linking to say.
const GRANTED: [&str; 4] = ["wasi_snapshot_preview1", "wasi_unstable", "weir", "weir_hostdir"];

/// Refuses a core module that imports what nobody grants, or uses what is not supported. Damage is for others to report.
///
/// # Errors
/// [`Kind::Import`] names the first such import, [`Kind::Program`] what is not supported.
pub fn check_module(bytes: &[u8], unknown: UnknownImports) -> Result<(), Error> {
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::ImportSection(section)) => {
                for import in section.into_imports().map_while(Result::ok) {
                    let granted = GRANTED.contains(&import.module);
                    match import.ty {
                        _ if !granted && unknown == UnknownImports::Refuse => {
                            return Err(not_granted(import.module, import.name));
                        }
                        TypeRef::Memory(memory) => refuse_shared(memory)?,
                        _ => {}
                    }
                }
            }
            Ok(Payload::MemorySection(section)) => {
                section.into_iter().map_while(Result::ok).try_for_each(refuse_shared)?;
            }
            Ok(Payload::CodeSectionStart { .. }) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Ok(())
}

fn refuse_shared(memory: MemoryType) -> Result<(), Error> {
    if memory.shared {
        let what = "the program uses shared memory (threads), and one run is one thread here";
        return Err(Error::new(Kind::Program, format!("{what}: build it without threads")));
    }
    Ok(())
}

/// The error for an import that nobody grants.
pub(crate) fn not_granted(module: &str, name: &str) -> Error {
    let why = match module {
        "wasi_snapshot_preview1" | "wasi_unstable" => "WASI 0.1 has no such function",
        "wasi" => "threads (wasi-threads) are not supported",
        "env" => "an embedder's own function; a program for weir imports WASI alone",
        _ => "weir grants WASI alone",
    };
    let (module, name) = (module.escape_debug(), name.escape_debug());
    Error::new(Kind::Import, format!("the program imports `{module}::{name}`, which nobody grants: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_module_is_enough() {
        let unknown = wat::parse_str(r#"(module (import "embedder" "call\nback" (func)))"#).unwrap();
        let error = check_module(&unknown, UnknownImports::Refuse).unwrap_err();
        assert_eq!(error.kind(), Kind::Import);
        assert!(error.to_string().contains(r"`embedder::call\nback`"), "{error}");
        assert!(check_module(&unknown, UnknownImports::Trap).is_ok());
        for text in ["(module (memory 1 1 shared))", r#"(module (import "weir" "m" (memory 1 1 shared)))"#] {
            let error = check_module(&wat::parse_str(text).unwrap(), UnknownImports::Trap).unwrap_err();
            assert!(error.kind() == Kind::Program && error.to_string().contains("threads"), "{error}");
        }
        assert!(check_module(b"\0asm\x01\0\0\0\x02\xff", UnknownImports::Refuse).is_ok());
    }
}
