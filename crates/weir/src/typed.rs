//! Values of the embedder's own types. Records are made with [`record!`](crate::record).

use crate::error::{Error, Kind};
use weir_engine::{Numbers, Value};

/// What can be given to a function.
pub trait ToValue: Sized {
    /// The value.
    fn to_value(self) -> Value;

    /// A list of such values.
    fn list(items: Vec<Self>) -> Value {
        Value::list(items.into_iter().map(Self::to_value).collect())
    }
}

/// What can be taken from a function.
pub trait FromValue: Sized {
    /// The value in this type; `None` if it has another one.
    fn from_value(value: Value) -> Option<Self>;

    /// The items of a list.
    fn from_list(value: Value) -> Option<Vec<Self>> {
        match value {
            Value::List(items) | Value::FixedList(items) => items.into_iter().map(Self::from_value).collect(),
            // An empty list says nothing of its items.
            Value::Numbers(numbers) if numbers.is_empty() => Some(Vec::new()),
            _ => None,
        }
    }
}

/// The arguments of a call: a tuple of values.
pub trait ToValues {
    /// The values, one for each parameter.
    fn to_values(self) -> Vec<Value>;
}

/// The arguments that a granted function is called with: a tuple of values.
pub trait FromValues: Sized {
    /// The values in these types; `None` if there are others.
    fn from_values(values: &[Value]) -> Option<Self>;
}

/// What a function gives: a value, or nothing.
pub trait FromResult: Sized {
    /// The result in this type; `None` if it has another one.
    fn from_result(result: Option<Value>) -> Option<Self>;
}

/// What a granted function gives: a value, or nothing.
pub trait ToResult {
    /// The value, if any.
    fn to_result(self) -> Option<Value>;
}

impl ToValue for Value {
    fn to_value(self) -> Value {
        self
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

macro_rules! plain {
    ($($ty:ty => $kind:ident),*) => {$(
        impl ToValue for $ty {
            fn to_value(self) -> Value {
                Value::$kind(self)
            }
        }

        impl FromValue for $ty {
            fn from_value(value: Value) -> Option<Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }
        }
    )*};
}
plain!(bool => Bool, char => Char, String => String);

/// Numbers: their lists are moved whole.
macro_rules! numbers {
    ($($ty:ty => $kind:ident),*) => {$(
        impl ToValue for $ty {
            fn to_value(self) -> Value {
                Value::$kind(self)
            }

            fn list(items: Vec<Self>) -> Value {
                Value::Numbers(Numbers::$kind(items))
            }
        }

        impl FromValue for $ty {
            fn from_value(value: Value) -> Option<Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn from_list(value: Value) -> Option<Vec<Self>> {
                match value {
                    Value::Numbers(Numbers::$kind(items)) => Some(items),
                    Value::List(items) if items.is_empty() => Some(Vec::new()),
                    Value::Numbers(numbers) if numbers.is_empty() => Some(Vec::new()),
                    _ => None,
                }
            }
        }
    )*};
}
numbers!(u8 => U8, i8 => S8, u16 => U16, i16 => S16, u32 => U32, i32 => S32, u64 => U64, i64 => S64, f32 => F32, f64 => F64);

impl ToValue for &str {
    fn to_value(self) -> Value {
        Value::String(self.into())
    }
}

impl ToValue for &[u8] {
    fn to_value(self) -> Value {
        Value::bytes(self)
    }
}

impl<T: ToValue> ToValue for Vec<T> {
    fn to_value(self) -> Value {
        T::list(self)
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: Value) -> Option<Self> {
        T::from_list(value)
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(self) -> Value {
        Value::Option(self.map(|value| Box::new(value.to_value())))
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Option<Self> {
        let Value::Option(value) = value else { return None };
        value.map_or(Some(None), |value| T::from_value(*value).map(Some))
    }
}

impl<T: ToResult, E: ToResult> ToValue for Result<T, E> {
    fn to_value(self) -> Value {
        Value::Result(match self {
            Ok(value) => Ok(value.to_result().map(Box::new)),
            Err(value) => Err(value.to_result().map(Box::new)),
        })
    }
}

impl<T: FromResult, E: FromResult> FromValue for Result<T, E> {
    fn from_value(value: Value) -> Option<Self> {
        let Value::Result(result) = value else { return None };
        Some(match result {
            Ok(value) => Ok(T::from_result(value.map(|value| *value))?),
            Err(value) => Err(E::from_result(value.map(|value| *value))?),
        })
    }
}

impl FromResult for () {
    fn from_result(result: Option<Value>) -> Option<Self> {
        result.is_none().then_some(())
    }
}

impl ToResult for () {
    fn to_result(self) -> Option<Value> {
        None
    }
}

impl<T: FromValue> FromResult for T {
    fn from_result(result: Option<Value>) -> Option<Self> {
        T::from_value(result?)
    }
}

impl<T: ToValue> ToResult for T {
    fn to_result(self) -> Option<Value> {
        Some(self.to_value())
    }
}

macro_rules! tuples {
    ($(($($name:ident $at:tt),*);)*) => {$(
        impl<$($name: ToValue),*> ToValues for ($($name,)*) {
            fn to_values(self) -> Vec<Value> {
                vec![$(self.$at.to_value()),*]
            }
        }

        impl<$($name: FromValue),*> FromValues for ($($name,)*) {
            fn from_values(values: &[Value]) -> Option<Self> {
                const COUNT: usize = [$($at as usize),*].len();
                if values.len() != COUNT {
                    return None;
                }
                Some(($($name::from_value(values[$at].clone())?,)*))
            }
        }
    )*};
}
tuples! {
    (A 0); (A 0, B 1); (A 0, B 1, C 2); (A 0, B 1, C 2, D 3); (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5); (A 0, B 1, C 2, D 3, E 4, F 5, G 6);
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
}

impl ToValues for () {
    fn to_values(self) -> Vec<Value> {
        Vec::new()
    }
}

impl FromValues for () {
    fn from_values(values: &[Value]) -> Option<Self> {
        values.is_empty().then_some(())
    }
}

impl<A: ToValue, B: ToValue> ToValue for (A, B) {
    fn to_value(self) -> Value {
        Value::Tuple(self.to_values())
    }
}

impl<A: FromValue, B: FromValue> FromValue for (A, B) {
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Tuple(values) = value { Self::from_values(&values) } else { None }
    }
}

/// A result in the caller's type.
pub(crate) fn result_as<R: FromResult>(name: &str, result: Option<Value>) -> Result<R, Error> {
    R::from_result(result).ok_or_else(|| {
        let what = format!("{name} gives another type than {}", std::any::type_name::<R>());
        Error::new(Kind::Grant, what)
    })
}

/// Makes records of the component model: structs whose fields have the names of the record's, with `_` for `-`.
///
/// ```
/// weir::record! {
///     /// How large a picture is.
///     #[derive(Debug, PartialEq)]
///     pub struct Size {
///         pub width: u32,
///         pub max_height: Option<u32>,
///     }
/// }
/// use weir::{FromValue, ToValue};
/// let size = Size { width: 7, max_height: None }.to_value();
/// assert_eq!(Size::from_value(size), Some(Size { width: 7, max_height: None }));
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $seen:vis struct $name:ident { $($(#[$field_meta:meta])* $field_seen:vis $field:ident: $ty:ty),* $(,)? }) => {
        $(#[$meta])*
        $seen struct $name { $($(#[$field_meta])* $field_seen $field: $ty),* }

        impl $crate::ToValue for $name {
            fn to_value(self) -> $crate::Value {
                $crate::Value::Record(vec![
                    $((stringify!($field).replace('_', "-"), $crate::ToValue::to_value(self.$field))),*
                ])
            }
        }

        impl $crate::FromValue for $name {
            fn from_value(value: $crate::Value) -> Option<Self> {
                let $crate::Value::Record(fields) = value else { return None };
                let mut fields = fields.into_iter();
                let record = Self { $($field: {
                    let (name, value) = fields.next()?;
                    if name != stringify!($field).replace('_', "-") {
                        return None;
                    }
                    $crate::FromValue::from_value(value)?
                }),* };
                fields.next().is_none().then_some(record)
            }
        }
    };
}
