//! The way back from a pack to the very program it was made from.
//!
//! Linking changes little of a program: function indices in its code, and sections that are written
//! anew. So a pack does not hold its program twice. It keeps a record of pieces: ranges that stand in the
//! pack unchanged, code that is copied back with the old function indices, and literal bytes for the
//! rest (mostly names and debug information), compressed. Whether the record gives back the program is
//! tried when the pack is made; function bodies that do not come out right are kept literally.

use super::error::PackError;
use crate::code::{Copier, Renumber};
use crate::error::LinkError;
use crate::index::IndexMap;
use crate::limits;
use crate::module::{Custom, Module};
use std::collections::HashMap;
use wasm_encoder::Encode;
use wasmparser::{BinaryReader, FunctionBody};

/// The level at which literal bytes are compressed.
const LEVEL: i32 = 19;
/// Unchanged ranges shorter than this are kept literally.
const RANGE_BYTES_MIN: usize = 64;
/// The version of the record.
const VERSION: u64 = 1;

/// A piece of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// These bytes.
    Literal(usize),
    /// A range of the pack.
    Range { offset: usize, len: usize },
    /// The next so many function bodies of the pack, with the old indices.
    Bodies(usize),
    /// One function body, literally: it does not come out right otherwise.
    Body(usize),
}

/// Old indices of functions by new ones.
struct Inverse {
    imports: HashMap<u32, u32>,
    defined_now: u32,
    defined_then: u32,
    count: u32,
}

impl Inverse {
    fn of(functions: &IndexMap) -> Self {
        let mut imports = HashMap::new();
        for (old, new) in functions.imports().enumerate() {
            imports.entry(new).or_insert(old as u32);
        }
        let defined_then = functions.imports().len() as u32;
        Self { imports, defined_now: functions.defined(), defined_then, count: functions.count() }
    }
}

impl Renumber for Inverse {
    fn renumber(&self, function: u32) -> Option<u32> {
        let defined = self.count.checked_sub(self.defined_then)?;
        match function.checked_sub(self.defined_now) {
            Some(at) if at < defined => self.defined_then.checked_add(at),
            _ => self.imports.get(&function).copied(),
        }
    }

    fn count(&self) -> u32 {
        u32::MAX
    }
}

/// The record for getting `program` back out of `linked`.
pub(super) fn record(program: &[u8], linked: &[u8], functions: &IndexMap) -> Result<Vec<u8>, LinkError> {
    let (old, new) = (Module::parse(program)?, Module::parse(linked)?);
    let inverse = Inverse::of(functions);
    let mut recorder = Recorder { program, linked, at: 0, pieces: Vec::new(), literals: Vec::new(), inverse: &inverse };
    recorder.everything(&old, &new)?;
    let Recorder { pieces, literals, .. } = recorder;
    let mut out = Vec::new();
    VERSION.encode(&mut out);
    (program.len() as u64).encode(&mut out);
    functions.imports().len().encode(&mut out);
    functions.imports().for_each(|import| import.encode(&mut out));
    functions.defined().encode(&mut out);
    functions.count().encode(&mut out);
    (pieces.len() as u64).encode(&mut out);
    pieces.iter().for_each(|piece| encode_piece(piece, &mut out));
    (literals.len() as u64).encode(&mut out);
    out.extend_from_slice(&compress(&literals, dictionary(&new))?);
    Ok(out)
}

/// Names are alike before and after linking, so those after serve as a dictionary for those before.
fn dictionary<'a>(linked: &Module<'a>) -> &'a [u8] {
    let names = linked.customs.iter().rfind(|custom| custom.reader.name() == "name");
    names.map_or(&[], |custom| custom.reader.data())
}

fn compress(bytes: &[u8], dictionary: &[u8]) -> Result<Vec<u8>, LinkError> {
    let failed = |error: std::io::Error| LinkError::shim(format!("the program's own bytes cannot be kept: {error}"));
    // Beyond this a dictionary does not fit into the window of the level.
    let dictionary = &dictionary[..dictionary.len().min(4 << 20)];
    zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary)
        .and_then(|mut compressor| compressor.compress(bytes))
        .map_err(failed)
}

fn decompress(bytes: &[u8], dictionary: &[u8], size: usize) -> Result<Vec<u8>, PackError> {
    let dictionary = &dictionary[..dictionary.len().min(4 << 20)];
    let bytes = zstd::bulk::Decompressor::with_dictionary(dictionary)
        .and_then(|mut decompressor| decompressor.decompress(bytes, size))
        .map_err(PackError::damaged)?;
    if bytes.len() == size { Ok(bytes) } else { Err(PackError::damaged("its program is incomplete")) }
}

struct Recorder<'a> {
    program: &'a [u8],
    linked: &'a [u8],
    at: usize,
    pieces: Vec<Piece>,
    literals: Vec<u8>,
    inverse: &'a Inverse,
}

impl<'a> Recorder<'a> {
    fn everything(&mut self, old: &Module<'a>, new: &Module<'a>) -> Result<(), LinkError> {
        // What can be long and stays as it is, in the order of the program.
        let mut ranges = vec![(old.type_items.range.clone(), Some(new.type_items.range.start))];
        ranges.push((old.function_items.range.clone(), Some(new.function_items.range.start)));
        ranges.push((old.data_items.range.clone(), Some(new.data_items.range.start)));
        for custom in &old.customs {
            let same = new.customs.iter().find(|other| other.reader.data() == custom.reader.data());
            ranges.push((data_range(custom), same.map(|other| data_range(other).start)));
        }
        ranges.push((old.code.range.clone(), None));
        ranges.sort_by_key(|(range, _)| range.start);
        for (range, place) in ranges {
            if range.start < self.at || range.is_empty() {
                continue;
            }
            self.literal(range.start);
            match place {
                None if range == old.code.range => self.code(old, new)?,
                Some(offset) if self.same(range.clone(), offset) => {
                    self.pieces.push(Piece::Range { offset, len: range.len() });
                }
                _ => self.literal(range.end),
            }
            self.at = range.end;
        }
        self.literal(self.program.len());
        Ok(())
    }

    fn same(&self, range: core::ops::Range<usize>, offset: usize) -> bool {
        range.len() >= RANGE_BYTES_MIN && self.linked.get(offset..offset + range.len()) == self.program.get(range)
    }

    fn literal(&mut self, end: usize) {
        let bytes = self.program.get(self.at..end).unwrap_or(&[]);
        if !bytes.is_empty() {
            self.literals.extend_from_slice(bytes);
            match self.pieces.last_mut() {
                Some(Piece::Literal(len)) => *len += bytes.len(),
                _ => self.pieces.push(Piece::Literal(bytes.len())),
            }
        }
        self.at = end;
    }

    /// The bodies: the pack has those of the program first, in the same order.
    fn code(&mut self, old: &Module<'a>, new: &Module<'a>) -> Result<(), LinkError> {
        let mut copier = Copier::new(self.linked, new.counts, self.inverse);
        let mut restored = Vec::new();
        // The count of the section stands before the first body.
        let count = self.program.get(old.code.range.start..).unwrap_or(&[]);
        let count_bytes = count.iter().position(|byte| byte & 0x80 == 0).map_or(0, |last| last + 1);
        self.literal(old.code.range.start + count_bytes);
        for (theirs, ours) in old.bodies()?.zip(new.bodies()?) {
            let stop = theirs?.range().end;
            // With its size in front.
            let body = self.program.get(self.at..stop).unwrap_or(&[]);
            restored.clear();
            if copier.body(&ours?, &mut restored).is_ok() && body == restored {
                match self.pieces.last_mut() {
                    Some(Piece::Bodies(count)) => *count += 1,
                    _ => self.pieces.push(Piece::Bodies(1)),
                }
            } else {
                self.literals.extend_from_slice(body);
                self.pieces.push(Piece::Body(body.len()));
            }
            self.at = stop;
        }
        self.literal(old.code.range.end);
        Ok(())
    }
}

fn data_range(custom: &Custom<'_>) -> core::ops::Range<usize> {
    let end = custom.reader.range().end;
    end.saturating_sub(custom.reader.data().len())..end
}

fn encode_piece(piece: &Piece, out: &mut Vec<u8>) {
    let (tag, numbers): (u8, &[usize]) = match piece {
        Piece::Literal(len) => (0, &[*len]),
        Piece::Range { offset, len } => (1, &[*offset, *len]),
        Piece::Bodies(count) => (2, &[*count]),
        Piece::Body(len) => (3, &[*len]),
    };
    out.push(tag);
    numbers.iter().for_each(|number| (*number as u64).encode(out));
}

/// Gets the program back out of `linked`.
///
/// # Errors
/// The record is damaged, or belongs to another pack.
pub(super) fn restore(linked: &[u8], record: &[u8]) -> Result<Vec<u8>, PackError> {
    let new = Module::parse(linked).map_err(PackError::damaged)?;
    let mut from = Reader(record);
    if from.number()? != VERSION as usize {
        return Err(PackError::damaged("its program was kept by another version of weir"));
    }
    let program_bytes = from.number()?;
    if program_bytes as u64 > limits::PROGRAM_BYTES_MAX {
        return Err(PackError::damaged("its program is too large"));
    }
    let functions = from.functions()?;
    let inverse = Inverse::of(&functions);
    let mut pieces = Vec::new();
    for _ in 0..from.number()? {
        pieces.push(from.piece()?);
    }
    let literal_bytes = from.number()?;
    if literal_bytes > program_bytes {
        return Err(PackError::damaged("its program has more pieces than bytes"));
    }
    let literals = decompress(from.0, dictionary(&new), literal_bytes)?;
    let mut copier = Copier::new(linked, new.counts, &inverse);
    let mut bodies = new.bodies().map_err(PackError::damaged)?;
    let (mut out, mut literals) = (Vec::new(), Reader(&literals));
    for piece in pieces {
        match piece {
            Piece::Literal(len) => out.extend_from_slice(literals.take(len)?),
            Piece::Range { offset, len } => {
                let end = offset.checked_add(len);
                let range = end.and_then(|end| linked.get(offset..end));
                out.extend_from_slice(range.ok_or_else(|| PackError::damaged("a piece of its program is missing"))?);
            }
            Piece::Bodies(count) => {
                for _ in 0..count {
                    let body = next_body(&mut bodies)?;
                    copier.body(&body, &mut out).map_err(PackError::damaged)?;
                }
            }
            Piece::Body(len) => {
                next_body(&mut bodies)?;
                out.extend_from_slice(literals.take(len)?);
            }
        }
        if out.len() > program_bytes {
            break;
        }
    }
    if out.len() == program_bytes { Ok(out) } else { Err(PackError::damaged("its program has the wrong length")) }
}

fn next_body<'a>(
    bodies: &mut impl Iterator<Item = Result<FunctionBody<'a>, LinkError>>,
) -> Result<FunctionBody<'a>, PackError> {
    let body = bodies.next().ok_or_else(|| PackError::damaged("a function of its program is missing"))?;
    body.map_err(PackError::damaged)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], PackError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(|| PackError::damaged("its record ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<usize, PackError> {
        let mut reader = BinaryReader::new(self.0, 0);
        let number = reader.read_var_u64().map_err(PackError::damaged)?;
        self.0 = self.0.get(reader.original_position()..).unwrap_or(&[]);
        usize::try_from(number).map_err(PackError::damaged)
    }

    fn index(&mut self) -> Result<u32, PackError> {
        u32::try_from(self.number()?).map_err(PackError::damaged)
    }

    fn functions(&mut self) -> Result<IndexMap, PackError> {
        let mut imports = Vec::new();
        for _ in 0..self.number()? {
            imports.push(self.index()?);
        }
        Ok(IndexMap::whole(imports, self.index()?, self.index()?))
    }

    fn piece(&mut self) -> Result<Piece, PackError> {
        Ok(match self.take(1)? {
            [0] => Piece::Literal(self.number()?),
            [1] => Piece::Range { offset: self.number()?, len: self.number()? },
            [2] => Piece::Bodies(self.number()?),
            [3] => Piece::Body(self.number()?),
            _ => return Err(PackError::damaged("a piece of its program is of no known kind")),
        })
    }
}
