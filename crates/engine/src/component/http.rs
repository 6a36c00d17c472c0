//! What weir answers of wasi:http in wasmtime-wasi-http's place, because the standard says otherwise.
//!
//! - The path of a 0.3 request: besides paths from the root it may be a relative reference, or empty. The
//!   `http` crate holds neither, so a request keeps the path that is sent, and what the program wrote is
//!   kept here beside it.
//! - Sending a request without a path (0.2 and 0.3): the path is `/` then.
//! - The future that `request.new` of 0.3 gives: an error where the request was not sent.

use super::state::State;
use http::header::HOST;
use http::uri::PathAndQuery;
use std::pin::Pin;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Access, Accessor, Linker, Resource};
use wasmtime_wasi_http::p2::bindings::http::outgoing_handler;
use wasmtime_wasi_http::p2::types::{HostFutureIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::p3::bindings::http::client::HostWithStore;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{Request, Response};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiHttp, WasiHttpView};

const TYPES: &str = "wasi:http/types@0.3.0";
const SET: &str = "[method]request.set-path-with-query";
const GET: &str = "[method]request.get-path-with-query";
const ROOT: &str = "/";

type Asked = (Resource<Request>, Option<String>);

/// Puts these functions of 0.3 in the place of wasmtime-wasi-http's.
pub(super) fn amend_p3(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(SET, |mut store: StoreContextMut<'_, State>, (request, text): Asked| {
        Ok((set(store.data_mut(), &request, text)?,))
    })?;
    types.func_wrap(GET, |store: StoreContextMut<'_, State>, (request,): (Resource<Request>,)| {
        Ok((get(store.data(), &request)?,))
    })?;
    linker.instance("wasi:http/client@0.3.0")?.func_wrap_concurrent(
        "send",
        |store: &Accessor<State>, (request,): (Resource<Request>,)| {
            Box::pin(async move { Ok((send(store, request).await?,)) })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Puts this function of 0.2 in the place of wasmtime-wasi-http's.
pub(super) fn amend_p2(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/outgoing-handler@0.2.12")?.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, State>, (request, options): Handled| {
            Ok((handle(store.data_mut(), request, options)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

type Handled = (Resource<HostOutgoingRequest>, Option<Resource<RequestOptions>>);
type Handling = Result<Resource<HostFutureIncomingResponse>, wasmtime_wasi_http::p2::bindings::http::types::ErrorCode>;

fn handle(
    state: &mut State,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Handling> {
    state.table.get_mut(&request)?.path_with_query.get_or_insert_with(|| ROOT.to_owned());
    match outgoing_handler::Host::handle(&mut state.http(), request, options) {
        Ok(response) => Ok(Ok(response)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}

type Transfer = dyn Future<Output = Result<(), HttpError>> + Send;
type Sent = Result<Resource<Response>, ErrorCode>;

/// Sends a request through wasmtime-wasi-http, as one of the host's own: what becomes of that is what the
/// program's own one is told.
async fn send(store: &Accessor<State>, request: Resource<Request>) -> wasmtime::Result<Sent> {
    let (outcome, sent) = oneshot::channel();
    let transmitted = async move {
        match sent.await {
            Ok(Ok(transfer)) => Pin::<Box<Transfer>>::from(transfer).await,
            Ok(Err(error)) => Err(error),
            // Nobody waits for the response any more.
            Err(_) => Err(HttpError::ConnectionTerminated),
        }
    };
    let answer = match store.with(|access| of_host(access, request, transmitted))? {
        Ok((request, transfer)) => {
            let http = store.with_getter::<WasiHttp>(State::http);
            match <WasiHttp as HostWithStore<State>>::send(&http, request).await {
                Ok(response) => Ok((response, transfer)),
                Err(error) => Err(error.downcast()?),
            }
        }
        Err(code) => Err(code),
    };
    let (told, answer) = match answer {
        Ok((response, transfer)) => (Ok(transfer), Ok(response)),
        Err(code) => (Err(HttpError::from(code.clone())), Err(code)),
    };
    _ = outcome.send(told);
    Ok(answer)
}

type OfHost = Result<(Resource<Request>, Box<Transfer>), ErrorCode>;

/// The program's request as one of the host's own, and what becomes of it; `transmitted` is what the
/// program is told.
fn of_host(
    mut access: Access<'_, State>,
    request: Resource<Request>,
    transmitted: impl Future<Output = Result<(), HttpError>> + Send + 'static,
) -> wasmtime::Result<OfHost> {
    let state = access.data_mut();
    state.paths.remove(&request.rep());
    let mut request = state.table.delete(request)?;
    request.path_with_query.get_or_insert(PathAndQuery::from_static(ROOT));
    let (mut request, options) = match request.into_http(&mut access, transmitted) {
        Ok(made) => made,
        Err(error) => return Ok(Err(error.downcast()?)),
    };
    // This header is made anew when the request is sent.
    request.headers_mut().remove(HOST);
    let view = access.data_mut().http();
    let (mut request, transfer) = Request::from_http(view.hooks, request);
    request.options = options;
    Ok(Ok((view.table.push(request)?, Box::new(transfer))))
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
        return Some(PathAndQuery::from_static(ROOT));
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
