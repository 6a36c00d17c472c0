//! Which imports of a core module its entry points can get to.
//!
//! An over-approximation: what is called "unreachable" cannot be called, what is called
//! "reachable" might never be. A call through a table or a reference can hit any function of that
//! type whose address is taken anywhere that is reachable; where types are told apart by name, or
//! stacks are switched, any function at all whose address is taken.

use crate::error::LinkError;
use crate::module::Module;
use crate::p1::Signature;
use std::collections::BTreeSet;
use wasmparser::{ConstExpr, ElementItems, ExternalKind, FunctionBody, Operator, TypeRef};

/// The reachable functions of a module.
pub(crate) struct Reachable {
    functions: Vec<bool>,
    /// How many defined functions are reachable.
    pub defined: u32,
}

impl Reachable {
    /// Whether a function is reachable.
    pub fn has(&self, function: u32) -> bool {
        self.functions.get(function as usize).copied().unwrap_or(false)
    }
}

struct Walk<'m, 'a> {
    module: &'m Module<'a>,
    bodies: Vec<FunctionBody<'a>>,
    reached: Vec<bool>,
    work: Vec<u32>,
    /// Functions whose address is taken and that are not reached yet.
    addressed: BTreeSet<u32>,
    /// Signatures that are called indirectly.
    called: BTreeSet<Signature>,
    /// Something could call any function whose address is taken.
    any_called: bool,
    /// Whether `called` or `addressed` changed since the last look.
    dirty: bool,
}

/// Follows calls from the start function and from the exports that `is_root` accepts.
pub(crate) fn reachable(module: &Module<'_>, is_root: impl Fn(&str) -> bool) -> Result<Reachable, LinkError> {
    let mut bodies = Vec::new();
    for body in module.bodies()? {
        bodies.push(body?);
    }
    let mut walk = Walk {
        module,
        bodies,
        reached: vec![false; module.functions.len()],
        work: Vec::new(),
        addressed: BTreeSet::new(),
        called: BTreeSet::new(),
        any_called: false,
        dirty: false,
    };
    walk.roots(is_root)?;
    walk.run()?;
    let imported = module.imported.functions as usize;
    let defined = walk.reached.iter().skip(imported).filter(|reached| **reached).count() as u32;
    Ok(Reachable { functions: walk.reached, defined })
}

impl Walk<'_, '_> {
    fn roots(&mut self, is_root: impl Fn(&str) -> bool) -> Result<(), LinkError> {
        if let Some(start) = self.module.start {
            self.reach(start);
        }
        for export in &self.module.exports {
            match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact if is_root(export.name) => self.reach(export.index),
                // Whoever holds a table or a reference can call what is in it.
                ExternalKind::Table => self.any_called = true,
                ExternalKind::Global => {
                    let defined = export.index.checked_sub(self.module.imported.globals);
                    let global = defined.and_then(|at| self.module.globals.get(at as usize));
                    let reference = global.is_some_and(|global| global.ty.content_type.is_reference_type());
                    self.any_called |= reference;
                }
                _ => {}
            }
        }
        let shares = |ty: &TypeRef| match ty {
            TypeRef::Table(_) => true,
            TypeRef::Global(global) => global.content_type.is_reference_type(),
            _ => false,
        };
        self.any_called |= self.module.imports.iter().any(|(_, import)| shares(&import.ty));
        for global in &self.module.globals {
            self.constant(&global.init_expr)?;
        }
        for table in &self.module.tables {
            if let wasmparser::TableInit::Expr(init) = &table.init {
                self.constant(init)?;
            }
        }
        for element in &self.module.elements {
            match element.items.clone() {
                ElementItems::Functions(items) => {
                    for item in items {
                        self.take_address(item.map_err(LinkError::parse)?);
                    }
                }
                ElementItems::Expressions(_, items) => {
                    for item in items {
                        self.constant(&item.map_err(LinkError::parse)?)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn constant(&mut self, expression: &ConstExpr<'_>) -> Result<(), LinkError> {
        let mut operators = expression.get_operators_reader();
        while !operators.eof() {
            if let Operator::RefFunc { function_index } = operators.read().map_err(LinkError::parse)? {
                self.take_address(function_index);
            }
        }
        Ok(())
    }

    fn reach(&mut self, function: u32) {
        if let Some(reached) = self.reached.get_mut(function as usize)
            && !*reached
        {
            *reached = true;
            self.work.push(function);
        }
    }

    fn take_address(&mut self, function: u32) {
        if self.reached.get(function as usize) == Some(&false) && self.addressed.insert(function) {
            self.dirty = true;
        }
    }

    fn call_type(&mut self, ty: u32) {
        match self.module.signature(ty) {
            Some(signature) => self.dirty |= self.called.insert(signature),
            None => {
                self.any_called = true;
                self.dirty = true;
            }
        }
    }

    fn run(&mut self) -> Result<(), LinkError> {
        self.dirty = true;
        loop {
            while let Some(function) = self.work.pop() {
                self.scan(function)?;
            }
            if !core::mem::take(&mut self.dirty) {
                return Ok(());
            }
            for function in core::mem::take(&mut self.addressed) {
                if self.could_be_called(function) {
                    self.reach(function);
                } else {
                    self.addressed.insert(function);
                }
            }
        }
    }

    fn could_be_called(&self, function: u32) -> bool {
        if self.any_called {
            return true;
        }
        let ty = self.module.functions.get(function as usize).copied();
        match ty.and_then(|ty| self.module.signature(ty)) {
            Some(signature) => self.called.contains(&signature),
            // Calls to types without a signature set `any_called`, so nothing calls this one.
            None => false,
        }
    }

    fn scan(&mut self, function: u32) -> Result<(), LinkError> {
        let Some(at) = function.checked_sub(self.module.imported.functions) else { return Ok(()) };
        let Some(body) = self.bodies.get(at as usize).cloned() else { return Ok(()) };
        let mut operators = body.get_operators_reader().map_err(LinkError::parse)?;
        while !operators.eof() {
            match operators.read().map_err(LinkError::parse)? {
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    self.reach(function_index);
                }
                Operator::RefFunc { function_index } => self.take_address(function_index),
                Operator::CallIndirect { type_index, .. }
                | Operator::ReturnCallIndirect { type_index, .. }
                | Operator::CallRef { type_index }
                | Operator::ReturnCallRef { type_index } => self.call_type(type_index),
                Operator::ContNew { .. } => {
                    self.any_called = true;
                    self.dirty = true;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
