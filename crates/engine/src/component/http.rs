//! The path of a wasi:http 0.3 request: besides paths from the root it may be a relative reference, or
//! empty. The `http` crate holds neither, so a request keeps the path that is sent, and what the program
//! wrote is kept here beside it. All else of wasi:http is wasmtime-wasi-http's.

use super::state::State;
use http::uri::PathAndQuery;
use std::collections::HashMap;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_http::p3::Request;

const TYPES: &str = "wasi:http/types@0.3.0";
const SET: &str = "[method]request.set-path-with-query";
const GET: &str = "[method]request.get-path-with-query";

/// What programs wrote as relative paths, by request, with the path that is sent. A number may be another
/// request's by now: then the path beside it is another one, or was taken away when it was set.
pub(crate) type RelativePaths = HashMap<u32, (String, PathAndQuery)>;

type Asked = (Resource<Request>, Option<String>);

/// Puts these functions in the place of wasmtime-wasi-http's.
pub(super) fn add_paths(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(SET, |mut store: StoreContextMut<'_, State>, (request, text): Asked| {
        Ok((set(store.data_mut(), &request, text)?,))
    })?;
    types.func_wrap(GET, |store: StoreContextMut<'_, State>, (request,): (Resource<Request>,)| {
        Ok((get(store.data(), &request)?,))
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

fn set(state: &mut State, request: &Resource<Request>, text: Option<String>) -> wasmtime::Result<Result<(), ()>> {
    let held = state.table.get_mut(request)?;
    let sent = match text.as_deref().map(sent) {
        Some(None) => return Ok(Err(())),
        Some(sent) => sent,
        None => None,
    };
    held.path_with_query.clone_from(&sent);
    state.paths.remove(&request.rep());
    if let (Some(text), Some(sent)) = (text, sent)
        && !text.is_empty()
        && text != sent.as_str()
    {
        state.paths.insert(request.rep(), (text, sent));
    }
    Ok(Ok(()))
}

fn get(state: &State, request: &Resource<Request>) -> wasmtime::Result<Option<String>> {
    let held = state.table.get(request)?.path_with_query.as_ref();
    let relative = state.paths.get(&request.rep()).filter(|(_, sent)| Some(sent) == held);
    Ok(relative.map(|(text, _)| text.clone()).or_else(|| held.map(|path| path.as_str().to_owned())))
}

/// The path that is sent for what a program wrote; `None` if that is no relative reference. It is taken
/// from the root, because a request has no other place that it could be relative to.
fn sent(text: &str) -> Option<PathAndQuery> {
    // Letters beyond ASCII go as they are, in UTF-8, as servers are used to; a fragment is never sent.
    if text.contains('#') {
        return None;
    }
    if text.is_empty() {
        return Some(PathAndQuery::from_static("/"));
    }
    if text.starts_with(['/', '?']) {
        return PathAndQuery::try_from(text).ok();
    }
    // `scheme:` would make it a URI with a host of its own; `*` is no path.
    let first = text.split(['/', '?']).next().unwrap_or_default();
    if text == "*" || first.contains(':') {
        return None;
    }
    PathAndQuery::try_from(format!("/{text}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_references_are_taken_from_the_root() {
        for (text, path) in [
            ("", "/"),
            ("/", "/"),
            ("/a/../../b?c", "/a/../../b?c"),
            ("?q", "?q"),
            ("a/b/c", "/a/b/c"),
            ("../..", "/../.."),
            ("a/b:c", "/a/b:c"),
            ("/\u{e9}", "/\u{e9}"),
            ("\u{65e5}?\u{e9}", "/\u{65e5}?\u{e9}"),
        ] {
            assert_eq!(sent(text).unwrap().as_str(), path, "{text}");
        }
        for text in ["http://elsewhere/", "a:b", "*", "#a", "/ ", "a b", "/<"] {
            assert_eq!(sent(text), None, "{text}");
        }
    }
}
