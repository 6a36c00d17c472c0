//! What every subcommand that runs something does first and last: the program opened, the code made ready while somebody may
//! wait, the run.

use crate::exit::Failure;
use crate::notice::while_compiling;
use std::path::Path;
use weir::{Grants, Limits, Outcome, Prepared, Program, Weir};

/// Opens the program at `path`.
///
/// # Errors
/// It is missing or no WebAssembly.
pub fn open(path: &Path) -> Result<Program, Failure> {
    Ok(Weir::new().open(path)?)
}

/// Everything for one run.
///
/// # Errors
/// The program cannot be linked or compiled, or imports what nobody grants.
pub fn prepare(program: &Program, grants: Grants, limits: &Limits) -> Result<Prepared, Failure> {
    Ok(while_compiling(program.path(), || program.prepare(grants, limits.clone()))?)
}

/// Runs `program` to its end, and says what the user should know of it.
///
/// # Errors
/// Whatever keeps it from starting or ending by itself.
pub fn launch(program: &Program, grants: Grants, limits: &Limits) -> Result<Outcome, Failure> {
    let outcome = prepare(program, grants, limits)?.run()?;
    for warning in &outcome.stats.warnings {
        note!("weir: warning: {}", weir_types::Shown(warning));
    }
    Ok(outcome)
}
