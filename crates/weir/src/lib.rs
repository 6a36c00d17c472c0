//! Runs third-party WebAssembly in your program.
#![forbid(unsafe_code)]

mod error;
mod function;
mod grants;
mod number;
mod open;
mod packed;
mod program;
mod running;
mod weir;

pub use error::{Error, Hint, Kind, Limit};
pub use grants::Grants;
pub use open::{Located, locate, reference};
pub use program::{Prepared, Program};
pub use running::Running;
pub use weir::Weir;
pub use weir_engine::{Format, Input, Outcome, Output, Stats, Usage, Written, pipe};
pub use weir_link::Inspection;
pub use weir_types::grants::{Clock, Net, Random, Tier, UnknownImports};
pub use weir_types::limits::{Limits, Quota};
