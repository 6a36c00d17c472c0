//! What the head of a program says: the sections before its code. It is read in an instant where compiling takes minutes,
//! so whoever runs programs judges it first.

use alloc::string::String;
use alloc::vec::Vec;

/// An import of a core module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleImport {
    /// The module that it names.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Whether it is a function.
    pub is_function: bool,
}

/// The head of a core module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModuleHead {
    /// What it imports, in order.
    pub imports: Vec<ModuleImport>,
    /// Whether a memory is shared between threads.
    pub shared_memory: bool,
}

/// The head of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentHead {
    /// The interfaces with functions that it imports, without those that whoever asked serves.
    pub imports: Vec<String>,
    /// The names of what it exports.
    pub exports: Vec<String>,
    /// Whether a memory in one of its modules is shared between threads.
    pub shared_memory: bool,
}
