//! Calls and values as text: the WAVE encoding of the component model (<https://github.com/bytecodealliance/wasm-tools/tree/main/crates/wasm-wave>),
//! which `wasm-wave` reads and writes. What is added here is what a command line needs: arguments by name, `@path` for a
//! text or for bytes that lie somewhere else (also inside lists, tuples, records and options), and streams.

use crate::flow::{Arg, Sink, is_input, is_output};
use crate::value::Value;
use std::borrow::Cow;
use std::cell::Cell;
use std::io::Read;
use wasmtime::component::wasm_wave::parser::{Parser, ParserError, ParserErrorKind};
use wasmtime::component::{Type, Val, wasm_wave};

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
pub fn arguments(call: &str, params: &[(String, Type)], fetch: Fetch<'_>) -> Result<Vec<Value>, String> {
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

fn parse<T: From<Value>>(
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
        (None, Type::Option(_)) => Ok(Value::Option(None).into()),
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
        Type::Map(map) => format!("map<{}, {}>", type_name(&map.key()), type_name(&map.value())),
        Type::FixedLengthList(inner) => format!("list<{}, {}>", type_name(&inner.ty()), inner.len()),
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
            let Value::String(text) = self.value(&Type::String, &mut |_| Err(String::new()))? else {
                return Err(self.no(&Type::String));
            };
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

    fn value(&mut self, ty: &Type, fetch: Fetch<'_>) -> Result<Value, String> {
        self.skip();
        if self.rest.starts_with('@') {
            return self.fetched(ty, fetch);
        }
        let start = self.rest;
        match Parser::new(start).parse_raw_value() {
            Ok(_) if needs_more(ty) => self.by_parts(ty, fetch).unwrap_or_else(|| Err(self.no(ty))),
            Ok(raw) => {
                let value = raw.node().to_wasm_value(ty, start).map_err(|error| self.unlike(ty, &error))?;
                self.rest = start.get(raw.node().span().end..).unwrap_or_default();
                Value::of_type(value, ty).ok_or_else(|| self.no(ty))
            }
            Err(error) => self.by_parts(ty, fetch).unwrap_or_else(|| Err(self.unlike(ty, &error))),
        }
    }

    /// The bytes behind `@path`.
    fn fetched(&mut self, ty: &Type, fetch: Fetch<'_>) -> Result<Value, String> {
        let start = self.rest;
        let Some(path) = self.path() else { return Err("the path after @ has no end: a \" is missing".into()) };
        match ty {
            Type::String => String::from_utf8(fetch(path)?)
                .map(Value::String)
                .map_err(|_| format!("{path} is not UTF-8, so it is no string")),
            Type::List(list) if list.ty() == Type::U8 => {
                let bytes = fetch(path)?;
                Ok(Value::bytes(bytes))
            }
            // What is no option itself may stand without its `some`.
            Type::Option(option) => {
                self.rest = start;
                Ok(Value::Option(Some(Box::new(self.fetched(&option.ty(), fetch)?))))
            }
            _ => {
                self.rest = start;
                Err(self.no(ty))
            }
        }
    }

    /// A value with something inside that is no WAVE: an `@path`, or a map, which is a list of its pairs here. Nothing if its
    /// type holds no others.
    fn by_parts(&mut self, ty: &Type, fetch: Fetch<'_>) -> Option<Result<Value, String>> {
        let opens = |text: &Self, token: &str| text.rest.starts_with(token);
        Some(match ty {
            Type::List(list) if opens(self, "[") => {
                let items = self.items("[", "]", |text| text.value(&list.ty(), fetch));
                items.map(|items| Value::list_of(&list.ty(), items))
            }
            Type::FixedLengthList(list) if opens(self, "[") => self.fixed(&list.ty(), list.len() as usize, fetch),
            Type::Map(map) if opens(self, "[") => {
                self.items("[", "]", |text| text.pair(&map.key(), &map.value(), fetch)).map(Value::Map)
            }
            Type::Tuple(tuple) if opens(self, "(") => self.tuple(tuple, fetch),
            Type::Record(record) if opens(self, "{") => self.record(record, fetch),
            Type::Option(option) if opens(self, "some") => {
                self.word();
                self.inside(&option.ty(), fetch).map(|value| Value::Option(Some(Box::new(value))))
            }
            Type::Option(option) => {
                return self.by_parts(&option.ty(), fetch).map(|value| Ok(Value::Option(Some(Box::new(value?)))));
            }
            _ => return None,
        })
    }

    /// Says that what comes next is no `ty`.
    fn no(&self, ty: &Type) -> String {
        self.unfit.set(true);
        format!("this is no {}: {}", type_name(ty), self.here())
    }

    /// The same, with what the reader of WAVE says of it where that helps.
    fn unlike(&self, ty: &Type, error: &ParserError) -> String {
        let what = match error.kind() {
            ParserErrorKind::InvalidToken if self.rest.starts_with('"') => {
                "the text has no end, or an escape that there is not (\\n, \\t, \\r, \\\", \\', \\\\ and \\u{...} there are)"
            }
            ParserErrorKind::NestingTooDeep => "it is nested too deeply",
            ParserErrorKind::DuplicateField => "a field is given twice",
            ParserErrorKind::DuplicateFlag => "a flag is given twice",
            ParserErrorKind::UnexpectedEnd => "it has no end",
            _ => return self.no(ty),
        };
        format!("{}: {what}", self.no(ty))
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

    fn inside(&mut self, ty: &Type, fetch: Fetch<'_>) -> Result<Value, String> {
        self.expect("(")?;
        let value = self.value(ty, fetch)?;
        self.expect(")")?;
        Ok(value)
    }

    fn fixed(&mut self, ty: &Type, len: usize, fetch: Fetch<'_>) -> Result<Value, String> {
        let items = self.items("[", "]", |text| text.value(ty, fetch))?;
        if items.len() == len {
            return Ok(Value::FixedList(items));
        }
        Err(format!("the list has {} items, and must have {len}, {}", items.len(), self.here()))
    }

    fn pair(&mut self, key: &Type, value: &Type, fetch: Fetch<'_>) -> Result<(Value, Value), String> {
        self.expect("(")?;
        let key = self.value(key, fetch)?;
        self.expect(",")?;
        let value = self.value(value, fetch)?;
        self.eat(",");
        self.expect(")")?;
        Ok((key, value))
    }

    fn tuple(&mut self, tuple: &wasmtime::component::types::Tuple, fetch: Fetch<'_>) -> Result<Value, String> {
        let mut types = tuple.types();
        let values = self.items("(", ")", |text| match types.next() {
            Some(ty) => text.value(&ty, fetch),
            None => Err(format!("the tuple has too many items {}", text.here())),
        })?;
        match types.next() {
            None => Ok(Value::Tuple(values)),
            Some(ty) => Err(format!("the tuple has too few items: a {} is missing {}", type_name(&ty), self.here())),
        }
    }

    fn record(&mut self, record: &wasmtime::component::types::Record, fetch: Fetch<'_>) -> Result<Value, String> {
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
                Type::Option(_) => Ok((field.name.to_owned(), Value::Option(None))),
                ty => Err(format!("the field {} is missing, a {}", field.name, type_name(&ty))),
            }
        });
        Ok(Value::Record(fields.collect::<Result<_, _>>()?))
    }
}

/// A value as text, which can be given back as it is.
pub fn show(value: &Value) -> String {
    let value = &value.clone().into_val();
    let text = if has_text(value) { wasm_wave::to_string(&*listed(value)).ok() } else { None };
    text.unwrap_or_else(|| "(a value that no text stands for)".into())
}

/// A value with lists in the place of what there is no WAVE for: maps, as their pairs, and lists of a fixed length.
fn listed(value: &Val) -> Cow<'_, Val> {
    if !is_beyond_wave(value) {
        return Cow::Borrowed(value);
    }
    let one = |value: &Val| listed(value).into_owned();
    let all = |items: &[Val]| items.iter().map(one).collect();
    let inside = |value: &Option<Box<Val>>| value.as_deref().map(|value| Box::new(one(value)));
    Cow::Owned(match value {
        Val::Map(pairs) => Val::List(pairs.iter().map(|(key, value)| Val::Tuple(vec![one(key), one(value)])).collect()),
        Val::List(items) | Val::FixedLengthList(items) => Val::List(all(items)),
        Val::Tuple(items) => Val::Tuple(all(items)),
        Val::Record(fields) => Val::Record(fields.iter().map(|(name, value)| (name.clone(), one(value))).collect()),
        Val::Variant(name, value) => Val::Variant(name.clone(), inside(value)),
        Val::Option(value) => Val::Option(inside(value)),
        Val::Result(Ok(value)) => Val::Result(Ok(inside(value))),
        Val::Result(Err(value)) => Val::Result(Err(inside(value))),
        other => other.clone(),
    })
}

fn is_beyond_wave(value: &Val) -> bool {
    let inside = |value: &Option<Box<Val>>| value.as_deref().is_some_and(is_beyond_wave);
    match value {
        Val::Map(_) | Val::FixedLengthList(_) => true,
        Val::List(items) | Val::Tuple(items) => items.iter().any(is_beyond_wave),
        Val::Record(fields) => fields.iter().any(|(_, value)| is_beyond_wave(value)),
        Val::Variant(_, value) | Val::Option(value) => inside(value),
        Val::Result(Ok(value) | Err(value)) => inside(value),
        _ => false,
    }
}

/// Whether something in a value of this type has no WAVE.
fn needs_more(ty: &Type) -> bool {
    match ty {
        Type::Map(_) | Type::FixedLengthList(_) => true,
        Type::List(list) => needs_more(&list.ty()),
        Type::Option(option) => needs_more(&option.ty()),
        Type::Tuple(tuple) => tuple.types().any(|ty| needs_more(&ty)),
        Type::Record(record) => record.fields().any(|field| needs_more(&field.ty)),
        _ => false,
    }
}

/// Whether there is WAVE for a value: there is none for what is handed over, as streams and resources are.
fn has_text(value: &Val) -> bool {
    let inside = |value: &Option<Box<Val>>| value.as_deref().is_none_or(has_text);
    match value {
        Val::Bool(_) | Val::Char(_) | Val::String(_) | Val::Enum(_) | Val::Flags(_) => true,
        Val::S8(_) | Val::S16(_) | Val::S32(_) | Val::S64(_) => true,
        Val::U8(_) | Val::U16(_) | Val::U32(_) | Val::U64(_) => true,
        Val::Float32(_) | Val::Float64(_) => true,
        Val::List(items) | Val::Tuple(items) | Val::FixedLengthList(items) => items.iter().all(has_text),
        Val::Map(pairs) => pairs.iter().all(|(key, value)| has_text(key) && has_text(value)),
        Val::Record(fields) => fields.iter().all(|(_, value)| has_text(value)),
        Val::Variant(_, value) | Val::Option(value) => inside(value),
        Val::Result(Ok(value) | Err(value)) => inside(value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::any::{any, numbers};

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
            (r#"f("\d+", 1)"#, "an escape that there is not"),
            (r#"f("a", 1) g"#, "more than one call"),
        ] {
            let error = read(call, &params).unwrap_err();
            assert!(error.contains(words), "{call}: {error}");
        }
    }

    /// Types of all kinds, with names that are words of WAVE itself.
    const TYPES: &str = r#"(component
        (type $e' (enum "true" "none" "plain")) (import "e" (type $e (eq $e')))
        (type $v' (variant (case "some" string) (case "inf") (case "x" (list u8)))) (import "v" (type $v (eq $v')))
        (type $r' (record (field "ok" f32) (field "text" string) (field "may" (option s8)))) (import "r" (type $r (eq $r')))
        (type $g' (flags "err" "b" "nan")) (import "g" (type $g (eq $g')))
        (import "f" (func (param "a" bool) (param "b" s8) (param "c" u8) (param "d" s16) (param "e" u16) (param "f" s32)
            (param "g" u32) (param "h" s64) (param "i" u64) (param "j" f32) (param "k" f64) (param "l" char)
            (param "m" string) (param "n" (list u8)) (param "o" (list string)) (param "p" (option string))
            (param "q" (option (option u8))) (param "s" (result u32 (error string))) (param "t" (result))
            (param "u" (tuple u8 string)) (param "v" $v) (param "w" $e) (param "x" $r) (param "y" $g)
            (param "z" (list (option $e))))))"#;

    fn params() -> Vec<(String, Type)> {
        let engine = wasmtime::Engine::default();
        let component = wasmtime::component::Component::new(&engine, wat::parse_str(TYPES).unwrap()).unwrap();
        let ty = component.component_type();
        let found = ty.imports(&engine).find_map(|(_, item)| match item.ty {
            wasmtime::component::types::ComponentItem::ComponentFunc(function) => Some(function),
            _ => None,
        });
        found.unwrap().params().map(|(name, ty)| (name.to_owned(), ty)).collect()
    }

    #[test]
    fn what_is_printed_can_be_given_back() {
        let params = params();
        let mut next = numbers();
        for _ in 0..2_000 {
            let values: Vec<Value> = params.iter().map(|(_, ty)| any(ty, &mut next)).collect();
            let texts: Vec<String> = values.iter().map(show).collect();
            let call = format!("f({})", texts.join(", "));
            let back = arguments(&call, &params, &mut |_| Err("no file".into()))
                .unwrap_or_else(|error| panic!("{call}: {error}"));
            // NaN is not equal to itself; its text is.
            assert_eq!(back.iter().map(show).collect::<Vec<_>>(), texts, "{call}");
        }
    }

    #[test]
    fn words_of_wave_and_files_inside_values() {
        let params = params();
        let of = |name: &str, text: &str| -> Result<String, String> {
            let param = params.iter().find(|(known, _)| known == name).unwrap().clone();
            read(&format!("f({text})"), &[param]).map(|values| values[0].clone())
        };
        for (name, text, shown) in [
            ("k", "nan", "nan"),
            ("k", "-inf", "-inf"),
            ("w", "%true", "%true"),
            ("w", "plain", "plain"),
            ("v", "%some(\"a\")", "%some(\"a\")"),
            ("p", "\"a\"", "some(\"a\")"),
            ("p", "@a", "some(\"<a>\")"),
            ("p", "some(@a)", "some(\"<a>\")"),
            ("o", "[@a, \"b\", @c]", "[\"<a>\", \"b\", \"<c>\"]"),
            ("u", "(7, @a)", "(7, \"<a>\")"),
            ("x", "{ok: 1, text: @a}", "{ok: 1, text: \"<a>\"}"),
            ("n", "@a", "[60, 97, 62]"),
            ("y", "{}", "{}"),
        ] {
            assert_eq!(of(name, text).as_deref(), Ok(shown), "{text}");
        }
        for (name, text) in
            [("w", "true"), ("c", "@a"), ("c", "256"), ("w", "other"), ("y", "{b, b}"), ("o", "[@a, 1]")]
        {
            assert!(of(name, text).is_err_and(|error| error.contains("this is no")), "{text}");
        }
    }
}
