//! The entrance.

use std::path::Path;
use std::sync::Arc;
use weir_engine::Cache;

/// The entrance: opens programs, and keeps what is compiled. Cheap to clone.
#[derive(Clone, Default)]
pub struct Weir {
    pub(crate) cache: Option<Arc<Cache>>,
}

impl Weir {
    /// With the user's cache of compiled code, where there is one: `$WEIR_CACHE_DIR`, or `weir` in the user's cache folder.
    pub fn new() -> Self {
        Self { cache: Cache::of_user().map(Arc::new) }
    }

    /// Without a cache on disk: what is compiled is kept as long as its program.
    pub fn uncached() -> Self {
        Self::default()
    }

    /// With compiled code kept in `folder`, which must be this user's alone; `None` if it is not.
    pub fn with_cache(folder: &Path) -> Option<Self> {
        Cache::at(folder).map(|cache| Self { cache: Some(Arc::new(cache)) })
    }

    /// The folder of compiled code.
    pub fn cache_folder(&self) -> Option<&Path> {
        self.cache.as_deref().map(Cache::folder)
    }
}
