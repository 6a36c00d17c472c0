//! One run of a program, whatever its kind: what it is given, and how it ended.

use crate::ends::{Ends, Object};
use crate::save::Save;
use crate::stats::Stats;
use crate::trace::Trace;
use std::path::PathBuf;
use weir_types::grants::Grants;
use weir_types::limits::Limits;

/// One run of a program.
pub struct Run<'a> {
    /// What is handed to the program.
    pub grants: &'a Grants,
    /// What it may use.
    pub limits: &'a Limits,
    /// What is copied out when it ends well.
    pub saves: &'a [Save],
    /// Record every WASI call; the program must have been linked for that.
    pub trace: bool,
    /// What its standard streams are connected to.
    pub ends: Ends,
    /// Places that are objects of whoever runs it, by their path inside.
    pub objects: Vec<(String, Object)>,
    /// What the program carries inside it, if it is a pack that was linked anew for this run.
    pub carried: Option<&'a Carried>,
}

impl<'a> Run<'a> {
    /// A run with these grants and limits on this process's own ends. Nothing is saved or recorded.
    pub fn new(grants: &'a Grants, limits: &'a Limits) -> Self {
        Self { grants, limits, saves: &[], trace: false, ends: Ends::default(), objects: Vec::new(), carried: None }
    }
}

/// What a pack brings into a run besides its code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// The names of the directories that it opens for the program.
    pub preopens: Vec<String>,
    /// The blobs that it names, by number: where they are on disk. They have been verified.
    pub references: Vec<PathBuf>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// The program's own exit code.
    pub exit_code: u32,
    /// What the run cost.
    pub stats: Stats,
    /// The calls that the program made, if they were recorded.
    pub trace: Option<Trace>,
}
