//! Values straight into a component's memory and out of it, by the canonical ABI (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>).
//!
//! The engine's own dynamic values take forty bytes for each item of a list and are moved one by one. Its typed calls copy
//! lists of numbers whole, but want the types when the host is compiled. Here the types come from the component and the
//! copies are those of typed calls: parameters and results are each one "type" to the engine, which reads from the
//! component's own type what to do. Strings, numbers and lists of numbers are left to the engine; what is here is how
//! they are put together. The engine's traits for that are hidden from its documentation, which is why its version is
//! pinned and this is their only user.

use crate::value::{Numbers, Value};
use std::fmt;
use std::mem::MaybeUninit;
use std::slice::{Iter, IterMut};
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::__internal::{
    CanonicalAbiInfo, ComponentTypes, InstanceType, InterfaceType, LiftContext, LowerContext,
};
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower, Type};
use wasmtime::{Result, ValRaw};

/// Core values that parameters may take; more go through memory, which is left to the engine's own values.
const FLAT_PARAMS_MAX: usize = 16;

/// Whether values of this type go the short way: not what belongs to an instance, nor what few programs use.
pub(crate) fn takes(ty: &Type) -> bool {
    let payload = |ty: Option<Type>| ty.as_ref().is_none_or(takes);
    match ty {
        Type::List(list) => takes(&list.ty()),
        Type::Record(record) => record.fields().all(|field| takes(&field.ty)),
        Type::Tuple(tuple) => tuple.types().all(|ty| takes(&ty)),
        Type::Variant(variant) => variant.cases().all(|case| payload(case.ty)),
        Type::Option(option) => takes(&option.ty()),
        Type::Result(result) => payload(result.ok()) && payload(result.err()),
        Type::Flags(flags) => flags.names().len() <= 32,
        Type::Bool | Type::Char | Type::String | Type::Enum(_) => true,
        Type::U8 | Type::S8 | Type::U16 | Type::S16 | Type::U32 | Type::S32 | Type::U64 | Type::S64 => true,
        Type::Float32 | Type::Float64 => true,
        _ => false,
    }
}

/// Core values that a type takes.
pub(crate) fn flat_count(ty: &Type) -> usize {
    let payload = |ty: Option<Type>| ty.as_ref().map_or(0, flat_count);
    match ty {
        Type::String | Type::List(_) => 2,
        Type::Record(record) => record.fields().map(|field| flat_count(&field.ty)).sum(),
        Type::Tuple(tuple) => tuple.types().map(|ty| flat_count(&ty)).sum(),
        Type::Variant(variant) => 1 + variant.cases().map(|case| payload(case.ty)).max().unwrap_or(0),
        Type::Option(option) => 1 + flat_count(&option.ty()),
        Type::Result(result) => 1 + payload(result.ok()).max(payload(result.err())),
        _ => 1,
    }
}

/// Whether parameters of these types go the short way.
pub(crate) fn takes_all<'t>(params: impl Iterator<Item = &'t Type> + Clone) -> bool {
    params.clone().all(takes) && params.map(flat_count).sum::<usize>() <= FLAT_PARAMS_MAX
}

/// An argument that is not of its parameter's type.
#[derive(Debug)]
pub(crate) struct Unlike(String);

impl fmt::Display for Unlike {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Unlike {}

fn unlike<T>(what: impl fmt::Display) -> Result<T> {
    Err(Unlike(format!("an argument has another type than its parameter: {what}")).into())
}

/// The arguments of a call. They are let go as soon as the function has them: a large one is then there once.
pub(crate) struct Params(Mutex<Option<Arc<[Value]>>>);

impl Params {
    /// These.
    pub fn new(args: Arc<[Value]>) -> Self {
        Self(Mutex::new(Some(args)))
    }
}

/// The result of a call whose result is one core value, or none.
pub(crate) struct Flat(pub Option<Value>);

/// The result of a call whose result lies in memory.
pub(crate) struct InMemory(pub Option<Value>);

#[allow(unsafe_code, reason = "the engine asks for a promise about how values are laid out")]
mod promises {
    use super::*;

    /// What these types are is looked up in the component's own type each time, so every type fits.
    macro_rules! of_any_type {
        ($($name:ident, $raw:literal;)*) => {
            $(
                // SAFETY: `Lower` is an array of `ValRaw`.
                unsafe impl ComponentType for $name {
                    type Lower = [ValRaw; $raw];

                    // Size and alignment are those of the component's type, and are looked up.
                    const ABI: CanonicalAbiInfo =
                        CanonicalAbiInfo { size32: 0, align32: 1, size64: 0, align64: 1, flat_count: Some($raw) };

                    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
                        Ok(())
                    }
                }

                // SAFETY: a list of parameters or results of any length is what it is.
                unsafe impl ComponentNamedList for $name {}
            )*
        };
    }
    of_any_type! { Params, 16; Flat, 1; InMemory, 2; }

    // SAFETY: every place of `dst` is written.
    unsafe impl Lower for Params {
        fn linear_lower_to_flat<T>(
            &self,
            cx: &mut LowerContext<'_, T>,
            ty: InterfaceType,
            dst: &mut MaybeUninit<[ValRaw; 16]>,
        ) -> Result<()> {
            // SAFETY: an array of places that are not written yet is one place that is not.
            let places = unsafe { &mut *std::ptr::from_mut(dst).cast::<[MaybeUninit<ValRaw>; 16]>() };
            let mut places = places.iter_mut();
            let InterfaceType::Tuple(tuple) = ty else { return unlike("the parameters are no list") };
            let args = self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            let types = cx.types;
            let types = &types[tuple].types;
            if types.len() != args.len() {
                return unlike(format_args!("{} are given, {} are taken", args.len(), types.len()));
            }
            for (ty, value) in types.iter().zip(&*args) {
                lower_flat(cx, *ty, value, &mut places)?;
            }
            zero(&mut places, usize::MAX);
            Ok(())
        }

        fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> Result<()> {
            unlike("the parameters take too many values")
        }
    }

    // SAFETY: a value is read as the component's type says.
    unsafe impl Lift for Flat {
        fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; 1]) -> Result<Self> {
            let Some(ty) = only(cx, ty) else { return Ok(Flat(None)) };
            lift_flat(cx, ty, &mut src.iter()).map(|value| Flat(Some(value)))
        }

        fn linear_lift_from_memory(_: &mut LiftContext<'_>, _: InterfaceType, _: &[u8]) -> Result<Self> {
            unlike("a small result lies in memory")
        }
    }

    // SAFETY: as above.
    unsafe impl Lift for InMemory {
        fn linear_lift_from_flat(_: &mut LiftContext<'_>, _: InterfaceType, _: &[ValRaw; 2]) -> Result<Self> {
            unlike("a large result does not lie in memory")
        }

        fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
            let Some(ty) = only(cx, ty) else { return Ok(InMemory(None)) };
            // The engine takes the result for one of no size: where it begins is what counts.
            let at = bytes.as_ptr().addr() - cx.memory().as_ptr().addr();
            let abi = cx.types.canonical_abi(&ty);
            if !at.is_multiple_of(abi.align32 as usize) {
                return Err(wasmtime::Error::msg("return pointer not aligned"));
            }
            let bytes = cx.memory().get(at..).and_then(|bytes| bytes.get(..abi.size32 as usize));
            let bytes = bytes.ok_or_else(|| wasmtime::Error::msg("pointer out of bounds of memory"))?;
            lift(cx, ty, bytes).map(|value| InMemory(Some(value)))
        }
    }
}

/// The one type of a list of results, if there is any.
fn only(cx: &LiftContext<'_>, ty: InterfaceType) -> Option<InterfaceType> {
    if let InterfaceType::Tuple(tuple) = ty { cx.types[tuple].types.first().copied() } else { None }
}

type Places<'p> = IterMut<'p, MaybeUninit<ValRaw>>;

/// Writes zeros to the next places, `count` at most.
fn zero(places: &mut Places<'_>, count: usize) {
    for place in places.take(count) {
        place.write(ValRaw::u64(0));
    }
}

/// Lowers what the engine knows as `N` core values.
fn known_flat<L: Lower<Lower = ValRaw> + ?Sized, T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &L,
    places: &mut Places<'_>,
) -> Result<()> {
    let Some(place) = places.next() else { return unlike("too many values") };
    value.linear_lower_to_flat(cx, ty, place)
}

/// The same for a pointer and a length.
fn pair_flat<L: Lower<Lower = [ValRaw; 2]> + ?Sized, T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &L,
    places: &mut Places<'_>,
) -> Result<()> {
    let mut pair = MaybeUninit::uninit();
    value.linear_lower_to_flat(cx, ty, &mut pair)?;
    put_pair(pair_of(pair), places)
}

#[allow(unsafe_code, reason = "the engine's own lowering writes both")]
fn pair_of(pair: MaybeUninit<[ValRaw; 2]>) -> [ValRaw; 2] {
    // SAFETY: lowering that succeeds has written all of its destination, says the trait.
    unsafe { pair.assume_init() }
}

fn put_pair(pair: [ValRaw; 2], places: &mut Places<'_>) -> Result<()> {
    for raw in pair {
        let Some(place) = places.next() else { return unlike("too many values") };
        place.write(raw);
    }
    Ok(())
}

/// Does `$known` with what the engine lowers as one value, `$pair` with strings and lists of numbers.
macro_rules! lower_known {
    ($cx:ident, $ty:ident, $value:ident, $known:ident, $pair:ident, $at:expr, $other:expr) => {
        match ($ty, $value) {
            (InterfaceType::Bool, Value::Bool(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::S8, Value::S8(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::U8, Value::U8(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::S16, Value::S16(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::U16, Value::U16(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::S32, Value::S32(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::U32, Value::U32(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::S64, Value::S64(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::U64, Value::U64(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::Float32, Value::F32(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::Float64, Value::F64(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::Char, Value::Char(value)) => $known($cx, $ty, value, $at),
            (InterfaceType::String, Value::String(value)) => $pair($cx, $ty, value.as_str(), $at),
            (InterfaceType::List(list), Value::Numbers(numbers)) => match ($cx.types[list].element, numbers) {
                (InterfaceType::U8, Numbers::U8(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::S8, Numbers::S8(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::U16, Numbers::U16(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::S16, Numbers::S16(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::U32, Numbers::U32(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::S32, Numbers::S32(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::U64, Numbers::U64(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::S64, Numbers::S64(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::Float32, Numbers::F32(items)) => $pair($cx, $ty, items.as_slice(), $at),
                (InterfaceType::Float64, Numbers::F64(items)) => $pair($cx, $ty, items.as_slice(), $at),
                // An empty list says nothing of its items.
                (_, numbers) if numbers.is_empty() => $pair::<[u8], _>($cx, $ty, &[], $at),
                _ => unlike("a list of other numbers"),
            },
            _ => $other,
        }
    };
}

fn lower_flat<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
    places: &mut Places<'_>,
) -> Result<()> {
    lower_known!(cx, ty, value, known_flat, pair_flat, places, lower_parts_flat(cx, ty, value, places))
}

fn lower_parts_flat<T>(
    cx: &mut LowerContext<'_, T>,
    ty: InterfaceType,
    value: &Value,
    places: &mut Places<'_>,
) -> Result<()> {
    let types = cx.types;
    if let (InterfaceType::List(list), Value::List(items)) = (ty, value) {
        let (at, len) = lower_list(cx, types[list].element, items)?;
        return put_pair([ValRaw::i64(at as i64), ValRaw::i64(len as i64)], places);
    }
    if let Some(parts) = parts(types, ty, value)? {
        return parts.into_iter().try_for_each(|(ty, value)| lower_flat(cx, ty, value, places));
    }
    let case = case(types, ty, value)?;
    let before = places.len();
    known_flat(cx, InterfaceType::U32, &case.number, places)?;
    if let Some((ty, value)) = case.payload {
        lower_flat(cx, ty, value, places)?;
    }
    // A case with fewer values than others leaves the rest zero.
    let all = types.canonical_abi(&ty).flat_count.map_or(0, usize::from);
    zero(places, all.saturating_sub(before - places.len()));
    Ok(())
}

fn known_at<L: Lower + ?Sized, T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: &L, at: usize) -> Result<()> {
    value.linear_lower_to_memory(cx, ty, at)
}

/// Writes a value to memory at an offset that has been found to be inside.
fn lower<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: &Value, at: usize) -> Result<()> {
    lower_known!(cx, ty, value, known_at, known_at, at, lower_parts(cx, ty, value, at))
}

fn lower_parts<T>(cx: &mut LowerContext<'_, T>, ty: InterfaceType, value: &Value, at: usize) -> Result<()> {
    let types = cx.types;
    if let (InterfaceType::List(list), Value::List(items)) = (ty, value) {
        let (start, len) = lower_list(cx, types[list].element, items)?;
        *cx.get(at) = (start as u32).to_le_bytes();
        *cx.get(at + 4) = (len as u32).to_le_bytes();
        return Ok(());
    }
    if let Some(parts) = parts(types, ty, value)? {
        let mut offset = at;
        for (ty, value) in parts {
            let place = types.canonical_abi(&ty).next_field32_size(&mut offset);
            lower(cx, ty, value, place)?;
        }
        return Ok(());
    }
    let case = case(types, ty, value)?;
    match case.number_bytes {
        1 => *cx.get(at) = [case.number as u8],
        2 => *cx.get(at) = (case.number as u16).to_le_bytes(),
        _ => *cx.get(at) = case.number.to_le_bytes(),
    }
    match case.payload {
        Some((ty, value)) => lower(cx, ty, value, at + case.payload_offset),
        None => Ok(()),
    }
}

/// Allocates a list and writes its items.
fn lower_list<T>(cx: &mut LowerContext<'_, T>, item: InterfaceType, items: &[Value]) -> Result<(usize, usize)> {
    let abi = cx.types.canonical_abi(&item);
    let (size, align) = (abi.size32 as usize, abi.align32);
    let bytes = items.len().checked_mul(size).filter(|bytes| *bytes < 1 << 28);
    let Some(bytes) = bytes else { return unlike("a list of more bytes than a value may have") };
    let start = cx.realloc(0, 0, align, bytes)?;
    for (index, value) in items.iter().enumerate() {
        lower(cx, item, value, start + index * size)?;
    }
    Ok((start, items.len()))
}

/// The parts of a record or tuple with their types; nothing if it is none.
fn parts<'v>(
    types: &ComponentTypes,
    ty: InterfaceType,
    value: &'v Value,
) -> Result<Option<Vec<(InterfaceType, &'v Value)>>> {
    match (ty, value) {
        (InterfaceType::Record(record), Value::Record(given)) => {
            let fields = &types[record].fields;
            if fields.len() != given.len() || fields.iter().zip(given).any(|(field, (name, _))| field.name != *name) {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                return unlike(format_args!("a record has the fields {} in this order", names.join(", ")));
            }
            Ok(Some(fields.iter().map(|field| field.ty).zip(given.iter().map(|(_, value)| value)).collect()))
        }
        (InterfaceType::Tuple(tuple), Value::Tuple(given)) => {
            let wanted = &types[tuple].types;
            if wanted.len() != given.len() {
                return unlike(format_args!("a tuple has {} items", wanted.len()));
            }
            Ok(Some(wanted.iter().copied().zip(given).collect()))
        }
        _ => Ok(None),
    }
}

/// One case of several.
struct Case<'v> {
    number: u32,
    number_bytes: usize,
    payload_offset: usize,
    payload: Option<(InterfaceType, &'v Value)>,
}

fn case<'v>(types: &ComponentTypes, ty: InterfaceType, value: &'v Value) -> Result<Case<'v>> {
    // Flags are a number and have no case; they are told apart by having no payload either.
    let (number, payload) = match (ty, value) {
        (InterfaceType::Option(_), Value::Option(None)) => (0, None),
        (InterfaceType::Option(option), Value::Option(Some(inside))) => (1, Some((Some(types[option].ty), &**inside))),
        (InterfaceType::Result(result), Value::Result(Ok(inside))) => (0, given(types[result].ok, inside.as_deref())?),
        (InterfaceType::Result(result), Value::Result(Err(inside))) => {
            (1, given(types[result].err, inside.as_deref())?)
        }
        (InterfaceType::Variant(variant), Value::Variant(name, inside)) => {
            let Some((number, _, payload)) = types[variant].cases.get_full(name) else {
                return unlike(format_args!("a variant has no case {name:?}"));
            };
            (number, given(*payload, inside.as_deref())?)
        }
        (InterfaceType::Enum(cases), Value::Enum(name)) => match types[cases].names.get_index_of(name) {
            Some(number) => (number, None),
            None => return unlike(format_args!("an enum has no case {name:?}")),
        },
        (InterfaceType::Flags(flags), Value::Flags(names)) => {
            let known = &types[flags].names;
            let mut bits = 0;
            for name in names {
                let Some(bit) = known.get_index_of(name) else {
                    return unlike(format_args!("there is no flag {name:?}"));
                };
                bits |= 1 << bit;
            }
            (bits, None)
        }
        _ => return unlike(format_args!("{value:.80?}")),
    };
    let (number_bytes, payload_offset) = layout(types, ty);
    let payload = payload.and_then(|(ty, value)| Some((ty?, value)));
    Ok(Case { number: number as u32, number_bytes, payload_offset, payload })
}

/// A payload where there is to be one, and none where there is not.
fn given(ty: Option<InterfaceType>, value: Option<&Value>) -> Result<Option<(Option<InterfaceType>, &Value)>> {
    match (ty, value) {
        (None, None) => Ok(None),
        (Some(_), Some(value)) => Ok(Some((ty, value))),
        (Some(_), None) => unlike("a case without its payload"),
        (None, Some(_)) => unlike("a case with a payload that it has not"),
    }
}

/// Bytes of the number of a case, and where its payload begins.
fn layout(types: &ComponentTypes, ty: InterfaceType) -> (usize, usize) {
    let info = match ty {
        InterfaceType::Option(index) => &types[index].info,
        InterfaceType::Result(index) => &types[index].info,
        InterfaceType::Variant(index) => &types[index].info,
        InterfaceType::Enum(index) => &types[index].info,
        _ => return (types.canonical_abi(&ty).size32 as usize, 0),
    };
    (usize::from(info.size), info.payload_offset32 as usize)
}

/// Reads what the engine knows.
macro_rules! lift_known {
    ($cx:ident, $ty:ident, $one:ident, $pair:ident, $from:expr, $other:expr) => {
        match $ty {
            InterfaceType::Bool => $one($cx, $ty, $from).map(Value::Bool),
            InterfaceType::S8 => $one($cx, $ty, $from).map(Value::S8),
            InterfaceType::U8 => $one($cx, $ty, $from).map(Value::U8),
            InterfaceType::S16 => $one($cx, $ty, $from).map(Value::S16),
            InterfaceType::U16 => $one($cx, $ty, $from).map(Value::U16),
            InterfaceType::S32 => $one($cx, $ty, $from).map(Value::S32),
            InterfaceType::U32 => $one($cx, $ty, $from).map(Value::U32),
            InterfaceType::S64 => $one($cx, $ty, $from).map(Value::S64),
            InterfaceType::U64 => $one($cx, $ty, $from).map(Value::U64),
            InterfaceType::Float32 => $one($cx, $ty, $from).map(Value::F32),
            InterfaceType::Float64 => $one($cx, $ty, $from).map(Value::F64),
            InterfaceType::Char => $one($cx, $ty, $from).map(Value::Char),
            InterfaceType::String => $pair($cx, $ty, $from).map(Value::String),
            InterfaceType::List(list) => match $cx.types[list].element {
                InterfaceType::U8 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::U8(items))),
                InterfaceType::S8 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::S8(items))),
                InterfaceType::U16 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::U16(items))),
                InterfaceType::S16 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::S16(items))),
                InterfaceType::U32 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::U32(items))),
                InterfaceType::S32 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::S32(items))),
                InterfaceType::U64 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::U64(items))),
                InterfaceType::S64 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::S64(items))),
                InterfaceType::Float32 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::F32(items))),
                InterfaceType::Float64 => $pair($cx, $ty, $from).map(|items| Value::Numbers(Numbers::F64(items))),
                _ => $other,
            },
            _ => $other,
        }
    };
}

fn one_flat<L: Lift + ComponentType<Lower = ValRaw>>(
    cx: &mut LiftContext<'_>,
    ty: InterfaceType,
    from: &mut Iter<'_, ValRaw>,
) -> Result<L> {
    match from.next() {
        Some(raw) => L::linear_lift_from_flat(cx, ty, raw),
        None => unlike("too few values"),
    }
}

/// What takes two core values is no result that comes flat.
fn pair_never<L: Lift>(_: &mut LiftContext<'_>, _: InterfaceType, _: &mut Iter<'_, ValRaw>) -> Result<L> {
    unlike("a result of two values that is not in memory")
}

/// Bytes of the host's memory that a named value takes: beside the value its name, which is its own.
const NAMED_BYTES: usize = size_of::<(String, Value)>() + 32;

/// Reads a value of at most one core value.
fn lift_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, from: &mut Iter<'_, ValRaw>) -> Result<Value> {
    lift_known!(cx, ty, one_flat, pair_never, from, lift_parts_flat(cx, ty, from))
}

fn lift_parts_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, from: &mut Iter<'_, ValRaw>) -> Result<Value> {
    let types = cx.types.clone();
    match ty {
        InterfaceType::Record(record) => {
            cx.consume_fuel_array(types[record].fields.len(), NAMED_BYTES)?;
            let fields = types[record].fields.iter();
            let fields = fields.map(|field| Ok((field.name.clone(), lift_flat(cx, field.ty, from)?)));
            fields.collect::<Result<_>>().map(Value::Record)
        }
        InterfaceType::Tuple(tuple) => {
            cx.consume_fuel_array(types[tuple].types.len(), size_of::<Value>())?;
            let items = types[tuple].types.iter().map(|ty| lift_flat(cx, *ty, from));
            items.collect::<Result<_>>().map(Value::Tuple)
        }
        _ => {
            let number: u32 = one_flat(cx, InterfaceType::U32, from)?;
            cx.consume_fuel_array(names_of(&types, ty), NAMED_BYTES)?;
            of_case(&types, ty, number, &mut |ty| lift_flat(cx, ty, from))
        }
    }
}

fn at<L: Lift>(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<L> {
    L::linear_lift_from_memory(cx, ty, bytes)
}

/// Reads a value from the bytes of memory that it takes.
fn lift(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Value> {
    lift_known!(cx, ty, at, at, bytes, lift_parts(cx, ty, bytes))
}

fn lift_parts(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Value> {
    let types = cx.types.clone();
    match ty {
        InterfaceType::List(list) => lift_list(cx, types[list].element, bytes),
        InterfaceType::Record(record) => {
            let mut offset = 0;
            cx.consume_fuel_array(types[record].fields.len(), NAMED_BYTES)?;
            let fields = types[record].fields.iter();
            let fields = fields.map(|field| Ok((field.name.clone(), lift_part(cx, field.ty, bytes, &mut offset)?)));
            fields.collect::<Result<_>>().map(Value::Record)
        }
        InterfaceType::Tuple(tuple) => {
            let mut offset = 0;
            cx.consume_fuel_array(types[tuple].types.len(), size_of::<Value>())?;
            let items = types[tuple].types.iter().map(|ty| lift_part(cx, *ty, bytes, &mut offset));
            items.collect::<Result<_>>().map(Value::Tuple)
        }
        _ => {
            let (number_bytes, payload_offset) = layout(&types, ty);
            cx.consume_fuel_array(names_of(&types, ty), NAMED_BYTES)?;
            let mut number = [0; 4];
            number[..number_bytes.min(4)].copy_from_slice(&bytes[..number_bytes.min(4)]);
            of_case(&types, ty, u32::from_le_bytes(number), &mut |ty| {
                let size = cx.types.canonical_abi(&ty).size32 as usize;
                lift(cx, ty, &bytes[payload_offset..][..size])
            })
        }
    }
}

fn lift_part(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8], offset: &mut usize) -> Result<Value> {
    let abi = cx.types.canonical_abi(&ty);
    let (place, size) = (abi.next_field32_size(offset), abi.size32 as usize);
    lift(cx, ty, &bytes[place..][..size])
}

/// A list of what are no numbers.
fn lift_list(cx: &mut LiftContext<'_>, item: InterfaceType, pair: &[u8]) -> Result<Value> {
    let word = |at: usize| pair[at..at + 4].iter().rev().fold(0, |word, byte| word << 8 | usize::from(*byte));
    let (start, len) = (word(0), word(4));
    let abi = cx.types.canonical_abi(&item);
    let (size, align) = (abi.size32 as usize, abi.align32 as usize);
    let bytes = len.checked_mul(size).and_then(|all| cx.memory().get(start..)?.get(..all));
    let bytes = bytes.ok_or_else(|| wasmtime::Error::msg("list pointer/length out of bounds of memory"))?;
    if !start.is_multiple_of(align) {
        return Err(wasmtime::Error::msg("list pointer is not aligned"));
    }
    cx.consume_fuel_array(len, size_of::<Value>())?;
    // Items of no size there are none of: every value that may be in a list takes some bytes.
    let items = bytes.chunks_exact(size.max(1)).map(|bytes| lift(cx, item, bytes));
    items.collect::<Result<_>>().map(Value::List)
}

/// Names and payloads that a value with cases may bring at most: one, or as many as there are flags.
fn names_of(types: &ComponentTypes, ty: InterfaceType) -> usize {
    if let InterfaceType::Flags(flags) = ty { types[flags].names.len() } else { 1 }
}

/// The value of a case.
fn of_case(
    types: &ComponentTypes,
    ty: InterfaceType,
    number: u32,
    payload: &mut dyn FnMut(InterfaceType) -> Result<Value>,
) -> Result<Value> {
    let wrong = || wasmtime::Error::msg(format!("the component gave {number} for a case that there is not"));
    let mut inside = |ty: Option<InterfaceType>| ty.map(|ty| payload(ty).map(Box::new)).transpose();
    Ok(match (ty, number) {
        (InterfaceType::Option(_), 0) => Value::Option(None),
        (InterfaceType::Option(option), 1) => Value::Option(inside(Some(types[option].ty))?),
        (InterfaceType::Result(result), 0) => Value::Result(Ok(inside(types[result].ok)?)),
        (InterfaceType::Result(result), 1) => Value::Result(Err(inside(types[result].err)?)),
        (InterfaceType::Variant(variant), number) => {
            let (name, ty) = types[variant].cases.get_index(number as usize).ok_or_else(wrong)?;
            Value::Variant(name.clone(), inside(*ty)?)
        }
        (InterfaceType::Enum(cases), number) => {
            Value::Enum(types[cases].names.iter().nth(number as usize).ok_or_else(wrong)?.clone())
        }
        (InterfaceType::Flags(flags), bits) => {
            let set = types[flags].names.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
            Value::Flags(set.map(|(_, name)| name.clone()).collect())
        }
        _ => return Err(wrong()),
    })
}
