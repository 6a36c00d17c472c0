//! Components whose instances put themselves back for the next call, for a host that uses each instance once.
//!
//! Such a module copies its segments when it starts, because they are needed again. Here none is: as active segments
//! the same bytes are mapped, and an instance costs what it touches. The module says by the custom section
//! [`ONCE`] that this is what its start function does, and that the function behind it is called for a second use
//! only. That is taken at its word only so far that no other code comes in by it: segments change their kind, and both
//! functions become empty.

use std::collections::HashMap;
use std::ops::Range;
use wasmparser::{FunctionBody, Operator, Parser, Payload};
use weir_vfs::lift::ONCE;

const CUSTOM: u8 = 0;
const START: u8 = 8;
const ELEMENTS: u8 = 9;
const CODE: u8 = 10;
const DATA: u8 = 11;
/// A body of no locals that only traps, with its size in front.
const UNREACHABLE: [u8; 4] = [3, 0, 0, 0x0b];

/// The same component for instances of one use each; `None` if it is one already, or not what it says.
pub fn for_one_use(component: &[u8]) -> Option<Vec<u8>> {
    let mut out = component.get(..8)?.to_vec();
    let (mut depth, mut changed) = (0, false);
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.ok()?;
        if depth == 0
            && let Some((id, range)) = payload.as_section()
        {
            let bytes = component.get(range)?;
            let once = if matches!(payload, Payload::ModuleSection { .. }) { module(bytes) } else { None };
            changed |= once.is_some();
            section(&mut out, id, once.as_deref().unwrap_or(bytes));
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    changed.then_some(out)
}

fn section(out: &mut Vec<u8>, id: u8, bytes: &[u8]) {
    out.push(id);
    number(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// LEB128.
fn number(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        out.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return;
        }
    }
}

/// What a module has, as far as it matters here.
#[derive(Default)]
struct Found<'a> {
    marked: bool,
    sections: Vec<(u8, Range<usize>)>,
    imported: u32,
    start: Option<u32>,
    bodies: Vec<FunctionBody<'a>>,
    elements: Vec<Range<usize>>,
    data: Vec<Range<usize>>,
}

impl<'a> Found<'a> {
    fn of(module: &'a [u8]) -> Option<Self> {
        let mut found = Found::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.ok()?;
            let at = payload.as_section();
            match payload {
                Payload::CustomSection(custom) if custom.name() == ONCE => {
                    found.marked = true;
                    continue;
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        found.imported += u32::from(matches!(import.ok()?.ty, wasmparser::TypeRef::Func(_)));
                    }
                }
                Payload::StartSection { func, .. } => {
                    found.start = Some(func);
                    continue;
                }
                Payload::ElementSection(section) => {
                    found.elements = section.into_iter().map(|item| Some(item.ok()?.range)).collect::<Option<_>>()?;
                }
                Payload::DataSection(section) => {
                    found.data = section.into_iter().map(|item| Some(item.ok()?.range)).collect::<Option<_>>()?;
                }
                Payload::CodeSectionEntry(body) => {
                    found.bodies.push(body);
                    continue;
                }
                _ => {}
            }
            found.sections.extend(at);
        }
        found.marked.then_some(found)
    }

    /// The number of the start function's body.
    fn begin(&self) -> Option<usize> {
        self.start?.checked_sub(self.imported).map(|body| body as usize)
    }
}

/// What the start function does.
#[derive(Default)]
struct Beginning {
    /// The active heads of segments: kind, memory or table, and the constant where they go.
    data: HashMap<u32, Vec<u8>>,
    elements: HashMap<u32, Vec<u8>>,
    /// The program's own start function.
    start: Option<u32>,
}

impl Beginning {
    fn of(body: &FunctionBody<'_>, module: &[u8]) -> Option<Self> {
        let mut all = Beginning::default();
        let mut from = body.get_binary_reader_for_operators().ok()?.original_position();
        let mut reader = body.get_operators_reader().ok()?;
        // Where the last two operators begin: they are the segment's offset, zero, and length.
        let mut last = [from; 2];
        while !reader.eof() {
            let at = reader.original_position();
            let head = |kind: u8, index: u32| {
                let mut head = vec![kind];
                number(&mut head, index as usize);
                head.extend_from_slice(module.get(from..last[0])?);
                head.push(END);
                Some(head)
            };
            match reader.read().ok()? {
                Operator::MemoryInit { data_index, mem } => {
                    all.data.insert(data_index, head(2, mem)?);
                    from = reader.original_position();
                }
                Operator::TableInit { elem_index, table } => {
                    all.elements.insert(elem_index, head(ACTIVE_ELEMENTS, table)?);
                    from = reader.original_position();
                }
                Operator::Call { function_index } => {
                    all.start = Some(function_index);
                    from = reader.original_position();
                }
                _ => {}
            }
            last = [last[1], at];
        }
        Some(all)
    }
}

/// The opcode of `end`.
const END: u8 = 0x0b;
/// What the kind of a passive segment of elements, 1 or 5, becomes with a table: 2 or 6.
const ACTIVE_ELEMENTS: u8 = 1;

fn module(module: &[u8]) -> Option<Vec<u8>> {
    let found = Found::of(module)?;
    let begin = found.begin()?;
    let beginning = Beginning::of(found.bodies.get(begin)?, module)?;
    let mut out = module.get(..8)?.to_vec();
    let mut started = false;
    for (id, range) in &found.sections {
        // Where the start section is: behind the exports.
        if *id > 7 && *id != 13 && !started {
            started = true;
            if let Some(function) = beginning.start {
                let mut bytes = Vec::new();
                number(&mut bytes, function as usize);
                section(&mut out, START, &bytes);
            }
        }
        match *id {
            CUSTOM => section(&mut out, CUSTOM, module.get(range.clone())?),
            ELEMENTS => items(&mut out, ELEMENTS, &found.elements, &beginning.elements, module)?,
            DATA => items(&mut out, DATA, &found.data, &beginning.data, module)?,
            CODE => code(&mut out, &found.bodies, begin, module)?,
            id => section(&mut out, id, module.get(range.clone())?),
        }
    }
    Some(out)
}

/// Segments; those that have a head are passive, one byte before their contents, and get it.
fn items(
    out: &mut Vec<u8>,
    id: u8,
    items: &[Range<usize>],
    heads: &HashMap<u32, Vec<u8>>,
    module: &[u8],
) -> Option<()> {
    let mut bytes = Vec::new();
    number(&mut bytes, items.len());
    for (index, range) in items.iter().enumerate() {
        let item = module.get(range.clone())?;
        let (kind, rest) = item.split_first()?;
        match heads.get(&(index as u32)) {
            // Another kind is no passive segment.
            Some(_) if !matches!(kind, 1 | 5) => return None,
            Some(head) => {
                let (first, head) = head.split_first()?;
                bytes.push(if id == ELEMENTS { first + kind } else { *first });
                bytes.extend_from_slice(head);
                bytes.extend_from_slice(rest);
            }
            None => bytes.extend_from_slice(item),
        }
    }
    section(out, id, &bytes);
    Some(())
}

/// The code without what the two functions do.
fn code(out: &mut Vec<u8>, bodies: &[FunctionBody<'_>], begin: usize, module: &[u8]) -> Option<()> {
    let mut bytes = Vec::new();
    number(&mut bytes, bodies.len());
    for (index, body) in bodies.iter().enumerate() {
        if index == begin || index == begin + 1 {
            bytes.extend_from_slice(&UNREACHABLE);
        } else {
            let body = module.get(body.range())?;
            number(&mut bytes, body.len());
            bytes.extend_from_slice(body);
        }
    }
    section(out, CODE, &bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::for_one_use;
    use wasmparser::{DataKind, ElementKind, Parser, Payload, Validator, WasmFeatures};

    /// A module as linking leaves it: segments of every kind, a start function of its own behind the beginning.
    const MARKED: &str = r#"(component (core module
      (memory 1) (memory 1)
      (table 4 funcref) (table 2 funcref)
      (data "abc") (data "de") (data "kept")
      (elem func $own) (elem funcref (ref.func $own)) (elem declare func $own)
      (func $own)
      (func $begin
        (table.init 0 0 (i32.const 1) (i32.const 0) (i32.const 1))
        (table.init 1 1 (i32.const 0) (i32.const 0) (i32.const 1))
        (memory.init 0 (i32.const 8) (i32.const 0) (i32.const 3))
        (memory.init 1 1 (i32.add (i32.const 4) (i32.const 4)) (i32.const 0) (i32.const 2))
        (call $own))
      (func $restart (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)))
      (start $begin)
      (@custom "weir:once" "")))"#;

    #[test]
    fn segments_become_active_and_the_two_functions_empty() {
        let component = wat::parse_str(MARKED).unwrap();
        let once = for_one_use(&component).unwrap();
        Validator::new_with_features(WasmFeatures::all()).validate_all(&once).unwrap();
        let (mut data, mut elements, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(&once) {
            match payload.unwrap() {
                Payload::StartSection { func, .. } => assert_eq!(func, 0, "the program's own"),
                Payload::DataSection(section) => {
                    data.extend(section.into_iter().map(|item| match item.unwrap().kind {
                        DataKind::Active { memory_index, .. } => Some(memory_index),
                        DataKind::Passive => None,
                    }))
                }
                Payload::ElementSection(section) => {
                    elements.extend(section.into_iter().map(|item| match item.unwrap().kind {
                        ElementKind::Active { table_index, .. } => table_index,
                        _ => None,
                    }))
                }
                Payload::CodeSectionEntry(body) => bodies.push(body.range().len()),
                _ => {}
            }
        }
        assert_eq!(data, [Some(0), Some(1), None]);
        assert_eq!(elements, [Some(0), Some(1), None]);
        assert_eq!(bodies[1..], [3, 3]);
    }

    #[test]
    fn what_is_not_marked_stays_and_damage_is_survived() {
        let plain = wat::parse_str(MARKED.replace("weir:once", "weir:none")).unwrap();
        assert_eq!(for_one_use(&plain), None);
        let component = wat::parse_str(MARKED).unwrap();
        for at in 0..component.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = component.clone();
                damaged[at] ^= flip;
                let _ = for_one_use(&damaged);
            }
            let _ = for_one_use(&component[..at]);
        }
    }
}
