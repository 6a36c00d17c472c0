//! What a lifted program is told about its function: the types of its parameters and its result, and what of the
//! program each of them becomes. `weir-link` writes it into the module, the shim reads it at a call.
//!
//! The record lies where a pack has its entry arguments. It is trusted no more than the module that it lies in.

use alloc::{boxed::Box, string::String, vec::Vec};

/// The name of the custom section of a module that puts itself back to its beginning: its start function copies all
/// segments that would be active ones in a module for one use, and the function behind that puts it back. A host that
/// uses each instance once can do without both.
pub const ONCE: &str = "weir:once";

/// A type of the component model, as far as functions can be lifted with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`
    Bool,
    /// `u8` to `u64`, by its bytes.
    Unsigned(u8),
    /// `s8` to `s64`, by its bytes.
    Signed(u8),
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    Text,
    /// `list<T>`
    List(Box<Type>),
    /// `record` and `tuple`, by their fields; also nothing.
    Record(Vec<Type>),
    /// `variant`, `enum`, `option` and `result`, by their cases.
    Variant(Vec<Case>),
    /// `flags`, by their names.
    Flags(Vec<String>),
    /// `stream<u8>`, and in a result the `future` that comes with streams: a handle.
    Stream,
    /// `input-stream` of wasi:io: a handle.
    Input,
    /// `output-stream` of wasi:io: a handle.
    Output,
}

impl Default for Type {
    fn default() -> Self {
        Type::Record(Vec::new())
    }
}

impl Type {
    /// `list<u8>`.
    pub fn is_bytes(&self) -> bool {
        matches!(self, Type::List(item) if **item == Type::Unsigned(1))
    }
}

/// A case of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name; `none`, `some`, `ok` and `err` for those that have no other.
    pub name: String,
    /// What it carries.
    pub ty: Option<Type>,
}

/// A parameter, or a field of it: the number of the parameter, then those of fields.
pub type Place = Vec<u32>;

/// A piece of a text that is made of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// These words.
    Text(String),
    /// A value, as text.
    Value(Place),
    /// The item that stands for all of a list at the moment.
    Item,
}

/// Some arguments of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// One argument.
    One(Vec<Part>),
    /// These where a value is there (an option), true, or not empty; else those.
    If {
        /// The value.
        when: Place,
        /// Where it is there.
        then: Vec<Arguments>,
        /// Where it is not.
        otherwise: Vec<Arguments>,
    },
    /// These once for each item of a list.
    Each {
        /// The list.
        of: Place,
        /// With [`Part::Item`] for the item.
        then: Vec<Arguments>,
    },
}

/// What the program finds at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// From the root, without a slash in front.
    pub path: String,
    /// Text or bytes; for a directory a list of pairs of path and contents. Nothing is there for an absent option.
    pub place: Place,
    /// Whether it is a directory of files.
    pub directory: bool,
}

/// Where a part of the result comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What the program wrote to stdout.
    Stdout,
    /// What it wrote to stderr.
    Stderr,
    /// The file at this path.
    File(String),
    /// The files of this directory, with their paths in it, sorted.
    Directory(String),
    /// Its exit code.
    ExitCode,
}

/// A part of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// What it is.
    pub from: Origin,
    /// Which field of a result of several; nothing for a result of one.
    pub field: Option<u32>,
}

/// A part of what a function gives before its program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Early {
    /// A stream of what the program writes there.
    Flow(Origin),
    /// The future of the result.
    Result,
}

/// The function that a program was lifted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Function {
    /// The types of its parameters.
    pub params: Vec<Type>,
    /// Whether the parameters come in memory, because they are too many.
    pub spilled: bool,
    /// The type of its result, which is a `result` of that and a failure. A record of no fields for none.
    pub result: Type,
    /// Whether it is asynchronous.
    pub asynchronous: bool,
    /// What the program writes to streams that the caller gives.
    pub sinks: Vec<(Place, Origin)>,
    /// Streams and the future of the result, which are given at once; nothing if the result is given at the end.
    pub early: Vec<Early>,
    /// Whether what is given at once is too much for core values, and lies in memory (asynchronous functions only).
    pub given_in_memory: bool,
    /// The arguments, with the program's name.
    pub args: Vec<Arguments>,
    /// Variables of the environment.
    pub env: Vec<(String, Vec<Part>)>,
    /// Files and directories.
    pub inputs: Vec<Input>,
    /// Empty directories, from the root.
    pub scratch: Vec<String>,
    /// What is read from stdin.
    pub stdin: Option<Place>,
    /// The result.
    pub outputs: Vec<Output>,
    /// Exit codes besides 0 that are no failure.
    pub exit_codes: Vec<u32>,
}

impl Function {
    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Reads a record; `None` if it is damaged.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        Self::get(&mut bytes)
    }
}

/// How the record is written: numbers in four bytes, lists behind their length, cases behind their number.
trait Record: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn get(bytes: &mut &[u8]) -> Option<Self>;
}

macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Record for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn get(bytes: &mut &[u8]) -> Option<Self> {
                $(let $field = Record::get(bytes)?;)*
                Some(Self { $($field),* })
            }
        }
    )*};
}

structs! {
    Case { name, ty }
    Input { path, place, directory }
    Output { from, field }
    Function { params, spilled, result, asynchronous, sinks, early, given_in_memory, args, env, inputs, scratch, stdin, outputs, exit_codes }
}

impl Record for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        *bytes = rest;
        Some(u32::from_le_bytes(*head))
    }
}

impl Record for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u32::from(*self).put(out);
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(u32::get(bytes)? != 0)
    }
}

impl Record for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let len = u32::get(bytes)? as usize;
        let (head, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        core::str::from_utf8(head).ok().map(Into::into)
    }
}

impl<T: Record> Record for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        self.iter().for_each(|item| item.put(out));
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        let len = u32::get(bytes)?;
        (0..len).map(|_| T::get(bytes)).collect()
    }
}

impl<T: Record> Record for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(if bool::get(bytes)? { Some(T::get(bytes)?) } else { None })
    }
}

impl<A: Record, B: Record> Record for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some((A::get(bytes)?, B::get(bytes)?))
    }
}

impl Record for Type {
    fn put(&self, out: &mut Vec<u8>) {
        let number: u32 = match self {
            Type::Bool => 0,
            Type::Unsigned(bytes) => 0x100 | u32::from(*bytes),
            Type::Signed(bytes) => 0x200 | u32::from(*bytes),
            Type::F32 => 1,
            Type::F64 => 2,
            Type::Char => 3,
            Type::Text => 4,
            Type::List(_) => 5,
            Type::Record(_) => 6,
            Type::Variant(_) => 7,
            Type::Flags(_) => 8,
            Type::Stream => 9,
            Type::Input => 10,
            Type::Output => 11,
        };
        number.put(out);
        match self {
            Type::List(item) => item.put(out),
            Type::Record(fields) => fields.put(out),
            Type::Variant(cases) => cases.put(out),
            Type::Flags(names) => names.put(out),
            _ => {}
        }
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u32::get(bytes)? {
            0 => Type::Bool,
            1 => Type::F32,
            2 => Type::F64,
            3 => Type::Char,
            4 => Type::Text,
            5 => Type::List(Box::new(Type::get(bytes)?)),
            6 => Type::Record(Record::get(bytes)?),
            7 => Type::Variant(Record::get(bytes)?),
            8 => Type::Flags(Record::get(bytes)?),
            9 => Type::Stream,
            10 => Type::Input,
            11 => Type::Output,
            number @ (0x101 | 0x102 | 0x104 | 0x108) => Type::Unsigned(number as u8),
            number @ (0x201 | 0x202 | 0x204 | 0x208) => Type::Signed(number as u8),
            _ => return None,
        })
    }
}

impl Record for Part {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Part::Text(text) => (0u32, text.clone()).put(out),
            Part::Value(place) => (1u32, place.clone()).put(out),
            Part::Item => 2u32.put(out),
        }
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u32::get(bytes)? {
            0 => Part::Text(Record::get(bytes)?),
            1 => Part::Value(Record::get(bytes)?),
            2 => Part::Item,
            _ => return None,
        })
    }
}

impl Record for Arguments {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Arguments::One(parts) => {
                0u32.put(out);
                parts.put(out);
            }
            Arguments::If { when, then, otherwise } => {
                1u32.put(out);
                when.put(out);
                then.put(out);
                otherwise.put(out);
            }
            Arguments::Each { of, then } => {
                2u32.put(out);
                of.put(out);
                then.put(out);
            }
        }
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u32::get(bytes)? {
            0 => Arguments::One(Record::get(bytes)?),
            1 => Arguments::If { when: Record::get(bytes)?, then: Record::get(bytes)?, otherwise: Record::get(bytes)? },
            2 => Arguments::Each { of: Record::get(bytes)?, then: Record::get(bytes)? },
            _ => return None,
        })
    }
}

impl Record for Origin {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Origin::Stdout => 0u32.put(out),
            Origin::Stderr => 1u32.put(out),
            Origin::File(path) => (2u32, path.clone()).put(out),
            Origin::Directory(path) => (3u32, path.clone()).put(out),
            Origin::ExitCode => 4u32.put(out),
        }
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u32::get(bytes)? {
            0 => Origin::Stdout,
            1 => Origin::Stderr,
            2 => Origin::File(Record::get(bytes)?),
            3 => Origin::Directory(Record::get(bytes)?),
            4 => Origin::ExitCode,
            _ => return None,
        })
    }
}

impl Record for Early {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Early::Flow(from) => (0u32, from.clone()).put(out),
            Early::Result => 1u32.put(out),
        }
    }

    fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(match u32::get(bytes)? {
            0 => Early::Flow(Record::get(bytes)?),
            1 => Early::Result,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn records_make_the_round_trip_and_damaged_ones_are_refused() {
        let text = |text: &str| Part::Text(text.into());
        let function = Function {
            params: vec![
                Type::Text,
                Type::List(Box::new(Type::Unsigned(1))),
                Type::Variant(vec![
                    Case { name: "none".into(), ty: None },
                    Case { name: "some".into(), ty: Some(Type::Signed(8)) },
                ]),
                Type::Record(vec![Type::Bool, Type::F32, Type::F64, Type::Char]),
                Type::Flags(vec!["a".into(), "b".into()]),
                Type::Stream,
                Type::Input,
                Type::Output,
            ],
            spilled: true,
            result: Type::Record(vec![Type::Text, Type::Unsigned(4)]),
            asynchronous: true,
            sinks: vec![(vec![1], Origin::Stderr)],
            early: vec![Early::Flow(Origin::Stdout), Early::Result],
            given_in_memory: false,
            args: vec![
                Arguments::One(vec![text("p"), Part::Value(vec![3, 1])]),
                Arguments::If { when: vec![2], then: vec![Arguments::One(vec![text("-x")])], otherwise: vec![] },
                Arguments::Each { of: vec![1], then: vec![Arguments::One(vec![Part::Item])] },
            ],
            env: vec![("K".into(), vec![text("v")])],
            inputs: vec![Input { path: "in/a".into(), place: vec![0], directory: false }],
            scratch: vec!["tmp".into()],
            stdin: Some(vec![1]),
            outputs: vec![
                Output { from: Origin::File("out".into()), field: Some(0) },
                Output { from: Origin::ExitCode, field: Some(1) },
                Output { from: Origin::Stdout, field: None },
                Output { from: Origin::Stderr, field: None },
                Output { from: Origin::Directory("d".into()), field: None },
            ],
            exit_codes: vec![3],
        };
        let bytes = function.encode();
        assert_eq!(Function::decode(&bytes), Some(function));
        for end in 0..bytes.len() {
            assert_eq!(Function::decode(&bytes[..end]), None, "{end}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            // Whatever it is, it is read to an end.
            let _ = Function::decode(&damaged);
        }
    }
}
