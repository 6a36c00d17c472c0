//! Functions of core modules: they take and give numbers, and each call has an instance of its own. A library is set up
//! by its `_initialize` first. Names are those of the module, which may be anything; numbers are decimal, or `0x...`.

use crate::core::CoreProgram;
use crate::error::{Error, Kind};
use crate::exports::{is_ours, list, or_those, signature};
use crate::run::Run;
use crate::value::Value;
use wasmtime::{Val as CoreVal, ValType};

/// A function of a core module.
pub struct ModuleFunction<'p> {
    program: &'p CoreProgram,
    name: String,
    params: Vec<ValType>,
    results: Vec<ValType>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Called {
    /// With what the function gives: a number, a tuple of several, or nothing.
    Returned(Option<Value>),
    /// The program ended itself, with this code.
    Exited(u32),
}

impl<'p> ModuleFunction<'p> {
    /// The function that `call` names, as in `name(1, 2.5)`.
    ///
    /// # Errors
    /// The module has none of this name, or it takes or gives other things than numbers.
    pub fn of(program: &'p CoreProgram, call: &str) -> Result<Self, Error> {
        let (name, _) = split(call);
        let module = program.module();
        // A name may end with a space.
        let name = if module.get_export(name).is_some() { name } else { name.trim_end() };
        let found = module.get_export(name).filter(|_| !is_ours(name));
        if found.is_none() && name.contains('(') && !name.ends_with(')') {
            let what = format!("{name:?} is no call: write the arguments in brackets, as in `name(1, 2)`");
            return Err(Error::new(Kind::Program, what));
        }
        let Some(ty) = found.as_ref().and_then(|export| export.func()) else {
            let what = format!("the program has no function {name:?}; {}", or_those(module));
            return Err(Error::new(Kind::Program, what));
        };
        let signature = signature(name, ty).ok_or_else(|| {
            let what = format!("{name:?} takes or gives other things than numbers: {ty}");
            Error::new(Kind::Program, format!("{what}; {}", or_those(module)))
        });
        signature.map(|_| Self {
            program,
            name: name.into(),
            params: ty.params().collect(),
            results: ty.results().collect(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments of `call`.
    ///
    /// # Errors
    /// A sentence that says which does not fit.
    pub fn arguments(&self, call: &str) -> Result<Vec<Value>, String> {
        let (_, texts) = split(call);
        let texts: Vec<&str> = match texts.trim() {
            "" => Vec::new(),
            texts => texts.split(',').map(str::trim).collect(),
        };
        if texts.len() != self.params.len() {
            let types = list(self.params.iter());
            return Err(format!("it takes {} arguments ({types}), and {} are given", self.params.len(), texts.len()));
        }
        let parsed = texts.iter().zip(&self.params).enumerate().map(|(at, (text, ty))| {
            number(text, ty).ok_or_else(|| format!("argument {}: {text:?} is no {ty}", at + 1))
        });
        parsed.collect()
    }

    /// Calls it in an instance of its own, on a stack of its own.
    ///
    /// # Errors
    /// A grant cannot be honoured, an import is not granted, or the function traps or meets a limit.
    pub fn call(&self, run: Run<'_>, args: &[Value]) -> Result<Called, Error> {
        let args: Vec<CoreVal> = args.iter().filter_map(Value::to_core).collect();
        let mut results = vec![CoreVal::I32(0); self.results.len()];
        Ok(match self.program.call(run, &self.name, &args, &mut results)? {
            Some(code) => Called::Exited(code),
            None => {
                let mut values: Vec<Value> = results.iter().filter_map(Value::from_core).collect();
                Called::Returned(if values.len() > 1 { Some(Value::Tuple(values)) } else { values.pop() })
            }
        })
    }
}

/// The name before the last bracket, and what is inside.
fn split(call: &str) -> (&str, &str) {
    let call = call.trim();
    call.strip_suffix(')').and_then(|call| call.rsplit_once('(')).unwrap_or((call, ""))
}

/// A number of type `ty`; integers with a sign or without, as the bits that both have.
fn number(text: &str, ty: &ValType) -> Option<Value> {
    let integer = |bits: u32| {
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (radix, digits) = digits.strip_prefix("0x").map_or((10, digits), |digits| (16, digits));
        let digits = Some(digits).filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()))?;
        let value = sign * i128::from_str_radix(digits, radix).ok()?;
        (-(1i128 << (bits - 1))..1i128 << bits).contains(&value).then_some(value)
    };
    match ty {
        ValType::I32 => integer(32).map(|value| Value::S32(value as i32)),
        ValType::I64 => integer(64).map(|value| Value::S64(value as i64)),
        ValType::F32 => text.parse().ok().map(Value::F32),
        ValType::F64 => text.parse().ok().map(Value::F64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_to_the_last_bracket() {
        assert_eq!(split(" add(1, 2) "), ("add", "1, 2"));
        assert_eq!(split("add"), ("add", ""));
        assert_eq!(split("Math.Max(Int32)(3)"), ("Math.Max(Int32)", "3"));
        assert_eq!(split("()"), ("", ""));
    }

    #[test]
    fn integers_have_their_bits_with_and_without_a_sign() {
        let int = |text: &str| number(text, &ValType::I32);
        assert_eq!(int("-1"), Some(Value::S32(-1)));
        assert_eq!(int("4294967295"), Some(Value::S32(-1)));
        assert_eq!(int("0xffffffff"), Some(Value::S32(-1)));
        assert_eq!(int("-0x80000000"), Some(Value::S32(i32::MIN)));
        for wrong in ["4294967296", "-2147483649", "--1", "-+1", "+1", "", "0x", "1.5", "one"] {
            assert_eq!(int(wrong), None, "{wrong}");
        }
        assert_eq!(number("18446744073709551615", &ValType::I64), Some(Value::S64(-1)));
        assert_eq!(number("1e3", &ValType::F64), Some(Value::F64(1000.0)));
        assert_eq!(number("x", &ValType::F32), None);
    }
}
