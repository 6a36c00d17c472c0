//! A core module taken apart as far as linking and inspecting need it.
//!
//! Sections that are copied stay byte ranges; only what carries indices is read. Nothing is
//! allocated by a count that the module claims: vectors grow with the items that are really there.

use crate::error::{LinkError, LinkErrorKind};
use crate::limits;
use crate::p1::Signature;
use core::ops::Range;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasmparser::{
    BinaryReader, CodeSectionReader, CompositeInnerType, CustomSectionReader, Data, Element, Encoding, Export,
    FromReader, FuncType, FunctionBody, Global, Import, MemoryType, Parser, Payload, RecGroup, SectionLimited, Table,
    TagType, TypeRef,
};

/// How many there are of everything that has an index. Imports are included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub types: u32,
    pub functions: u32,
    pub tables: u32,
    pub memories: u32,
    pub globals: u32,
    pub tags: u32,
    pub elements: u32,
    pub data: u32,
}

/// One entry of the type index space.
#[derive(Clone, Debug)]
pub(crate) struct TypeEntry {
    /// The function type, if it is one.
    pub func: Option<FuncType>,
    /// Whether the type is a final function type on its own, which equals every other type of the
    /// same signature. Types in groups, with supertypes or open to subtypes are told apart by name.
    pub plain: bool,
}

/// The items of a section as bytes, without the count before them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawItems {
    pub count: u32,
    pub range: Range<usize>,
}

/// A custom section and where it was.
#[derive(Clone)]
pub(crate) struct Custom<'a> {
    /// The place in [`ORDER`] of the last known section before it, plus one.
    pub rank: usize,
    pub reader: CustomSectionReader<'a>,
}

/// The ids of the known sections in the order in which they have to come.
pub(crate) const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// A core module.
pub(crate) struct Module<'a> {
    pub bytes: &'a [u8],
    pub counts: Counts,
    /// How many of each are imported.
    pub imported: Counts,
    pub types: Vec<TypeEntry>,
    pub type_items: RawItems,
    /// Imports with the byte where each begins; compact groups are taken apart.
    pub imports: Vec<(usize, Import<'a>)>,
    /// The type index of every function, imports first.
    pub functions: Vec<u32>,
    pub function_items: RawItems,
    pub tables: Vec<Table<'a>>,
    /// The type of every memory, imports first.
    pub memories: Vec<MemoryType>,
    pub tags: Vec<TagType>,
    pub globals: Vec<Global<'a>>,
    pub exports: Vec<Export<'a>>,
    pub start: Option<u32>,
    pub elements: Vec<Element<'a>>,
    pub data_count: Option<u32>,
    pub code: RawItems,
    pub data_items: RawItems,
    pub customs: Vec<Custom<'a>>,
}

impl<'a> Module<'a> {
    /// Takes a module apart.
    ///
    /// # Errors
    ///
    /// The module is damaged, or it is a component. Function bodies are not looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Module<'a>, LinkError> {
        let mut module = Module::empty(bytes);
        let mut rank = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(LinkError::parse)?;
            if let Some((id, _)) = payload.as_section()
                && let Some(at) = ORDER.iter().position(|known| *known == id)
            {
                rank = at + 1;
            }
            module.payload(payload, rank)?;
        }
        if module.code.count != module.function_items.count {
            let message =
                format!("{} functions are declared but {} have a body", module.function_items.count, module.code.count);
            return Err(LinkError::invalid(message, module.code.range.start));
        }
        Ok(module)
    }

    fn empty(bytes: &'a [u8]) -> Module<'a> {
        Module {
            bytes,
            counts: Counts::default(),
            imported: Counts::default(),
            types: Vec::new(),
            type_items: RawItems::default(),
            imports: Vec::new(),
            functions: Vec::new(),
            function_items: RawItems::default(),
            tables: Vec::new(),
            memories: Vec::new(),
            tags: Vec::new(),
            globals: Vec::new(),
            exports: Vec::new(),
            start: None,
            elements: Vec::new(),
            data_count: None,
            code: RawItems::default(),
            data_items: RawItems::default(),
            customs: Vec::new(),
        }
    }

    fn payload(&mut self, payload: Payload<'a>, rank: usize) -> Result<(), LinkError> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } | Payload::End(_) | Payload::CodeSectionEntry(_) => {}
            Payload::Version { .. } => {
                return Err(LinkError::new(LinkErrorKind::IsComponent));
            }
            Payload::TypeSection(section) => self.type_section(section)?,
            Payload::ImportSection(section) => {
                for import in section.into_imports_with_offsets() {
                    let (offset, import) = import.map_err(LinkError::parse)?;
                    self.import(offset, import);
                    limits::check("imports", self.imports.len(), limits::IMPORTS_MAX)?;
                }
            }
            Payload::FunctionSection(section) => {
                self.function_items = raw(&section);
                self.functions.append(&mut items(section, "functions", limits::FUNCTIONS_MAX)?);
                self.counts.functions = length(&self.functions);
            }
            Payload::TableSection(section) => {
                self.tables = items(section, "tables", limits::TABLES_MAX)?;
                self.counts.tables += length(&self.tables);
            }
            Payload::MemorySection(section) => {
                self.memories.append(&mut items(section, "memories", limits::MEMORIES_MAX)?);
                self.counts.memories = length(&self.memories);
            }
            Payload::TagSection(section) => {
                self.tags = items(section, "tags", limits::TAGS_MAX)?;
                self.counts.tags += length(&self.tags);
            }
            Payload::GlobalSection(section) => {
                self.globals = items(section, "globals", limits::GLOBALS_MAX)?;
                self.counts.globals += length(&self.globals);
            }
            Payload::ExportSection(section) => self.exports = items(section, "exports", limits::EXPORTS_MAX)?,
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ElementSection(section) => {
                self.elements = items(section, "element segments", limits::ELEMENT_SEGMENTS_MAX)?;
                self.counts.elements = length(&self.elements);
            }
            Payload::DataCountSection { count, .. } => self.data_count = Some(count),
            Payload::CodeSectionStart { range, count, .. } => self.code = RawItems { count, range },
            Payload::DataSection(section) => {
                limits::check("data segments", section.count() as usize, limits::DATA_SEGMENTS_MAX)?;
                self.data_items = raw(&section);
                self.counts.data = section.count();
            }
            Payload::CustomSection(reader) => {
                self.customs.push(Custom { rank, reader });
                limits::check("custom sections", self.customs.len(), limits::CUSTOM_SECTIONS_MAX)?;
            }
            other => {
                let (id, range) = other.as_section().unwrap_or((0, 0..0));
                return Err(LinkError::invalid(format!("a section of unknown kind {id}"), range.start));
            }
        }
        Ok(())
    }

    fn type_section(&mut self, section: SectionLimited<'a, RecGroup>) -> Result<(), LinkError> {
        self.type_items = raw(&section);
        for group in section {
            let group = group.map_err(LinkError::parse)?;
            limits::check("types", self.types.len() + group.types().len(), limits::TYPES_MAX)?;
            let grouped = group.is_explicit_rec_group() && group.types().len() != 1;
            for ty in group.into_types() {
                let composite = &ty.composite_type;
                let bare = composite.descriptor_idx.is_none() && composite.describes_idx.is_none();
                let plain = !grouped && ty.is_final && ty.supertype_idx.is_none() && !composite.shared && bare;
                let func = match ty.composite_type.inner {
                    CompositeInnerType::Func(func) => Some(func),
                    _ => None,
                };
                self.types.push(TypeEntry { plain: plain && func.is_some(), func });
            }
        }
        self.counts.types = length(&self.types);
        Ok(())
    }

    fn import(&mut self, offset: usize, import: Import<'a>) {
        match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.functions.push(ty);
                self.counts.functions += 1;
                self.imported.functions += 1;
            }
            TypeRef::Table(_) => {
                self.counts.tables += 1;
                self.imported.tables += 1;
            }
            TypeRef::Memory(ty) => {
                self.memories.push(ty);
                self.counts.memories += 1;
                self.imported.memories += 1;
            }
            TypeRef::Global(_) => {
                self.counts.globals += 1;
                self.imported.globals += 1;
            }
            TypeRef::Tag(_) => {
                self.counts.tags += 1;
                self.imported.tags += 1;
            }
        }
        self.imports.push((offset, import));
    }

    /// The function imports in index order.
    pub fn function_imports(&self) -> impl Iterator<Item = (usize, &Import<'a>, u32)> {
        self.imports.iter().filter_map(|(offset, import)| match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => Some((*offset, import, ty)),
            _ => None,
        })
    }

    /// The bodies of the defined functions, in order.
    pub fn bodies(&self) -> Result<impl Iterator<Item = Result<FunctionBody<'a>, LinkError>> + use<'a>, LinkError> {
        let range = self.code.range.clone();
        // A module without code has no section to read; one byte stands for "no entries".
        let (bytes, offset) = match self.bytes.get(range.clone()) {
            Some(bytes) if !range.is_empty() => (bytes, range.start),
            _ => (&[0][..], 0),
        };
        let reader = CodeSectionReader::new(BinaryReader::new(bytes, offset)).map_err(LinkError::parse)?;
        Ok(reader.into_iter().map(|body| body.map_err(LinkError::parse)))
    }

    /// The data segments, in order.
    pub fn data(&self) -> Result<impl Iterator<Item = Result<Data<'a>, LinkError>> + use<'a>, LinkError> {
        let bytes = self.bytes.get(self.data_items.range.clone()).unwrap_or(&[]);
        let mut reader = BinaryReader::new(bytes, self.data_items.range.start);
        let count = self.data_items.count;
        Ok((0..count).map(move |_| reader.read::<Data<'a>>().map_err(LinkError::parse)))
    }

    /// The signature of a type, if it is a plain function type of numbers.
    pub fn signature(&self, ty: u32) -> Option<Signature> {
        let entry = self.types.get(ty as usize).filter(|entry| entry.plain)?;
        signature_of(entry.func.as_ref()?)
    }

    /// The function type behind a function index.
    pub fn function_type(&self, function: u32) -> Option<&FuncType> {
        let ty = *self.functions.get(function as usize)?;
        self.types.get(ty as usize)?.func.as_ref()
    }

    /// A type as text, for error messages.
    pub fn type_text(&self, ty: u32) -> String {
        match self.types.get(ty as usize) {
            Some(TypeEntry { func: Some(func), plain }) => {
                let list = |types: &[wasmparser::ValType]| {
                    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                };
                let note = if *plain { "" } else { " (in a type group, with subtypes or shared)" };
                format!("({}) -> ({}){note}", list(func.params()), list(func.results()))
            }
            Some(_) => "that is not a function type".into(),
            None => format!("{ty} of {} types", self.types.len()),
        }
    }

    /// The raw bytes of items.
    pub fn raw(&self, items: &RawItems) -> &'a [u8] {
        self.bytes.get(items.range.clone()).unwrap_or(&[])
    }
}

/// Refuses what cannot be a core module, by its first bytes.
pub(crate) fn check_header(program: &[u8]) -> Result<(), LinkError> {
    if Parser::is_component(program) {
        return Err(LinkError::new(LinkErrorKind::IsComponent));
    }
    if !program.starts_with(b"\0asm") {
        let text = program.iter().take(64).find(|byte| !byte.is_ascii_whitespace());
        let looks_like = match (program, text) {
            ([], _) => "it is empty",
            ([0x7f, b'E', b'L', b'F', ..], _) => "it is an ELF file of the machine",
            ([0x1f, 0x8b, ..], _) => "it is compressed with gzip",
            ([b'P', b'K', ..], _) => "it is a zip archive",
            (_, Some(b'(' | b';')) => "it looks like WebAssembly text",
            _ => "its first bytes are something else",
        };
        return Err(LinkError::at(LinkErrorKind::NotWasm { looks_like }, 0));
    }
    limits::check("bytes", program.len(), limits::PROGRAM_BYTES_MAX)
}

/// Object files carry sections for a linker and have nothing to start. Programs linked with
/// `--emit-relocs` carry the same sections but export things; those sections are then dropped.
pub(crate) fn refuse_object_file(module: &Module<'_>) -> Result<(), LinkError> {
    let section = module.customs.iter().map(|custom| &custom.reader);
    let mut section = section.filter(|custom| custom.name() == "linking" || custom.name().starts_with("reloc."));
    let Some(found) = section.next() else { return Ok(()) };
    let object_memory = module.imports.iter().any(|(_, import)| {
        import.module == "env" && import.name == "__linear_memory" && matches!(import.ty, TypeRef::Memory(_))
    });
    if object_memory || module.exports.is_empty() {
        let kind = LinkErrorKind::ObjectFile { section: found.name().into() };
        return Err(LinkError::at(kind, found.range().start));
    }
    Ok(())
}

/// The signature of a function type of numbers and vectors; reference types have none.
pub(crate) fn signature_of(func: &FuncType) -> Option<Signature> {
    let convert = |types: &[wasmparser::ValType]| {
        types
            .iter()
            .map(|ty| match ty {
                wasmparser::ValType::Ref(_) => None,
                number => RoundtripReencoder.val_type(*number).ok(),
            })
            .collect::<Option<Vec<_>>>()
    };
    Some(Signature { params: convert(func.params())?, results: convert(func.results())? })
}

fn items<'a, T: FromReader<'a>>(
    section: SectionLimited<'a, T>,
    what: &'static str,
    count_max: u64,
) -> Result<Vec<T>, LinkError> {
    let mut all = Vec::new();
    for item in section {
        all.push(item.map_err(LinkError::parse)?);
        limits::check(what, all.len(), count_max)?;
    }
    Ok(all)
}

fn raw<'a, T>(section: &SectionLimited<'a, T>) -> RawItems {
    RawItems { count: section.count(), range: section.original_position()..section.range().end }
}

/// A module has less than 2^32 of anything, since each takes at least one byte of a section whose
/// size is a 32-bit number.
fn length<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
