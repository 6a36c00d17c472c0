//! Where what a module has is after linking: one map of indices for each index space.

use crate::module::{Counts, Module};
use wasmparser::TypeRef;

/// Where what a module has of one kind is. The first of it one by one (imports, or all of what is kept in part), then
/// the rest in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexMap {
    singly: Vec<Option<u32>>,
    rest: u32,
    count: u32,
}

impl IndexMap {
    /// Of a module that is kept whole: imports, and `count` things with them of which those that it defines begin at
    /// `defined`.
    pub fn whole(imports: Vec<u32>, defined: u32, count: u32) -> IndexMap {
        IndexMap { singly: imports.into_iter().map(Some).collect(), rest: defined, count }
    }

    /// Of a module with `count` things that is kept in part: old indices, and the new ones from `first` on in the same
    /// order.
    pub fn kept(kept: impl IntoIterator<Item = u32>, first: u32, count: u32) -> IndexMap {
        let mut map = IndexMap { singly: vec![None; count as usize], rest: 0, count };
        for (old, new) in kept.into_iter().zip(first..) {
            map.set(old, new);
        }
        map
    }

    /// Says where something is of a module that is kept in part. What the module does not have is nowhere.
    pub fn set(&mut self, old: u32, new: u32) {
        if let Some(place) = self.singly.get_mut(old as usize) {
            *place = Some(new);
        }
    }

    /// The new index.
    #[inline]
    pub fn get(&self, old: u32) -> Option<u32> {
        match self.singly.get(old as usize) {
            Some(new) => *new,
            None if old < self.count => Some(old - self.singly.len() as u32 + self.rest),
            None => None,
        }
    }

    /// How many the module has, imports included.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The new indices of what stands before the rest: the imports of a module that is kept whole.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = u32> {
        self.singly.iter().map(|new| new.unwrap_or(u32::MAX))
    }

    /// The new index of the first thing that a module defines which is kept whole.
    pub fn defined(&self) -> u32 {
        self.rest
    }

    /// Whether everything has the index that it had.
    pub fn stays(&self) -> bool {
        let singly = self.singly.iter().zip(0..).all(|(new, old)| *new == Some(old));
        singly && (self.rest == self.singly.len() as u32 || self.singly.len() == self.count as usize)
    }

    /// Takes what the module defines, from `first` on, behind the imports that are there.
    fn define(&mut self, count: u32, next: &mut u32) {
        self.rest = take(next, count - self.singly.len() as u32);
        self.count = count;
    }

    /// Holds the map against the module that it is for and the result that it leads into.
    fn check(&self, own: u32, of_result: u32) {
        debug_assert_eq!(self.count, own, "a map is of another module");
        debug_assert!(self.singly.iter().flatten().all(|new| *new < of_result), "a map leads out of the result");
        let rest = self.count - self.singly.len() as u32;
        debug_assert!(rest == 0 || self.rest + rest <= of_result, "a map leads out of the result");
    }
}

/// Takes the next `count` numbers, and gives the first.
pub(crate) fn take(next: &mut u32, count: u32) -> u32 {
    let first = *next;
    *next += count;
    first
}

/// Where everything of a module is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Maps {
    pub types: IndexMap,
    pub functions: IndexMap,
    pub tables: IndexMap,
    pub memories: IndexMap,
    pub globals: IndexMap,
    pub tags: IndexMap,
    pub elements: IndexMap,
    pub data: IndexMap,
}

impl Maps {
    /// Of the imports of a module that is kept whole, without its functions.
    pub fn of_imports(module: &Module<'_>, next: &mut Counts) -> Maps {
        let mut maps = Maps::default();
        for (_, import) in &module.imports {
            let (map, next) = match import.ty {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => continue,
                TypeRef::Table(_) => (&mut maps.tables, &mut next.tables),
                TypeRef::Memory(_) => (&mut maps.memories, &mut next.memories),
                TypeRef::Global(_) => (&mut maps.globals, &mut next.globals),
                TypeRef::Tag(_) => (&mut maps.tags, &mut next.tags),
            };
            map.singly.push(Some(take(next, 1)));
            map.count += 1;
        }
        maps
    }

    /// Takes what the module defines behind what is there already, without its functions.
    pub fn define(&mut self, counts: &Counts, next: &mut Counts) {
        self.types.define(counts.types, &mut next.types);
        self.tables.define(counts.tables, &mut next.tables);
        self.memories.define(counts.memories, &mut next.memories);
        self.globals.define(counts.globals, &mut next.globals);
        self.tags.define(counts.tags, &mut next.tags);
        self.elements.define(counts.elements, &mut next.elements);
        self.data.define(counts.data, &mut next.data);
    }

    /// Whether functions are all that has other numbers than before.
    pub fn only_functions_move(&self) -> bool {
        let others = [&self.types, &self.tables, &self.memories, &self.globals, &self.tags, &self.elements, &self.data];
        others.into_iter().all(IndexMap::stays)
    }

    /// Holds the maps against the module that they are for and the result that they lead into.
    pub fn check(&self, own: &Counts, of_result: &Counts) {
        self.types.check(own.types, of_result.types);
        self.functions.check(own.functions, of_result.functions);
        self.tables.check(own.tables, of_result.tables);
        self.memories.check(own.memories, of_result.memories);
        self.globals.check(own.globals, of_result.globals);
        self.tags.check(own.tags, of_result.tags);
        self.elements.check(own.elements, of_result.elements);
        self.data.check(own.data, of_result.data);
    }
}
