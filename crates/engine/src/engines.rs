//! The engines of this process: one for each recipe, for as long as a program needs it. An engine has one pool, so how
//! many calls there may be at the same time is the process's business and not each function's.

use crate::error::Error;
use crate::recipe::{INSTANCES_MAX, Recipe};
use crate::ticker::Turn;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Semaphore;
use wasmtime::Engine;

/// What to say where the machine does not let the engine start.
const NO_ENGINE: &str = "this machine cannot run the engine";

/// One engine, and what belongs to it.
pub(crate) struct Room {
    pub recipe: Recipe,
    pub engine: Engine,
    /// Free places in its pool, where it has one. The pool refuses one too many as if the program had failed, so whoever
    /// wants an instance takes a place first.
    pub places: Arc<Semaphore>,
    turn: Mutex<Weak<Turn>>,
}

impl Room {
    /// The engine for `recipe`: the one that is there, or a new one.
    ///
    /// # Errors
    /// The machine does not let it start.
    pub fn of(recipe: Recipe) -> Result<Arc<Self>, Error> {
        static ROOMS: LazyLock<Mutex<HashMap<Recipe, Weak<Room>>>> = LazyLock::new(Mutex::default);
        let mut rooms = lock(&ROOMS);
        if let Some(room) = rooms.get(&recipe).and_then(Weak::upgrade) {
            return Ok(room);
        }
        let engine = Engine::new(&recipe.config()).map_err(|error| Error::machine(NO_ENGINE, error))?;
        let room = Arc::new(Self {
            recipe,
            engine,
            places: Arc::new(Semaphore::new(INSTANCES_MAX as usize)),
            turn: Mutex::default(),
        });
        rooms.retain(|_, room| room.strong_count() > 0);
        rooms.insert(recipe, Arc::downgrade(&room));
        Ok(room)
    }

    /// Keeps the programs of this engine taking turns, for as long as anybody holds what is given.
    ///
    /// # Errors
    /// The machine has no thread to spare.
    pub fn turns(&self) -> Result<Arc<Turn>, Error> {
        let mut turn = lock(&self.turn);
        if let Some(turn) = turn.upgrade() {
            return Ok(turn);
        }
        let new = Turn::begin(&self.engine)?;
        *turn = Arc::downgrade(&new);
        Ok(new)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::Room;
    use crate::recipe::{Kind, Recipe};
    use std::sync::Arc;
    use weir_types::limits::Limits;

    #[test]
    fn one_engine_for_each_recipe() {
        let recipe = Recipe::new(Kind::Function, &Limits::default());
        let first = Room::of(recipe).unwrap();
        assert!(Arc::ptr_eq(&first, &Room::of(recipe).unwrap()));
        assert!(!Arc::ptr_eq(&first, &Room::of(recipe.concurrent()).unwrap()));
    }
}
