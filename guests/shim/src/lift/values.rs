//! Values of the component model in the shim's memory, as the canonical ABI lays them out: read from the parameters
//! of a call, written as its result. Texts and byte lists are not copied when they are read: the caller has put them
//! into this memory for the time of the call.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::slice;
use weir_vfs::lift::{Case, Type};

/// A value.
#[derive(Clone)]
pub enum Value {
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    F32(f32),
    F64(f64),
    Char(char),
    Text(&'static str),
    Bytes(&'static [u8]),
    List(Vec<Value>),
    Record(Vec<Value>),
    /// The number of the case, its name, and what it carries.
    Variant(u32, String, Option<Box<Value>>),
    Flags(Vec<String>),
    /// A stream or a future.
    Handle(u32),
}

impl Value {
    /// What is there: an option that is none is not, nor is one of several absent things; all else is itself.
    pub fn present(&self) -> Option<&Value> {
        match self {
            Value::Variant(_, name, inside) if name == "none" && inside.is_none() => None,
            Value::Variant(_, name, Some(inside)) if name == "some" => inside.present(),
            other => Some(other),
        }
    }

    /// Whether it counts as given: not none, not false, not empty.
    pub fn given(&self) -> bool {
        match self.present() {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Text(text)) => !text.is_empty(),
            Some(Value::Bytes(bytes)) => !bytes.is_empty(),
            Some(Value::List(items)) => !items.is_empty(),
            Some(Value::Flags(names)) => !names.is_empty(),
            Some(_) => true,
        }
    }

    /// As a text, for an argument; `None` for what has none.
    pub fn text(&self) -> Option<String> {
        Some(match self.present()? {
            Value::Bool(value) => value.to_string(),
            Value::Unsigned(value) => value.to_string(),
            Value::Signed(value) => value.to_string(),
            Value::F32(value) => format!("{value}"),
            Value::F64(value) => format!("{value}"),
            Value::Char(value) => value.to_string(),
            Value::Text(text) => (*text).into(),
            Value::Bytes(bytes) => core::str::from_utf8(bytes).ok()?.into(),
            Value::Variant(_, name, None) => name.clone(),
            Value::Variant(_, _, Some(inside)) => inside.text()?,
            Value::Flags(names) => names.join(","),
            Value::List(_) | Value::Record(_) | Value::Handle(_) => return None,
        })
    }

    /// As the bytes of a file; `None` for what has none.
    pub fn bytes(&self) -> Option<&'static [u8]> {
        match self.present()? {
            Value::Text(text) => Some(text.as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The field or item with these numbers.
    pub fn at(&self, fields: &[u32]) -> Option<&Value> {
        let Some((first, rest)) = fields.split_first() else { return Some(self) };
        match self.present()? {
            Value::Record(items) => items.get(*first as usize)?.at(rest),
            _ => None,
        }
    }
}

/// Size and alignment of a type in memory.
fn layout(ty: &Type) -> (usize, usize) {
    match ty {
        Type::Bool => (1, 1),
        Type::Unsigned(bytes) | Type::Signed(bytes) => (usize::from(*bytes), usize::from(*bytes)),
        Type::F32 | Type::Char | Type::Stream | Type::Input | Type::Output => (4, 4),
        Type::F64 => (8, 8),
        Type::Text | Type::List(_) => (8, 4),
        Type::Record(fields) => {
            let end = fields.iter().fold((0usize, 1), |(end, most), field| {
                let (size, align) = layout(field);
                (end.next_multiple_of(align) + size, most.max(align))
            });
            (end.0.next_multiple_of(end.1), end.1)
        }
        Type::Variant(cases) => {
            let (start, size, align) = variant_layout(cases);
            ((start + size).next_multiple_of(align), align)
        }
        Type::Flags(names) => match names.len() {
            0..=8 => (1, 1),
            9..=16 => (2, 2),
            _ => (4, 4),
        },
    }
}

/// Bytes of the number of a case.
fn tag_bytes(cases: &[Case]) -> usize {
    match cases.len() {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

/// Where what a case carries begins, the most bytes of it, and the alignment of all.
fn variant_layout(cases: &[Case]) -> (usize, usize, usize) {
    let tag = tag_bytes(cases);
    let most = cases.iter().filter_map(|case| case.ty.as_ref()).map(layout);
    let (size, align) = most.fold((0, 1), |(size, align), (more, other)| (size.max(more), align.max(other)));
    (tag.next_multiple_of(align), size, align.max(tag))
}

/// How many core values stand for a type.
fn flat(ty: &Type) -> usize {
    match ty {
        Type::Text | Type::List(_) => 2,
        Type::Record(fields) => fields.iter().map(flat).sum(),
        Type::Variant(cases) => 1 + cases.iter().filter_map(|case| case.ty.as_ref()).map(flat).max().unwrap_or(0),
        _ => 1,
    }
}

/// # Safety
/// `len` bytes from `at` on are the caller's, and stay what they are for the time of the call.
unsafe fn memory(at: u32, len: usize) -> &'static [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(at as usize as *const u8, len) }
}

fn number(at: u32, bytes: usize) -> u64 {
    let mut word = [0; 8];
    // SAFETY: the canonical ABI has put a value of this size there.
    word[..bytes].copy_from_slice(unsafe { memory(at, bytes) });
    u64::from_le_bytes(word)
}

/// A value of which everything but lists and texts is in a few core values, each in eight bytes.
pub fn from_flat(ty: &Type, slots: &mut &[u64]) -> Option<Value> {
    let mut next = || {
        let (first, rest) = slots.split_first()?;
        *slots = rest;
        Some(*first)
    };
    Some(match ty {
        Type::Text | Type::List(_) => {
            let (at, len) = (next()?, next()?);
            list(ty, at as u32, len as u32)?
        }
        Type::Record(fields) => {
            Value::Record(fields.iter().map(|field| from_flat(field, slots)).collect::<Option<_>>()?)
        }
        Type::Variant(cases) => {
            let number = next()? as u32;
            let case = cases.get(number as usize)?;
            let (mut inside, rest) = slots.split_at_checked(flat(ty) - 1)?;
            *slots = rest;
            let value = match &case.ty {
                Some(ty) => Some(Box::new(from_flat(ty, &mut inside)?)),
                None => None,
            };
            Value::Variant(number, case.name.clone(), value)
        }
        _ => scalar(ty, next()?)?,
    })
}

/// A value in memory.
pub fn from_memory(ty: &Type, at: u32) -> Option<Value> {
    Some(match ty {
        Type::Text | Type::List(_) => list(ty, number(at, 4) as u32, number(at + 4, 4) as u32)?,
        Type::Record(fields) => {
            let mut end = at as usize;
            let mut values = Vec::new();
            for field in fields {
                let (size, align) = layout(field);
                let start = end.next_multiple_of(align);
                values.push(from_memory(field, start as u32)?);
                end = start + size;
            }
            Value::Record(values)
        }
        Type::Variant(cases) => {
            let tag = number(at, tag_bytes(cases)) as u32;
            let case = cases.get(tag as usize)?;
            let inside = at + variant_layout(cases).0 as u32;
            let value = match &case.ty {
                Some(ty) => Some(Box::new(from_memory(ty, inside)?)),
                None => None,
            };
            Value::Variant(tag, case.name.clone(), value)
        }
        _ => scalar(ty, number(at, layout(ty).0))?,
    })
}

fn scalar(ty: &Type, bits: u64) -> Option<Value> {
    Some(match ty {
        Type::Bool => Value::Bool(bits as u32 != 0),
        Type::Unsigned(bytes) => Value::Unsigned(bits & (u64::MAX >> (64 - 8 * u32::from(*bytes)))),
        Type::Signed(bytes) => {
            let unused = 64 - 8 * u32::from(*bytes);
            Value::Signed(((bits << unused) as i64) >> unused)
        }
        Type::F32 => Value::F32(f32::from_bits(bits as u32)),
        Type::F64 => Value::F64(f64::from_bits(bits)),
        Type::Char => Value::Char(char::from_u32(bits as u32)?),
        Type::Stream | Type::Input | Type::Output => Value::Handle(bits as u32),
        Type::Flags(names) => {
            let set = names.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
            Value::Flags(set.map(|(_, name)| name.clone()).collect())
        }
        _ => return None,
    })
}

fn list(ty: &Type, at: u32, len: u32) -> Option<Value> {
    Some(match ty {
        // SAFETY: the caller has put the list there, and frees it after the call.
        Type::Text => Value::Text(core::str::from_utf8(unsafe { memory(at, len as usize) }).ok()?),
        // SAFETY: the same.
        ty if ty.is_bytes() => Value::Bytes(unsafe { memory(at, len as usize) }),
        Type::List(item) => {
            let size = layout(item).0 as u32;
            Value::List((0..len).map(|index| from_memory(item, at + index * size)).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A block of memory that lives until the call is over and its result was read.
fn block(len: usize) -> &'static mut [u8] {
    // Eight bytes apart, so that any type can begin there.
    let words: Vec<u64> = alloc::vec![0; len.div_ceil(8)];
    let start = words.leak().as_mut_ptr().cast::<u8>();
    // SAFETY: these are the bytes of the words, which nobody else has.
    unsafe { slice::from_raw_parts_mut(start, len) }
}

/// Writes a value into memory of its own and gives the address.
pub fn to_memory(ty: &Type, value: &Value) -> Option<u32> {
    let out = block(layout(ty).0);
    let at = out.as_ptr() as u32;
    put(ty, value, out)?;
    Some(at)
}

fn put(ty: &Type, value: &Value, out: &mut [u8]) -> Option<()> {
    let mut word =
        |bits: u64, bytes: usize| out.get_mut(..bytes).map(|to| to.copy_from_slice(&bits.to_le_bytes()[..bytes]));
    match (ty, value) {
        (Type::Bool, Value::Bool(value)) => word(u64::from(*value), 1),
        (Type::Unsigned(bytes), Value::Unsigned(value)) => word(*value, usize::from(*bytes)),
        (Type::Stream, Value::Handle(handle)) => word(u64::from(*handle), 4),
        (Type::Text, Value::Text(text)) => put_list(text.as_bytes(), out),
        (ty, Value::Bytes(bytes)) if ty.is_bytes() => put_list(bytes, out),
        (Type::List(item), Value::List(items)) => {
            let size = layout(item).0;
            let all = block(size * items.len());
            for (to, value) in all.chunks_exact_mut(size.max(1)).zip(items) {
                put(item, value, to)?;
            }
            put_span(all.as_ptr() as u32, items.len() as u32, out)
        }
        (Type::Record(fields), Value::Record(values)) => {
            let mut end = 0;
            for (field, value) in fields.iter().zip(values) {
                let (size, align) = layout(field);
                let start = usize::next_multiple_of(end, align);
                put(field, value, out.get_mut(start..start + size)?)?;
                end = start + size;
            }
            Some(())
        }
        (Type::Variant(cases), Value::Variant(number, _, inside)) => {
            word(u64::from(*number), tag_bytes(cases))?;
            match (&cases.get(*number as usize)?.ty, inside) {
                (Some(ty), Some(inside)) => put(ty, inside, out.get_mut(variant_layout(cases).0..)?),
                _ => Some(()),
            }
        }
        _ => None,
    }
}

/// A value as a few core values, each in eight bytes; lists and texts are in memory of their own. Only types that a
/// function gives at once or a result is made of.
pub fn to_flat(ty: &Type, value: &Value, out: &mut Vec<u64>) -> Option<()> {
    match (ty, value) {
        (Type::Bool, Value::Bool(value)) => out.push(u64::from(*value)),
        (Type::Unsigned(_), Value::Unsigned(value)) => out.push(*value),
        (Type::Stream, Value::Handle(handle)) => out.push(u64::from(*handle)),
        (Type::Text, Value::Text(text)) => out.extend([text.as_ptr() as u64, text.len() as u64]),
        (ty, Value::Bytes(bytes)) if ty.is_bytes() => out.extend([bytes.as_ptr() as u64, bytes.len() as u64]),
        (Type::List(_), Value::List(items)) => {
            let mut span = [0; 8];
            put(ty, value, &mut span)?;
            let at = u32::from_le_bytes([span[0], span[1], span[2], span[3]]);
            out.extend([u64::from(at), items.len() as u64]);
        }
        (Type::Record(fields), Value::Record(values)) => {
            for (field, value) in fields.iter().zip(values) {
                to_flat(field, value, out)?;
            }
        }
        (Type::Variant(cases), Value::Variant(number, _, inside)) => {
            let end = out.len() + flat(ty);
            out.push(u64::from(*number));
            if let (Some(ty), Some(inside)) = (&cases.get(*number as usize)?.ty, inside) {
                to_flat(ty, inside, out)?;
            }
            out.resize(end, 0);
        }
        _ => return None,
    }
    Some(())
}

fn put_list(bytes: &'static [u8], out: &mut [u8]) -> Option<()> {
    put_span(bytes.as_ptr() as u32, bytes.len() as u32, out)
}

fn put_span(at: u32, len: u32, out: &mut [u8]) -> Option<()> {
    out.get_mut(..4)?.copy_from_slice(&at.to_le_bytes());
    out.get_mut(4..8)?.copy_from_slice(&len.to_le_bytes());
    Some(())
}
