//! What a program has besides files: arguments and variables, and the clock of the tree.

use super::P3;
use super::bindings::exports::wasi::cli::environment;
use super::bindings::wasi as host;
use crate::packed;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

/// What the program is called where the host gives no name.
const NAME: &str = "program";

impl environment::Guest for P3 {
    /// The host's variables first, because the first of a name wins.
    fn get_environment() -> Vec<(String, String)> {
        let mut all = host::cli::environment::get_environment();
        for (name, value) in packed::entry().unwrap_or_default().env {
            if all.iter().all(|(known, _)| *known != name) {
                all.push((name, value));
            }
        }
        all
    }

    /// The program's name, then the pack's arguments, then the host's further ones.
    fn get_arguments() -> Vec<String> {
        let mut all = host::cli::environment::get_arguments();
        if all.is_empty() {
            all.push(NAME.into());
        }
        all.splice(1..1, packed::entry().unwrap_or_default().args);
        all
    }

    fn get_initial_cwd() -> Option<String> {
        host::cli::environment::get_initial_cwd()
    }
}

#[unsafe(export_name = "now:p3")]
extern "C" fn now() -> u64 {
    let now = host::clocks::system_clock::now();
    let seconds = u64::try_from(now.seconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(now.nanoseconds.into())
}

/// The program's own name among its arguments.
#[unsafe(export_name = "name:p3")]
unsafe extern "C" fn name(name: *mut Vec<u8>) {
    let own = host::cli::environment::get_arguments().into_iter().next().unwrap_or_default();
    // SAFETY: called by `state::complain` alone, with an empty vector.
    unsafe { *name = own.into_bytes() };
}

struct Complaint(RefCell<Option<String>>);

// SAFETY: a component runs in one thread.
unsafe impl Sync for Complaint {}

static COMPLAINT: Complaint = Complaint(RefCell::new(None));

/// A message cannot be written to stderr of 0.3 at once. It becomes the text of the error instead.
#[unsafe(export_name = "complain:p3")]
unsafe extern "C" fn complain(text: *const u8, len: usize) {
    // SAFETY: called by `state::complain` alone, with a text.
    let text = unsafe { core::slice::from_raw_parts(text, len) };
    let text = core::str::from_utf8(text).unwrap_or_default();
    COMPLAINT.0.replace(Some(text.trim_end().to_owned()));
}

/// The message of the call under way, if it has one.
pub fn take_complaint() -> Option<String> {
    COMPLAINT.0.take()
}
