//! Calls and values as text: the WAVE encoding of the component model (<https://github.com/bytecodealliance/wasm-tools/tree/main/crates/wasm-wave>),
//! with arguments by name, and `@path` for a text or for bytes that lie somewhere else.

use crate::flow::{Arg, Sink, is_input, is_output};
use std::cell::Cell;
use std::fmt::Write;
use std::io::Read;
use wasmtime::component::{Type, Val};

/// Gives the bytes behind `@path`, or says what is wrong.
pub type Fetch<'f> = &'f mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

/// Opens what lies behind `@path` for streams; `-` is stdin or stdout.
pub trait Streams {
    /// What is read.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn read(&mut self, path: &str) -> Result<Box<dyn Read + Send>, String>;
    /// What is written.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    fn write(&mut self, path: &str) -> Result<Sink, String>;
}

/// The name of the function that a call names.
pub fn function_name(call: &str) -> &str {
    call.split(['(', ' ']).next().unwrap_or_default()
}

/// The arguments of `name(argument, ...)` or `name(parameter: argument, ...)`; an option that is not given is none.
///
/// # Errors
/// A sentence that says what does not fit, where, and of which type it has to be.
pub fn arguments(call: &str, params: &[(String, Type)], fetch: Fetch<'_>) -> Result<Vec<Val>, String> {
    parse(call, params, &mut |text, ty| text.value(ty, fetch))
}

/// The same for a function with streams: a stream is `@path`, `-`, or a text in quotes.
///
/// # Errors
/// As [`arguments`].
pub fn arguments_with_streams(
    call: &str,
    params: &[(String, Type)],
    fetch: Fetch<'_>,
    streams: &mut dyn Streams,
) -> Result<Vec<Arg>, String> {
    parse(call, params, &mut |text, ty| match ty {
        ty if is_input(ty) => text.input(streams),
        ty if is_output(ty) => text.output(streams),
        Type::Option(inside) if is_input(&inside.ty()) && !text.is_none() => text.input(streams),
        Type::Option(inside) if is_output(&inside.ty()) && !text.is_none() => text.output(streams),
        ty => text.value(ty, fetch).map(Arg::Value),
    })
}

fn parse<T: From<Val>>(
    call: &str,
    params: &[(String, Type)],
    value: &mut dyn FnMut(&mut Text<'_>, &Type) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let rest = call.get(function_name(call).len()..).unwrap_or_default();
    let mut text = Text { all: call, rest, unfit: Cell::new(false) };
    let mut values: Vec<Option<T>> = params.iter().map(|_| None).collect();
    if text.rest.trim().is_empty() {
        text.rest = "()";
    }
    text.expect("(")?;
    let mut next = 0;
    while !text.eat(")") {
        let named = params.iter().position(|(name, _)| text.is_key(name));
        if let (None, Some(key)) = (named, text.key()) {
            return Err(format!("it has no parameter {key:?}; the function is {}", signature(call, params)));
        }
        let at = named.unwrap_or(next);
        let Some((name, ty)) = params.get(at) else {
            return Err(format!("there are more arguments than the {} of {}", params.len(), signature(call, params)));
        };
        if named.is_some() {
            text.word();
            text.expect(":")?;
        }
        let value = value(&mut text, ty).map_err(|error| match text.unfit.get() {
            true => format!("{name}: {error}; the function is {}", signature(call, params)),
            false => format!("{name}: {error}"),
        })?;
        if values[at].replace(value).is_some() {
            return Err(format!("{name} is given twice"));
        }
        next = at + 1;
        if !text.eat(",") {
            text.expect(")")?;
            break;
        }
    }
    text.end()?;
    let missing = |((name, ty), value): (&(String, Type), Option<T>)| match (value, ty) {
        (Some(value), _) => Ok(value),
        (None, Type::Option(_)) => Ok(Val::Option(None).into()),
        (None, ty) => {
            Err(format!("{name} is missing, a {}; the function is {}", type_name(ty), signature(call, params)))
        }
    };
    params.iter().zip(values).map(missing).collect()
}

fn signature(call: &str, params: &[(String, Type)]) -> String {
    let params: Vec<String> = params.iter().map(|(name, ty)| format!("{name}: {}", type_name(ty))).collect();
    format!("{}({})", function_name(call), params.join(", "))
}

/// A type as WIT writes it, without its name.
pub fn type_name(ty: &Type) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    let payload = |name: &str, ty: Option<Type>| match ty {
        Some(ty) => format!("{name}({})", type_name(&ty)),
        None => name.to_owned(),
    };
    match ty {
        Type::Bool => "bool".into(),
        Type::S8 => "s8".into(),
        Type::U8 => "u8".into(),
        Type::S16 => "s16".into(),
        Type::U16 => "u16".into(),
        Type::S32 => "s32".into(),
        Type::U32 => "u32".into(),
        Type::S64 => "s64".into(),
        Type::U64 => "u64".into(),
        Type::Float32 => "f32".into(),
        Type::Float64 => "f64".into(),
        Type::Char => "char".into(),
        Type::String => "string".into(),
        Type::List(inner) => format!("list<{}>", type_name(&inner.ty())),
        Type::Option(inner) => format!("option<{}>", type_name(&inner.ty())),
        Type::Result(both) => {
            let name = |ty: Option<Type>| ty.map_or("_".into(), |ty| type_name(&ty));
            format!("result<{}, {}>", name(both.ok()), name(both.err()))
        }
        Type::Tuple(items) => format!("tuple<{}>", list(&mut items.types().map(|ty| type_name(&ty)))),
        Type::Record(record) => {
            let mut fields = record.fields().map(|field| format!("{}: {}", field.name, type_name(&field.ty)));
            format!("record {{ {} }}", list(&mut fields))
        }
        Type::Variant(variant) => {
            format!("variant {{ {} }}", list(&mut variant.cases().map(|case| payload(case.name, case.ty))))
        }
        Type::Enum(cases) => format!("enum {{ {} }}", list(&mut cases.names().map(Into::into))),
        Type::Flags(flags) => format!("flags {{ {} }}", list(&mut flags.names().map(Into::into))),
        Type::Stream(stream) => match stream.ty() {
            Some(ty) => format!("stream<{}>", type_name(&ty)),
            None => "stream".into(),
        },
        Type::Future(future) => match future.ty() {
            Some(ty) => format!("future<{}>", type_name(&ty)),
            None => "future".into(),
        },
        ty if is_input(ty) => "input-stream".into(),
        ty if is_output(ty) => "output-stream".into(),
        _ => "a type that no text stands for".into(),
    }
}

/// What is still to be read.
struct Text<'t> {
    all: &'t str,
    rest: &'t str,
    /// A value is not of its type.
    unfit: Cell<bool>,
}

impl<'t> Text<'t> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn here(&self) -> String {
        let at = self.all.len().saturating_sub(self.rest.len());
        let next: String = self.rest.chars().take(20).collect();
        if next.is_empty() { "at its end".into() } else { format!("at character {}, before {next:?}", at + 1) }
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("there should be a {token:?} {}", self.here())) }
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip();
        if self.rest.is_empty() { Ok(()) } else { Err(format!("there is more than one call {}", self.here())) }
    }

    /// A name or a number; empty if there is neither.
    fn word(&mut self) -> &'t str {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "-_+.%".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// Whether this name and a colon are next.
    fn is_key(&self, name: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
    }

    /// The name before a colon, if that is next.
    fn key(&self) -> Option<&'t str> {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '-'))?;
        let (key, rest) = rest.split_at(end);
        (key.starts_with(char::is_alphabetic) && rest.trim_start().starts_with(':')).then_some(key)
    }

    /// Whether `none` is next.
    fn is_none(&self) -> bool {
        let rest = self.rest.trim_start().strip_prefix("none");
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    }

    fn input(&mut self, streams: &mut dyn Streams) -> Result<Arg, String> {
        self.skip();
        if let Some(path) = self.path() {
            return streams.read(path).map(Arg::Stream);
        }
        if self.eat("-") {
            return streams.read("-").map(Arg::Stream);
        }
        if self.rest.starts_with('"') {
            let text = self.quoted('"')?;
            return Ok(Arg::Stream(Box::new(std::io::Cursor::new(text.into_bytes()))));
        }
        Err(format!("a stream is @FILE, - for stdin, or a text in quotes: {}", self.here()))
    }

    fn output(&mut self, streams: &mut dyn Streams) -> Result<Arg, String> {
        self.skip();
        if let Some(path) = self.path() {
            return streams.write(path).map(Arg::Sink);
        }
        if self.eat("-") {
            return streams.write("-").map(Arg::Sink);
        }
        Err(format!("a stream that is written is @FILE, or - for stdout: {}", self.here()))
    }

    fn value(&mut self, ty: &Type, fetch: Fetch<'_>) -> Result<Val, String> {
        self.skip();
        let start = self.rest;
        let wrong = |text: &Self| {
            text.unfit.set(true);
            let mut back = Text { all: text.all, rest: start, unfit: Cell::new(true) };
            back.skip();
            format!("this is no {}: {}", type_name(ty), back.here())
        };
        if let (Some(path), Type::String | Type::List(_)) = (self.path(), ty) {
            let bytes = fetch(path)?;
            return match ty {
                Type::String => String::from_utf8(bytes)
                    .map(Val::String)
                    .map_err(|_| format!("{path} is not UTF-8, so it is no string")),
                Type::List(list) if list.ty() == Type::U8 => Ok(Val::List(bytes.into_iter().map(Val::U8).collect())),
                _ => Err(wrong(self)),
            };
        }
        self.rest = start;
        match ty {
            Type::String if !start.starts_with('"') => Err(wrong(self)),
            Type::String => self.quoted('"').map(Val::String),
            Type::Char => {
                let text = self.quoted('\'')?;
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(one), None) => Ok(Val::Char(one)),
                    _ => Err(wrong(self)),
                }
            }
            Type::List(list) => Ok(Val::List(self.items("[", "]", |text| text.value(&list.ty(), fetch))?)),
            Type::Tuple(tuple) => self.tuple(tuple, fetch),
            Type::Record(record) => self.record(record, fetch),
            Type::Flags(flags) => {
                let names = self.items("{", "}", |text| Ok(text.word().to_owned()))?;
                match names.iter().find(|name| !flags.names().any(|known| known == **name)) {
                    None => Ok(Val::Flags(names)),
                    Some(_) => Err(wrong(self)),
                }
            }
            Type::Option(option) => self.option(&option.ty(), fetch),
            Type::Result(result) => self.result(result, fetch).ok_or_else(|| wrong(self))?,
            Type::Enum(cases) => {
                let word = self.word();
                if cases.names().any(|name| name == word) { Ok(Val::Enum(word.into())) } else { Err(wrong(self)) }
            }
            Type::Variant(variant) => {
                let word = self.word();
                let case = variant.cases().find(|case| case.name == word).ok_or_else(|| wrong(self))?;
                let inside = case.ty.map(|ty| self.inside(&ty, fetch)).transpose()?;
                Ok(Val::Variant(word.into(), inside.map(Box::new)))
            }
            _ => number(ty, self.word()).ok_or_else(|| wrong(self)),
        }
    }

    /// `@path`, up to a comma, a bracket or a space; `@"a path"` for any other.
    fn path(&mut self) -> Option<&'t str> {
        self.rest = self.rest.strip_prefix('@')?;
        if let Some(rest) = self.rest.strip_prefix('"') {
            let (path, rest) = rest.split_once('"')?;
            self.rest = rest;
            return Some(path);
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || ",)]}".contains(c)).unwrap_or(self.rest.len());
        let (path, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(path)
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        self.skip();
        let wrong = |text: &Self| format!("there should be a text in {quote} {}", text.here());
        let Some(mut rest) = self.rest.strip_prefix(quote) else { return Err(wrong(self)) };
        let mut out = String::new();
        loop {
            let mut chars = rest.chars();
            let next = chars.next().ok_or_else(|| format!("the text has no end: a {quote} is missing"))?;
            rest = chars.as_str();
            if next == quote {
                self.rest = rest;
                return Ok(out);
            }
            if next != '\\' {
                out.push(next);
                continue;
            }
            let escape = chars.next().ok_or_else(|| wrong(self))?;
            rest = chars.as_str();
            out.push(match escape {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '0' => '\0',
                'u' => {
                    let (code, after) =
                        rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or_else(|| wrong(self))?;
                    rest = after;
                    u32::from_str_radix(code, 16).ok().and_then(char::from_u32).ok_or_else(|| wrong(self))?
                }
                other => other,
            });
        }
    }

    fn items<T>(
        &mut self,
        open: &str,
        close: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.expect(open)?;
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(item(self)?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn inside(&mut self, ty: &Type, fetch: Fetch<'_>) -> Result<Val, String> {
        self.expect("(")?;
        let value = self.value(ty, fetch)?;
        self.expect(")")?;
        Ok(value)
    }

    fn tuple(&mut self, tuple: &wasmtime::component::types::Tuple, fetch: Fetch<'_>) -> Result<Val, String> {
        let mut types = tuple.types();
        let values = self.items("(", ")", |text| match types.next() {
            Some(ty) => text.value(&ty, fetch),
            None => Err(format!("the tuple has too many items {}", text.here())),
        })?;
        match types.next() {
            None => Ok(Val::Tuple(values)),
            Some(ty) => Err(format!("the tuple has too few items: a {} is missing {}", type_name(&ty), self.here())),
        }
    }

    fn record(&mut self, record: &wasmtime::component::types::Record, fetch: Fetch<'_>) -> Result<Val, String> {
        let mut given = self.items("{", "}", |text| {
            let word = text.word();
            let field = record.fields().find(|field| field.name == word);
            let field = field.ok_or_else(|| format!("the record has no field {word:?}"))?;
            text.expect(":")?;
            Ok((word.to_owned(), text.value(&field.ty, fetch)?))
        })?;
        let fields = record.fields().map(|field| {
            if let Some(at) = given.iter().position(|(name, _)| name == field.name) {
                return Ok(given.swap_remove(at));
            }
            match field.ty {
                Type::Option(_) => Ok((field.name.to_owned(), Val::Option(None))),
                ty => Err(format!("the field {} is missing, a {}", field.name, type_name(&ty))),
            }
        });
        Ok(Val::Record(fields.collect::<Result<_, _>>()?))
    }

    fn option(&mut self, ty: &Type, fetch: Fetch<'_>) -> Result<Val, String> {
        let start = self.rest;
        match self.word() {
            "none" => return Ok(Val::Option(None)),
            "some" => return Ok(Val::Option(Some(Box::new(self.inside(ty, fetch)?)))),
            _ => self.rest = start,
        }
        // What is no option itself may stand without its `some`.
        Ok(Val::Option(Some(Box::new(self.value(ty, fetch)?))))
    }

    fn result(
        &mut self,
        result: &wasmtime::component::types::ResultType,
        fetch: Fetch<'_>,
    ) -> Option<Result<Val, String>> {
        let word = self.word();
        let ty = match word {
            "ok" => result.ok(),
            "err" => result.err(),
            _ => return None,
        };
        let inside = match ty.map(|ty| self.inside(&ty, fetch)).transpose() {
            Ok(inside) => inside.map(Box::new),
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Val::Result(if word == "ok" { Ok(inside) } else { Err(inside) })))
    }
}

fn number(ty: &Type, word: &str) -> Option<Val> {
    Some(match ty {
        Type::Bool => Val::Bool(word.parse().ok()?),
        Type::S8 => Val::S8(word.parse().ok()?),
        Type::U8 => Val::U8(word.parse().ok()?),
        Type::S16 => Val::S16(word.parse().ok()?),
        Type::U16 => Val::U16(word.parse().ok()?),
        Type::S32 => Val::S32(word.parse().ok()?),
        Type::U32 => Val::U32(word.parse().ok()?),
        Type::S64 => Val::S64(word.parse().ok()?),
        Type::U64 => Val::U64(word.parse().ok()?),
        Type::Float32 => Val::Float32(word.parse().ok()?),
        Type::Float64 => Val::Float64(word.parse().ok()?),
        _ => return None,
    })
}

/// A value as text.
pub fn show(value: &Val) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Val, out: &mut String) {
    let mut list = |open: &str, items: &[Val], close: &str| {
        out.push_str(open);
        for (at, item) in items.iter().enumerate() {
            out.push_str(if at > 0 { ", " } else { "" });
            write(item, out);
        }
        out.push_str(close);
    };
    // Writing to a string does not fail.
    let _ = match value {
        Val::Bool(value) => write!(out, "{value}"),
        Val::S8(value) => write!(out, "{value}"),
        Val::U8(value) => write!(out, "{value}"),
        Val::S16(value) => write!(out, "{value}"),
        Val::U16(value) => write!(out, "{value}"),
        Val::S32(value) => write!(out, "{value}"),
        Val::U32(value) => write!(out, "{value}"),
        Val::S64(value) => write!(out, "{value}"),
        Val::U64(value) => write!(out, "{value}"),
        Val::Float32(value) => write!(out, "{value}"),
        Val::Float64(value) => write!(out, "{value}"),
        Val::Char(value) => write!(out, "{value:?}"),
        Val::String(value) => write!(out, "{value:?}"),
        Val::Enum(name) => write!(out, "{name}"),
        Val::Flags(names) => write!(out, "{{{}}}", names.join(", ")),
        Val::List(items) => return list("[", items, "]"),
        Val::Tuple(items) => return list("(", items, ")"),
        Val::Record(fields) => {
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                let _ = write!(out, "{}{name}: ", if at > 0 { ", " } else { "" });
                write(value, out);
            }
            out.push('}');
            Ok(())
        }
        Val::Variant(name, inside) => return write_case(name, inside.as_deref(), out),
        Val::Option(None) => return write_case("none", None, out),
        Val::Option(Some(inside)) => return write_case("some", Some(inside), out),
        Val::Result(Ok(inside)) => return write_case("ok", inside.as_deref(), out),
        Val::Result(Err(inside)) => return write_case("err", inside.as_deref(), out),
        _ => write!(out, "(a value that no text stands for)"),
    };
}

fn write_case(name: &str, inside: Option<&Val>, out: &mut String) {
    out.push_str(name);
    if let Some(inside) = inside {
        out.push('(');
        write(inside, out);
        out.push(')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(call: &str, params: &[(String, Type)]) -> Result<Vec<String>, String> {
        let values = arguments(call, params, &mut |path| Ok(format!("<{path}>").into_bytes()))?;
        Ok(values.iter().map(show).collect())
    }

    #[test]
    fn calls_are_read_by_place_and_by_name() {
        let params = [("text".to_owned(), Type::String), ("count".to_owned(), Type::U32)];
        let right = Ok(vec!["\"a\\n\u{e4}\"".to_owned(), "7".to_owned()]);
        assert_eq!(read(r#"f("a\n\u{e4}", 7)"#, &params), right);
        assert_eq!(read(r#"f(count: 7, text: "a\nä")"#, &params), right);
        assert_eq!(read("f(@a/b.txt, 7,)", &params).unwrap()[0], "\"<a/b.txt>\"");
        assert_eq!(read(r#"f(text: @"a b", count: 1)"#, &params).unwrap()[0], "\"<a b>\"");
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_type() {
        let params = [("text".to_owned(), Type::String), ("count".to_owned(), Type::U8)];
        for (call, words) in [
            ("f", "text is missing, a string; the function is f(text: string, count: u8)"),
            (
                r#"f("a", 256)"#,
                "count: this is no u8: at character 8, before \"256)\"; the function is f(text: string, count: u8)",
            ),
            (r#"f(words: "a")"#, "it has no parameter \"words\"; the function is f(text: string, count: u8)"),
            (r#"f("a", 1, 2)"#, "more arguments than the 2"),
            (r#"f("a", text: "b")"#, "text is given twice"),
            (r#"f("a"#, "the text has no end"),
            (r#"f("a", 1) g"#, "more than one call"),
        ] {
            let error = read(call, &params).unwrap_err();
            assert!(error.contains(words), "{call}: {error}");
        }
    }
}
