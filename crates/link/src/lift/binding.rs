//! The binding file: how a program's world maps to the type of a function. TOML, small, and checked against the type.

use super::error::LiftError;
use super::signature::{self, Named, Signature, holds_stream};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_vfs::lift::{Arguments, Early, Function, Input, Origin, Output, Part, Place, Type};

/// A binding as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Binding {
    /// The program, relative to the file of the binding: a module, or a pack that brings the files it needs besides.
    pub program: String,
    /// The function in WIT: `name: func(...) -> result<..., failure>`. Nothing for a library, which has its own.
    pub export: Option<String>,
    /// Declarations of types that the function uses, in WIT.
    #[serde(default)]
    pub types: String,
    /// The arguments, with the program's name first.
    #[serde(default)]
    pub argv: Vec<Word>,
    /// Paths, and the parameter or part of the result (`result`, `result.NAME`) that each is. A path that ends with
    /// `/` is a directory.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Empty directories in which the program can write.
    #[serde(default)]
    pub scratch: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The parameter that is read from stdin.
    pub stdin: Option<String>,
    /// The part of the result that stdout is.
    pub stdout: Option<String>,
    /// The part of the result that stderr is.
    pub stderr: Option<String>,
    /// The part of the result that the exit code is.
    pub exit_code: Option<String>,
    /// Exit codes besides 0 that are no failure.
    #[serde(default)]
    pub exit_codes: Vec<u32>,
    /// Clock and randomness are constants, so that the function is pure.
    #[serde(default)]
    pub pinned: bool,
}

/// An argument, or some under a condition.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// A text with `{parameter}` in it.
    One(String),
    /// Arguments where a parameter is given, and others where not.
    If {
        /// The parameter.
        r#if: String,
        /// Where it is given.
        #[serde(default)]
        then: Vec<Word>,
        /// Where it is not.
        #[serde(default)]
        r#else: Vec<Word>,
    },
    /// Arguments for each item of a list; `{}` is the item.
    Each {
        /// The parameter.
        each: String,
        /// For each.
        then: Vec<Word>,
    },
}

impl Binding {
    /// Reads a binding.
    ///
    /// # Errors
    /// It is no TOML, or not of this form; the message says where.
    pub fn parse(text: &str) -> Result<Self, LiftError> {
        toml::from_str(text).map_err(|error| LiftError::new(format!("the binding cannot be read: {error}")))
    }

    /// What the shim is told of a library: arguments, variables and directories, and nothing of a function.
    pub(super) fn library(&self) -> Result<Function, LiftError> {
        let set = [
            ("types", !self.types.is_empty()),
            ("files", !self.files.is_empty()),
            ("stdin", self.stdin.is_some()),
            ("stdout", self.stdout.is_some()),
            ("stderr", self.stderr.is_some()),
            ("exit-code", self.exit_code.is_some()),
            ("exit-codes", !self.exit_codes.is_empty()),
        ];
        if let Some((key, _)) = set.iter().find(|(_, set)| *set) {
            let what =
                format!("`{key}` belongs to a function, and there is no `export`: a library has its own functions");
            return Err(LiftError::new(what));
        }
        let signature = Signature::nothing();
        let names = Names { signature: &signature };
        let env = self.env.iter().map(|(name, value)| Ok((name.clone(), names.parts(value, false)?)));
        Ok(Function {
            args: names.words(&self.argv, false)?,
            env: env.collect::<Result<_, LiftError>>()?,
            scratch: self.scratch.iter().map(|path| Ok(inside(path)?.0)).collect::<Result<_, LiftError>>()?,
            ..Function::default()
        })
    }

    /// What the shim is told, checked against the function's type.
    pub(super) fn function(&self, signature: &Signature) -> Result<Function, LiftError> {
        let names = Names { signature };
        self.check_nesting()?;
        let mut streams = Vec::new();
        let mut sinks = Vec::new();
        let mut outputs = self.outputs(&names, &mut sinks)?;
        let mut inputs = Vec::new();
        for (path, value) in &self.files {
            let (inside, directory) = inside(path)?;
            match names.part(value)? {
                Some(part) => {
                    let from = if directory { Origin::Directory(inside) } else { Origin::File(inside) };
                    outputs.push(Bound { at: format!("file {path:?}"), from, part });
                }
                None => {
                    let (place, ty) = names.place(value)?;
                    if *without_option(&ty.ty) == Type::Output && !directory {
                        sinks.push((place, Origin::File(inside)));
                        continue;
                    }
                    names.check_contents(path, value, ty, directory)?;
                    streams.extend(holds_stream(&ty.ty).then_some(place[0]));
                    inputs.push(Input { path: inside, place, directory });
                }
            }
        }
        let env = self.env.iter().map(|(name, value)| Ok((name.clone(), names.parts(value, false)?)));
        let stdin = match &self.stdin {
            Some(value) => {
                let (place, ty) = names.place(value)?;
                names.check_contents("stdin", value, ty, false)?;
                streams.extend(holds_stream(&ty.ty).then_some(place[0]));
                Some(place)
            }
            None => None,
        };
        streams.extend(sinks.iter().map(|(place, _)| place[0]));
        names.check_streams(&streams)?;
        let early = names.early(&mut outputs)?;
        let outputs = names.outputs(outputs)?;
        Ok(Function {
            params: signature.params.iter().map(|(_, param)| param.ty.clone()).collect(),
            spilled: signature.spilled,
            result: signature.result.ty.clone(),
            asynchronous: signature.flow.as_ref().is_some_and(|(flow, _)| flow.callback.is_some()),
            sinks,
            early,
            given_in_memory: signature.flow.as_ref().is_some_and(|(_, in_memory)| *in_memory),
            args: names.words(&self.argv, false)?,
            env: env.collect::<Result<_, LiftError>>()?,
            inputs,
            scratch: self.scratch.iter().map(|path| Ok(inside(path)?.0)).collect::<Result<_, LiftError>>()?,
            stdin,
            outputs,
            exit_codes: self.exit_codes.clone(),
        })
    }

    /// Refuses paths that no tree has at once: one below a file, or one that is a file and a directory.
    fn check_nesting(&self) -> Result<(), LiftError> {
        let mut paths = Vec::new();
        for path in self.files.keys() {
            let (inside, directory) = inside(path)?;
            paths.push((path, inside, directory));
        }
        for path in &self.scratch {
            paths.push((path, inside(path)?.0, true));
        }
        for (file, above, _) in paths.iter().filter(|(.., directory)| !directory) {
            for (other, below, directory) in &paths {
                let rest = below.strip_prefix(above.as_str());
                if rest == Some("") && (*directory || file != other) {
                    let what = format!("{file:?} is a file, and {other:?} is the same path: name another");
                    return Err(LiftError::new(what));
                }
                if rest.is_some_and(|rest| rest.starts_with('/')) {
                    let what =
                        format!("{other:?} lies below {file:?}, which is a file: a directory has a slash at its end");
                    return Err(LiftError::new(what));
                }
            }
        }
        Ok(())
    }

    /// What the program writes; what of it goes to streams that the caller gives is put into `sinks`.
    fn outputs(&self, names: &Names<'_>, sinks: &mut Vec<(Place, Origin)>) -> Result<Vec<Bound>, LiftError> {
        let streams = [
            ("stdout", &self.stdout, Origin::Stdout),
            ("stderr", &self.stderr, Origin::Stderr),
            ("exit-code", &self.exit_code, Origin::ExitCode),
        ];
        let mut outputs = Vec::new();
        for (key, value, from) in streams {
            let Some(value) = value else { continue };
            if let Ok((place, named)) = names.place(value)
                && *without_option(&named.ty) == Type::Output
                && from != Origin::ExitCode
            {
                sinks.push((place, from));
                continue;
            }
            let part = names.part(value)?.ok_or_else(|| {
                LiftError::new(format!("{key} = {value:?}: what the program writes is \"result\" or \"result.NAME\""))
            })?;
            outputs.push(Bound { at: key.to_owned(), from, part });
        }
        Ok(outputs)
    }
}

/// What the program writes, bound to a part of the result.
struct Bound {
    /// Where the binding says so.
    at: String,
    from: Origin,
    part: Target,
}

/// A part of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// All of what is given at the end, or a field of it.
    Result(Option<u32>),
    /// A stream, by its place among what is given at once.
    Stream(u32),
}

/// A path of the binding from the root, and whether it is a directory.
fn inside(path: &str) -> Result<(String, bool), LiftError> {
    let trimmed = path.trim_matches('/');
    let plain = path.starts_with('/')
        && !trimmed.is_empty()
        && trimmed.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if path.contains('\0') {
        return Err(LiftError::new(format!("{path:?}: a path has no NUL byte")));
    }
    if plain {
        return Ok((trimmed.to_owned(), path.ends_with('/')));
    }
    Err(LiftError::new(format!("{path:?}: a path is absolute and has no `.`, `..` or empty part")))
}

struct Names<'s> {
    signature: &'s Signature,
}

impl Names<'_> {
    /// The parameter, or field of it, that a word means.
    fn place(&self, word: &str) -> Result<(Place, &Named), LiftError> {
        let mut words = word.split('.');
        let first = words.next().unwrap_or_default();
        let known = |names: &[(String, Named)]| {
            let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
            if names.is_empty() { "there are none".to_owned() } else { format!("there are: {}", names.join(", ")) }
        };
        let params = &self.signature.params;
        let number = params.iter().position(|(name, _)| name == first);
        let number = number.ok_or_else(|| {
            LiftError::new(format!("{first:?} is no parameter of `{}`; {}", self.signature.wit, known(params)))
        })?;
        let (mut place, mut named) = (vec![number as u32], &params[number].1);
        for word in words {
            let number = named.fields.iter().position(|(name, _)| name == word);
            let number = number.ok_or_else(|| {
                LiftError::new(format!("{word:?} is no field of `{}`; {}", named.wit, known(&named.fields)))
            })?;
            place.push(number as u32);
            named = &named.fields[number].1;
        }
        Ok((place, named))
    }

    /// Which part of the result a word means; `None` if it means no result.
    fn part(&self, word: &str) -> Result<Option<Target>, LiftError> {
        if word == "result" {
            return Ok(Some(Target::Result(None)));
        }
        let Some(name) = word.strip_prefix("result.") else { return Ok(None) };
        let early = &self.signature.early;
        let known = |names: Vec<&str>| {
            let wit = if early.is_empty() { &self.signature.result.wit } else { &self.signature.wit };
            LiftError::new(format!("the result `{wit}` has no part {name:?}; there are: {}", names.join(", ")))
        };
        let name = if early.is_empty() {
            name
        } else {
            let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
            let at = early.iter().position(|(found, _)| found == first);
            let at = at.ok_or_else(|| known(early.iter().map(|(name, _)| name.as_str()).collect()))?;
            match (early[at].1, rest) {
                (signature::Early::Stream, None) => return Ok(Some(Target::Stream(at as u32))),
                (signature::Early::Stream, Some(_)) => return Err(known(vec![first])),
                (signature::Early::Future, None) => return Ok(Some(Target::Result(None))),
                (signature::Early::Future, Some(rest)) => rest,
            }
        };
        let fields = &self.signature.result.fields;
        match fields.iter().position(|(field, _)| field == name) {
            Some(number) => Ok(Some(Target::Result(Some(number as u32)))),
            None => Err(known(fields.iter().map(|(name, _)| name.as_str()).collect())),
        }
    }

    /// Every stream is one file or one of the standard streams, and a parameter by itself.
    fn check_streams(&self, used: &[u32]) -> Result<(), LiftError> {
        for (at, (name, param)) in self.signature.params.iter().enumerate() {
            if !holds_stream(&param.ty) {
                continue;
            }
            if !matches!(without_option(&param.ty), Type::Stream | Type::Input | Type::Output) {
                let what = format!("{name:?} is `{}`: a stream is a parameter by itself, or an option", param.wit);
                return Err(LiftError::new(what));
            }
            match used.iter().filter(|used| **used as usize == at).count() {
                1 => {}
                0 => {
                    return Err(LiftError::new(format!(
                        "nothing is the stream {name:?}: bind stdin, stdout or a file to it"
                    )));
                }
                _ => return Err(LiftError::new(format!("the stream {name:?} is bound twice, and can be used once"))),
            }
        }
        Ok(())
    }

    /// Takes what is given at once out of what is bound.
    fn early(&self, outputs: &mut Vec<Bound>) -> Result<Vec<Early>, LiftError> {
        let mut all = Vec::new();
        for (at, (name, kind)) in self.signature.early.iter().enumerate() {
            if *kind == signature::Early::Future {
                all.push(Early::Result);
                continue;
            }
            let mut of_it = outputs.extract_if(.., |output| output.part == Target::Stream(at as u32));
            let (bound, second) = (of_it.next(), of_it.next());
            let bound = bound.ok_or_else(|| {
                LiftError::new(format!("nothing is the stream {name:?}: bind stdout or a file to \"result.{name}\""))
            })?;
            if let Some(second) = second {
                let what = format!("{} is a part of the result that something else is, too", second.at);
                return Err(LiftError::new(what));
            }
            if matches!(bound.from, Origin::Directory(_) | Origin::ExitCode) {
                return Err(LiftError::new(format!("{}: the result is `stream<u8>`, which this is not", bound.at)));
            }
            all.push(Early::Flow(bound.from));
        }
        Ok(all)
    }

    /// What is put into a file is text or bytes, and into a directory a list of names with those.
    fn check_contents(&self, at: &str, word: &str, named: &Named, directory: bool) -> Result<(), LiftError> {
        let ty = without_option(&named.ty);
        let (right, wanted) = if directory {
            (is_files(ty), "list<tuple<string, list<u8>>> or map<string, list<u8>>")
        } else {
            (matches!(ty, Type::Text | Type::Stream | Type::Input) || ty.is_bytes(), "string or list<u8>")
        };
        if right {
            return Ok(());
        }
        Err(LiftError::new(format!("{at}: {word:?} is `{}`, not {wanted}", named.wit)))
    }

    /// Every part of the result comes from one place, whose bytes it can hold.
    fn outputs(&self, bound: Vec<Bound>) -> Result<Vec<Output>, LiftError> {
        let field = |part| if let Target::Result(field) = part { field } else { None };
        let outputs: Vec<(String, Output)> =
            bound.into_iter().map(|bound| (bound.at, Output { from: bound.from, field: field(bound.part) })).collect();
        self.check_outputs(&outputs)?;
        Ok(outputs.into_iter().map(|(_, output)| output).collect())
    }

    fn check_outputs(&self, outputs: &[(String, Output)]) -> Result<(), LiftError> {
        let result = &self.signature.result;
        let several = matches!(result.ty, Type::Record(_));
        for (number, (at, output)) in outputs.iter().enumerate() {
            if outputs[..number].iter().any(|(_, other)| other.field == output.field) {
                return Err(LiftError::new(format!("{at} is a part of the result that something else is, too")));
            }
            let named = match output.field {
                Some(field) => &result.fields[field as usize].1,
                None if several => {
                    let what = format!("{at}: the result `{}` has several parts: say \"result.NAME\"", result.wit);
                    return Err(LiftError::new(what));
                }
                None => result,
            };
            let ty = without_option(&named.ty);
            let (right, wanted) = match output.from {
                Origin::ExitCode => (*ty == Type::Unsigned(4), "u32"),
                Origin::Directory(_) => (is_files(ty), "list<tuple<string, list<u8>>> or map<string, list<u8>>"),
                _ => (*ty == Type::Text || ty.is_bytes(), "string or list<u8>"),
            };
            if !right {
                return Err(LiftError::new(format!("{at}: the result is `{}`, not {wanted}", named.wit)));
            }
        }
        let parts: Vec<Option<u32>> = match &result.ty {
            Type::Record(fields) => (0..fields.len() as u32).map(Some).collect(),
            _ => vec![None],
        };
        match parts.iter().find(|part| !outputs.iter().any(|(_, output)| output.field == **part)) {
            None => Ok(()),
            Some(None) => Err(LiftError::new("nothing is the result: bind stdout or a file to \"result\"")),
            Some(Some(field)) => {
                let name = &result.fields[*field as usize].0;
                Err(LiftError::new(format!(
                    "nothing is the result's part {name:?}: bind something to \"result.{name}\""
                )))
            }
        }
    }

    fn words(&self, words: &[Word], item: bool) -> Result<Vec<Arguments>, LiftError> {
        let one = |word: &Word| {
            Ok(match word {
                Word::One(text) => Arguments::One(self.parts(text, item)?),
                Word::If { r#if, then, r#else } => Arguments::If {
                    when: self.place(r#if)?.0,
                    then: self.words(then, item)?,
                    otherwise: self.words(r#else, item)?,
                },
                Word::Each { each, then } => {
                    let (of, named) = self.place(each)?;
                    if !matches!(without_option(&named.ty), Type::List(_)) || without_option(&named.ty).is_bytes() {
                        return Err(LiftError::new(format!("each = {each:?}: it is `{}`, not a list", named.wit)));
                    }
                    // What has no text cannot stand in an argument.
                    let has_text = match without_option(&named.ty) {
                        Type::List(item) => item.is_bytes() || !matches!(&**item, Type::List(_) | Type::Record(_)),
                        _ => false,
                    };
                    Arguments::Each { of, then: self.words(then, has_text)? }
                }
            })
        };
        words.iter().map(one).collect()
    }

    /// A text with `{parameter}` and, in `each`, `{}`; `{{` and `}}` are braces.
    fn parts(&self, text: &str, item: bool) -> Result<Vec<Part>, LiftError> {
        let mut parts = Vec::new();
        let mut words = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            words.push_str(before);
            if let Some(after) = after.strip_prefix("{{").or_else(|| after.strip_prefix("}}")) {
                words.push_str(&rest[at..=at]);
                rest = after;
                continue;
            }
            let inside = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, after) = inside.ok_or_else(|| {
                LiftError::new(format!("{text:?}: a brace without its other one; write {{{{ or }}}} for a brace"))
            })?;
            if !words.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut words)));
            }
            parts.push(match name {
                "" if item => Part::Item,
                "" => {
                    return Err(LiftError::new(format!(
                        "{text:?}: {{}} is the item of an `each` over texts or numbers, and this is in none"
                    )));
                }
                name => self.value(name)?,
            });
            rest = after;
        }
        words.push_str(rest);
        if !words.is_empty() || parts.is_empty() {
            parts.push(Part::Text(words));
        }
        Ok(parts)
    }

    fn value(&self, name: &str) -> Result<Part, LiftError> {
        let (place, named) = self.place(name)?;
        match without_option(&named.ty) {
            Type::List(_) | Type::Record(_) if !without_option(&named.ty).is_bytes() => {
                Err(LiftError::new(format!("{{{name}}} is `{}`, which is no text for an argument", named.wit)))
            }
            _ => Ok(Part::Value(place)),
        }
    }
}

fn without_option(ty: &Type) -> &Type {
    match ty {
        Type::Variant(cases) => match cases.as_slice() {
            [none, some] if none.name == "none" && some.name == "some" => {
                some.ty.as_ref().map_or(ty, |inside| without_option(inside))
            }
            _ => ty,
        },
        _ => ty,
    }
}

/// `list<tuple<string, list<u8>>>` or `map<string, list<u8>>`, or with `string` for the contents.
fn is_files(ty: &Type) -> bool {
    let Type::List(item) = ty else { return false };
    let Type::Record(fields) = &**item else { return false };
    matches!(fields.as_slice(), [Type::Text, contents] if *contents == Type::Text || contents.is_bytes())
}
