//! Which imports of a core module its entry points can get to.
//!
//! An over-approximation: what is called "unreachable" cannot be called, what is called
//! "reachable" might never be. A call through a table or a reference can hit any function of that
//! type whose address is taken anywhere that is reachable; where types are told apart by name, or
//! stacks are switched, any function at all whose address is taken.

use crate::error::LinkError;
use crate::module::Module;
use crate::p1::Signature;
use std::collections::HashMap;
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

/// A number for each signature; types without one, which are told apart by name, share the last.
struct Classes {
    of_type: Vec<usize>,
    count: usize,
}

impl Classes {
    fn of(module: &Module<'_>) -> Classes {
        let mut numbers: HashMap<Signature, usize> = HashMap::new();
        let signatures = (0..module.counts.types).map(|ty| module.signature(ty));
        let numbered: Vec<Option<usize>> = signatures
            .map(|signature| {
                let next = numbers.len();
                signature.map(|signature| *numbers.entry(signature).or_insert(next))
            })
            .collect();
        let unnamed = numbers.len();
        Classes { of_type: numbered.into_iter().map(|class| class.unwrap_or(unnamed)).collect(), count: unnamed + 1 }
    }

    fn get(&self, ty: u32) -> usize {
        self.of_type.get(ty as usize).copied().unwrap_or(self.count - 1)
    }
}

struct Walk<'m, 'a> {
    module: &'m Module<'a>,
    bodies: Vec<FunctionBody<'a>>,
    classes: Classes,
    reached: Vec<bool>,
    addressed: Vec<bool>,
    work: Vec<u32>,
    /// By class: functions whose address is taken, until the class is called.
    waiting: Vec<Vec<u32>>,
    /// By class: whether a call through a table or a reference could hit it.
    called: Vec<bool>,
}

/// Follows calls from the start function and from the exports that `is_root` accepts.
pub(crate) fn reachable(module: &Module<'_>, is_root: impl Fn(&str) -> bool) -> Result<Reachable, LinkError> {
    let mut bodies = Vec::new();
    for body in module.bodies()? {
        bodies.push(body?);
    }
    let classes = Classes::of(module);
    let mut walk = Walk {
        module,
        bodies,
        reached: vec![false; module.functions.len()],
        addressed: vec![false; module.functions.len()],
        work: Vec::new(),
        waiting: vec![Vec::new(); classes.count],
        called: vec![false; classes.count],
        classes,
    };
    walk.roots(is_root)?;
    while let Some(function) = walk.work.pop() {
        walk.scan(function)?;
    }
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
                ExternalKind::Table => self.call_any(),
                ExternalKind::Global => {
                    let defined = export.index.checked_sub(self.module.imported.globals);
                    let global = defined.and_then(|at| self.module.globals.get(at as usize));
                    let reference = global.is_some_and(|global| global.ty.content_type.is_reference_type());
                    if reference {
                        self.call_any();
                    }
                }
                _ => {}
            }
        }
        let shares = |ty: &TypeRef| match ty {
            TypeRef::Table(_) => true,
            TypeRef::Global(global) => global.content_type.is_reference_type(),
            _ => false,
        };
        if self.module.imports.iter().any(|(_, import)| shares(&import.ty)) {
            self.call_any();
        }
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
        if self.addressed.get(function as usize) != Some(&false) {
            return;
        }
        self.addressed[function as usize] = true;
        let class = self.classes.get(self.module.functions[function as usize]);
        if self.called[class] {
            self.reach(function);
        } else {
            self.waiting[class].push(function);
        }
    }

    /// Notes a call through a table or a reference. Types told apart by name can be subtypes of
    /// each other and of plain ones, so such a call could hit anything.
    fn call_type(&mut self, ty: u32) {
        let class = self.classes.get(ty);
        if class + 1 == self.classes.count {
            self.call_any();
        } else {
            self.call_class(class);
        }
    }

    fn call_class(&mut self, class: usize) {
        if !core::mem::replace(&mut self.called[class], true) {
            for function in core::mem::take(&mut self.waiting[class]) {
                self.reach(function);
            }
        }
    }

    fn call_any(&mut self) {
        let last = self.classes.count - 1;
        if !self.called[last] {
            for class in 0..self.classes.count {
                self.call_class(class);
            }
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
                Operator::ContNew { .. } => self.call_any(),
                _ => {}
            }
        }
        Ok(())
    }
}
