//! Values as functions take and give them. Lists of numbers are kept as numbers: a byte of a list takes a byte.

use wasmtime::Val as CoreVal;
use wasmtime::component::{Type, Val};

/// A value of the component model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `s8`
    S8(i8),
    /// `u8`
    U8(u8),
    /// `s16`
    S16(i16),
    /// `u16`
    U16(u16),
    /// `s32`
    S32(i32),
    /// `u32`
    U32(u32),
    /// `s64`
    S64(i64),
    /// `u64`
    U64(u64),
    /// `f32`
    F32(f32),
    /// `f64`
    F64(f64),
    /// `char`
    Char(char),
    /// `string`
    String(String),
    /// A list of numbers, `list<u8>` to `list<f64>`.
    Numbers(Numbers),
    /// A list of anything else.
    List(Vec<Value>),
    /// A list whose length is part of its type.
    FixedList(Vec<Value>),
    /// A map, as its pairs.
    Map(Vec<(Value, Value)>),
    /// A record: its fields in the order of its type.
    Record(Vec<(String, Value)>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A case of a variant, with its payload.
    Variant(String, Option<Box<Value>>),
    /// A case of an enum.
    Enum(String),
    /// An option.
    Option(Option<Box<Value>>),
    /// A result.
    Result(Result<Option<Box<Value>>, Option<Box<Value>>>),
    /// Those flags that are set.
    Flags(Vec<String>),
}

/// A list of numbers of one type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Numbers {
    /// `list<u8>`
    U8(Vec<u8>),
    /// `list<s8>`
    S8(Vec<i8>),
    /// `list<u16>`
    U16(Vec<u16>),
    /// `list<s16>`
    S16(Vec<i16>),
    /// `list<u32>`
    U32(Vec<u32>),
    /// `list<s32>`
    S32(Vec<i32>),
    /// `list<u64>`
    U64(Vec<u64>),
    /// `list<s64>`
    S64(Vec<i64>),
    /// `list<f32>`
    F32(Vec<f32>),
    /// `list<f64>`
    F64(Vec<f64>),
}

impl Numbers {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Numbers::U8(items) => items.len(),
            Numbers::S8(items) => items.len(),
            Numbers::U16(items) => items.len(),
            Numbers::S16(items) => items.len(),
            Numbers::U32(items) => items.len(),
            Numbers::S32(items) => items.len(),
            Numbers::U64(items) => items.len(),
            Numbers::S64(items) => items.len(),
            Numbers::F32(items) => items.len(),
            Numbers::F64(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn into_values(self) -> Vec<Value> {
        match self {
            Numbers::U8(items) => items.into_iter().map(Value::U8).collect(),
            Numbers::S8(items) => items.into_iter().map(Value::S8).collect(),
            Numbers::U16(items) => items.into_iter().map(Value::U16).collect(),
            Numbers::S16(items) => items.into_iter().map(Value::S16).collect(),
            Numbers::U32(items) => items.into_iter().map(Value::U32).collect(),
            Numbers::S32(items) => items.into_iter().map(Value::S32).collect(),
            Numbers::U64(items) => items.into_iter().map(Value::U64).collect(),
            Numbers::S64(items) => items.into_iter().map(Value::S64).collect(),
            Numbers::F32(items) => items.into_iter().map(Value::F32).collect(),
            Numbers::F64(items) => items.into_iter().map(Value::F64).collect(),
        }
    }

    /// Items of one kind of number as what they are; `None` if the first of them is no number or another one is of
    /// another kind.
    fn of(items: &[Value]) -> Option<Self> {
        macro_rules! all {
            ($($kind:ident)*) => {
                match items.first()? {
                    $(Value::$kind(_) => {
                        let all = items.iter().map(|item| if let Value::$kind(item) = item { Some(*item) } else { None });
                        Some(Numbers::$kind(all.collect::<Option<_>>()?))
                    })*
                    _ => None,
                }
            };
        }
        all!(U8 S8 U16 S16 U32 S32 U64 S64 F32 F64)
    }

    /// No numbers of a type.
    fn none_of(ty: &Type) -> Option<Self> {
        Some(match ty {
            Type::U8 => Numbers::U8(Vec::new()),
            Type::S8 => Numbers::S8(Vec::new()),
            Type::U16 => Numbers::U16(Vec::new()),
            Type::S16 => Numbers::S16(Vec::new()),
            Type::U32 => Numbers::U32(Vec::new()),
            Type::S32 => Numbers::S32(Vec::new()),
            Type::U64 => Numbers::U64(Vec::new()),
            Type::S64 => Numbers::S64(Vec::new()),
            Type::Float32 => Numbers::F32(Vec::new()),
            Type::Float64 => Numbers::F64(Vec::new()),
            _ => return None,
        })
    }
}

impl Value {
    /// Bytes: `list<u8>`.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Value::Numbers(Numbers::U8(bytes.into()))
    }

    /// A list of any items: of numbers, if they are.
    pub fn list(items: Vec<Value>) -> Self {
        Numbers::of(&items).map_or(Value::List(items), Value::Numbers)
    }

    /// A list of items of `ty`, which says what an empty one is.
    pub(crate) fn list_of(ty: &Type, items: Vec<Value>) -> Self {
        match Numbers::none_of(ty).filter(|_| items.is_empty()) {
            Some(none) => Value::Numbers(none),
            None => Value::list(items),
        }
    }

    /// The bytes of a `list<u8>`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        if let Value::Numbers(Numbers::U8(bytes)) = self { Some(bytes) } else { None }
    }

    /// A number as core modules have it.
    pub(crate) fn to_core(&self) -> Option<CoreVal> {
        Some(match self {
            Value::S32(value) => CoreVal::I32(*value),
            Value::S64(value) => CoreVal::I64(*value),
            Value::F32(value) => CoreVal::F32(value.to_bits()),
            Value::F64(value) => CoreVal::F64(value.to_bits()),
            _ => return None,
        })
    }

    /// A number of a core module.
    pub(crate) fn from_core(value: &CoreVal) -> Option<Self> {
        Some(match value {
            CoreVal::I32(value) => Value::S32(*value),
            CoreVal::I64(value) => Value::S64(*value),
            CoreVal::F32(bits) => Value::F32(f32::from_bits(*bits)),
            CoreVal::F64(bits) => Value::F64(f64::from_bits(*bits)),
            _ => return None,
        })
    }

    /// The engine's form, which takes more room.
    pub(crate) fn into_val(self) -> Val {
        let boxed = |value: Option<Box<Value>>| value.map(|value| Box::new(value.into_val()));
        let all = |items: Vec<Value>| items.into_iter().map(Value::into_val).collect();
        match self {
            Value::Bool(value) => Val::Bool(value),
            Value::S8(value) => Val::S8(value),
            Value::U8(value) => Val::U8(value),
            Value::S16(value) => Val::S16(value),
            Value::U16(value) => Val::U16(value),
            Value::S32(value) => Val::S32(value),
            Value::U32(value) => Val::U32(value),
            Value::S64(value) => Val::S64(value),
            Value::U64(value) => Val::U64(value),
            Value::F32(value) => Val::Float32(value),
            Value::F64(value) => Val::Float64(value),
            Value::Char(value) => Val::Char(value),
            Value::String(value) => Val::String(value),
            Value::Numbers(numbers) => Val::List(all(numbers.into_values())),
            Value::List(items) => Val::List(all(items)),
            Value::FixedList(items) => Val::FixedLengthList(all(items)),
            Value::Map(pairs) => {
                Val::Map(pairs.into_iter().map(|(key, value)| (key.into_val(), value.into_val())).collect())
            }
            Value::Record(fields) => {
                Val::Record(fields.into_iter().map(|(name, value)| (name, value.into_val())).collect())
            }
            Value::Tuple(items) => Val::Tuple(all(items)),
            Value::Variant(case, payload) => Val::Variant(case, boxed(payload)),
            Value::Enum(case) => Val::Enum(case),
            Value::Option(value) => Val::Option(boxed(value)),
            Value::Result(Ok(value)) => Val::Result(Ok(boxed(value))),
            Value::Result(Err(value)) => Val::Result(Err(boxed(value))),
            Value::Flags(names) => Val::Flags(names),
        }
    }

    /// From the engine's form of a value of type `ty`; `None` for what is no value by itself: resources, streams, futures.
    pub(crate) fn of_type(val: Val, ty: &Type) -> Option<Self> {
        Self::from_val(val).map(|value| value.with_type(ty))
    }

    /// Empty lists say by themselves nothing of what is in them.
    fn with_type(self, ty: &Type) -> Self {
        let inside = |value: Option<Box<Value>>, ty: Option<Type>| match (value, ty) {
            (Some(value), Some(ty)) => Some(Box::new(value.with_type(&ty))),
            (value, _) => value,
        };
        match (self, ty) {
            (Value::List(items), Type::List(list)) => {
                Value::list_of(&list.ty(), items.into_iter().map(|item| item.with_type(&list.ty())).collect())
            }
            (Value::Record(fields), Type::Record(record)) => {
                let fields = fields.into_iter().zip(record.fields());
                Value::Record(fields.map(|((name, value), field)| (name, value.with_type(&field.ty))).collect())
            }
            (Value::Tuple(items), Type::Tuple(tuple)) => {
                Value::Tuple(items.into_iter().zip(tuple.types()).map(|(item, ty)| item.with_type(&ty)).collect())
            }
            (Value::Variant(name, payload), Type::Variant(variant)) => {
                let ty = variant.cases().find(|case| case.name == name).and_then(|case| case.ty);
                Value::Variant(name, inside(payload, ty))
            }
            (Value::Option(value), Type::Option(option)) => Value::Option(inside(value, Some(option.ty()))),
            (Value::Result(Ok(value)), Type::Result(result)) => Value::Result(Ok(inside(value, result.ok()))),
            (Value::Result(Err(value)), Type::Result(result)) => Value::Result(Err(inside(value, result.err()))),
            (value, _) => value,
        }
    }

    /// From the engine's form; `None` for what is no value by itself: resources, streams, futures.
    fn from_val(val: Val) -> Option<Self> {
        let boxed = |val: Option<Box<Val>>| match val {
            Some(val) => Value::from_val(*val).map(|value| Some(Box::new(value))),
            None => Some(None),
        };
        let all = |items: Vec<Val>| items.into_iter().map(Value::from_val).collect::<Option<Vec<_>>>();
        Some(match val {
            Val::Bool(value) => Value::Bool(value),
            Val::S8(value) => Value::S8(value),
            Val::U8(value) => Value::U8(value),
            Val::S16(value) => Value::S16(value),
            Val::U16(value) => Value::U16(value),
            Val::S32(value) => Value::S32(value),
            Val::U32(value) => Value::U32(value),
            Val::S64(value) => Value::S64(value),
            Val::U64(value) => Value::U64(value),
            Val::Float32(value) => Value::F32(value),
            Val::Float64(value) => Value::F64(value),
            Val::Char(value) => Value::Char(value),
            Val::String(value) => Value::String(value),
            Val::List(items) => Value::list(all(items)?),
            Val::FixedLengthList(items) => Value::FixedList(all(items)?),
            Val::Map(pairs) => {
                let pairs =
                    pairs.into_iter().map(|(key, value)| Some((Value::from_val(key)?, Value::from_val(value)?)));
                Value::Map(pairs.collect::<Option<_>>()?)
            }
            Val::Record(fields) => {
                let fields = fields.into_iter().map(|(name, value)| Some((name, Value::from_val(value)?)));
                Value::Record(fields.collect::<Option<_>>()?)
            }
            Val::Tuple(items) => Value::Tuple(all(items)?),
            Val::Variant(case, payload) => Value::Variant(case, boxed(payload)?),
            Val::Enum(case) => Value::Enum(case),
            Val::Option(value) => Value::Option(boxed(value)?),
            Val::Result(Ok(value)) => Value::Result(Ok(boxed(value)?)),
            Val::Result(Err(value)) => Value::Result(Err(boxed(value)?)),
            Val::Flags(names) => Value::Flags(names),
            _ => return None,
        })
    }
}

/// Values of any type, for tests.
#[cfg(test)]
pub(crate) mod any {
    use super::*;

    /// Numbers that are always the same.
    pub fn numbers() -> impl FnMut() -> u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    /// A value of a type, chosen by the numbers that `next` gives.
    pub fn any(ty: &Type, next: &mut dyn FnMut() -> u64) -> Value {
        let text = |next: &mut dyn FnMut() -> u64| -> String {
            let all: Vec<char> = "ab\"\\'\n\t\0\u{1b}ä日\u{202e}{}[],:%@/ ".chars().collect();
            (0..next() % 6).map(|_| all[next() as usize % all.len()]).collect()
        };
        let boxed = |ty: Option<Type>, next: &mut dyn FnMut() -> u64| ty.map(|ty| Box::new(any(&ty, next)));
        let number = next();
        match ty {
            Type::Bool => Value::Bool(number.is_multiple_of(2)),
            Type::S8 => Value::S8(number as i8),
            Type::U8 => Value::U8(number as u8),
            Type::S16 => Value::S16(number as i16),
            Type::U16 => Value::U16(number as u16),
            Type::S32 => Value::S32(number as i32),
            Type::U32 => Value::U32(number as u32),
            Type::S64 => Value::S64(number as i64),
            Type::U64 => Value::U64(number),
            Type::Float32 => Value::F32(f32::from_bits(number as u32)),
            Type::Float64 => Value::F64(f64::from_bits(number.rotate_left(17))),
            Type::Char => Value::Char(char::from_u32(number as u32 % 0x11_0000).unwrap_or('\'')),
            Type::String => Value::String(text(next)),
            Type::List(list) => {
                let items = (0..number % 4).map(|_| any(&list.ty(), next)).collect();
                Value::list_of(&list.ty(), items)
            }
            Type::Tuple(tuple) => Value::Tuple(tuple.types().map(|ty| any(&ty, next)).collect()),
            Type::Option(option) => {
                Value::Option((!number.is_multiple_of(3)).then(|| Box::new(any(&option.ty(), next))))
            }
            Type::Result(result) if number.is_multiple_of(2) => Value::Result(Ok(boxed(result.ok(), next))),
            Type::Result(result) => Value::Result(Err(boxed(result.err(), next))),
            Type::Record(record) => {
                Value::Record(record.fields().map(|field| (field.name.to_owned(), any(&field.ty, next))).collect())
            }
            Type::Variant(variant) => {
                let case = variant.cases().nth(number as usize % variant.cases().len()).unwrap();
                Value::Variant(case.name.to_owned(), boxed(case.ty, next))
            }
            Type::Enum(cases) => Value::Enum(cases.names().nth(number as usize % cases.names().len()).unwrap().into()),
            Type::Flags(flags) => {
                let names = flags.names().enumerate().filter(|(at, _)| number >> at & 1 == 1);
                let mut names: Vec<String> = names.map(|(_, name)| name.to_owned()).collect();
                // The order in which they are read back; it means nothing.
                names.sort();
                Value::Flags(names)
            }
            _ => unreachable!("the types are those above"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers_are_numbers_and_come_back() {
        let bytes = Value::list(vec![Value::U8(1), Value::U8(2)]);
        assert_eq!(bytes, Value::bytes([1, 2]));
        assert_eq!(Value::from_val(bytes.clone().into_val()), Some(bytes));
        let mixed = Value::list(vec![Value::U8(1), Value::U16(2)]);
        assert!(matches!(&mixed, Value::List(items) if items.len() == 2));
        let nested =
            Value::Record(vec![("a".into(), Value::Option(Some(Box::new(Value::list(vec![Value::F64(0.5)])))))]);
        assert_eq!(Value::from_val(nested.clone().into_val()), Some(nested));
        assert_eq!(Value::list_of(&Type::U8, Vec::new()), Value::bytes([]));
    }
}
