//! A WASI 0.3 program that does what its first argument says, for the tests of components.

use futures::join;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{wit_future, wit_stream};

struct Program;
wasip3::cli::command::export!(Program);

impl wasip3::exports::cli::run::Guest for Program {
    async fn run() -> Result<(), ()> {
        let args = wasip3::cli::environment::get_arguments();
        let args: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
        match &args[..] {
            ["fail"] => return Err(()),
            ["exit", code] => wasip3::cli::exit::exit_with_code(code.parse().unwrap()),
            ["echo"] => echo().await,
            ["flood"] => flood().await,
            ["sleep", seconds] => sleep(seconds.parse().unwrap()).await,
            ["random"] => say(&format!("{:016x}", wasip3::random::random::get_random_u64())).await,
            ["late"] => late().await,
            ["net", address, port] => net(address, port.parse().unwrap()).await,
            ["http", authority] => http(authority).await,
            ["send", authority] => send(authority).await,
            ["greedy"] => greedy().await,
            ["cat", path] => cat(path).await,
            ["put", path, text] => put(path, text).await,
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

async fn say(line: &str) {
    let (mut sender, receiver) = wit_stream::new();
    let text = format!("{line}\n").into_bytes();
    let (written, _) = join!(async { wasip3::cli::stdout::write_via_stream(receiver).await }, async {
        sender.write_all(text).await;
        drop(sender);
    });
    written.unwrap();
}

async fn echo() {
    let (input, read) = wasip3::cli::stdin::read_via_stream();
    wasip3::cli::stdout::write_via_stream(input).await.unwrap();
    read.await.unwrap();
}

async fn flood() {
    let (mut sender, receiver) = wit_stream::new();
    let _ = join!(async { wasip3::cli::stdout::write_via_stream(receiver).await }, async {
        while sender.write_all(vec![b'y'; 4096]).await.is_empty() {}
        drop(sender);
    });
}

async fn sleep(seconds: u64) {
    use wasip3::clocks::{monotonic_clock, system_clock};
    let (start, wall) = (monotonic_clock::now(), system_clock::now().seconds);
    monotonic_clock::wait_for(seconds * 1_000_000_000).await;
    let elapsed = (monotonic_clock::now() - start) / 1_000_000_000;
    say(&format!("{wall} {elapsed} {}", system_clock::now().seconds - wall)).await;
}

/// Returns first and writes then.
async fn late() {
    wit_bindgen::spawn_local(async {
        wasip3::clocks::monotonic_clock::wait_for(20_000_000).await;
        say("late").await;
    });
}

async fn net(address: &str, port: u16) {
    let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let peer = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) });
    let tcp = match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(socket) => socket.connect(peer).await,
        Err(error) => Err(error),
    };
    say(&format!("tcp {tcp:?}")).await;
    let udp = match UdpSocket::create(IpAddressFamily::Ipv4) {
        Ok(socket) => match socket.connect(peer) {
            Ok(()) => socket.send(b"x".to_vec(), None).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    say(&format!("udp {udp:?}")).await;
    let names = wasip3::sockets::ip_name_lookup::resolve_addresses("localhost".into()).await;
    say(&format!("lookup {:?}", names.map(|names| !names.is_empty()))).await;
}

async fn http(authority: &str) {
    use wasip3::http::types::{Fields, Request, Scheme};
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (request, _) = Request::new(Fields::new(), None, no_trailers, None);
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    for path in ["a/b/c", "../..", "?q", "/x"] {
        request.set_path_with_query(Some(path)).unwrap();
        assert_eq!(request.get_path_with_query().as_deref(), Some(path));
    }
    request.set_path_with_query(Some("")).unwrap();
    assert_eq!(request.get_path_with_query().as_deref(), Some("/"));
    request.set_path_with_query(Some("http://elsewhere/")).unwrap_err();
    match wasip3::http::client::send(request).await {
        Ok(response) => say(&format!("status {}", response.get_status_code())).await,
        Err(error) => say(&format!("failed {error:?}")).await,
    }
}

/// A request without a path, with a body; whether it was sent, and what its sender is told.
async fn send(authority: &str) {
    use wasip3::http::types::{Fields, Method, Request, Scheme};
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (mut body, contents) = wit_stream::new();
    let (request, transmitted) = Request::new(Fields::new(), Some(contents), no_trailers, None);
    request.set_method(&Method::Post).unwrap();
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    assert_eq!(request.get_path_with_query(), None);
    let (answer, _) = join!(async { wasip3::http::client::send(request).await }, async {
        body.write_all(b"a body".to_vec()).await;
        drop(body);
    });
    let status = answer.as_ref().map(|response| response.get_status_code());
    say(&format!("{status:?} {:?}", transmitted.await)).await;
}

/// Asks for far more than there is, and for nothing.
async fn greedy() {
    let (dir, _) = get_directories().pop().unwrap();
    let how = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = dir.open_at(PathFlags::empty(), "greedy".into(), how, flags).await.unwrap();
    let (mut sender, receiver) = wit_stream::new();
    let (done, left) = join!(async { file.write_via_stream(receiver, 0).await }, async {
        sender.write(Vec::new()).await;
        let left = sender.write_all(vec![7u8; 3_000_000]).await;
        drop(sender);
        left
    });
    assert!(done.is_ok() && left.is_empty());
    let (mut stream, done) = file.read_via_stream(0);
    let (result, _) = stream.read(Vec::new()).await;
    assert_eq!(result, StreamResult::Complete(0));
    let mut total = 0;
    // The largest buffer that a stream may be given is 2^28 - 1.
    let mut buffer = Vec::with_capacity((1 << 28) - 1);
    loop {
        buffer.clear();
        let (result, filled) = stream.read(buffer).await;
        buffer = filled;
        match result {
            StreamResult::Complete(read) => total += read,
            StreamResult::Dropped => break,
            StreamResult::Cancelled => panic!("cancelled"),
        }
    }
    drop(stream);
    done.await.unwrap();
    assert_eq!(total, 3_000_000);
    let (entries, done) = dir.read_directory();
    assert_eq!(entries.collect().await.len(), 1);
    done.await.unwrap();
    let (stream, done) = dir.read_via_stream(0);
    assert!(stream.collect().await.is_empty());
    assert!(matches!(done.await, Err(ErrorCode::IsDirectory)));
    say("served").await;
}

async fn cat(path: &str) {
    let (dir, _) = get_directories().pop().unwrap();
    let file = dir.open_at(PathFlags::SYMLINK_FOLLOW, path.into(), OpenFlags::empty(), DescriptorFlags::READ).await;
    match file {
        Ok(file) => {
            let (stream, done) = file.read_via_stream(0);
            let bytes = stream.collect().await;
            say(&format!("{:?} {}", done.await, String::from_utf8_lossy(&bytes))).await;
        }
        Err(error) => say(&format!("{error:?}")).await,
    }
}

async fn put(path: &str, text: &str) {
    let (dir, _) = get_directories().pop().unwrap();
    let file = dir.open_at(PathFlags::empty(), path.into(), OpenFlags::CREATE, DescriptorFlags::WRITE).await;
    match file {
        Ok(file) => {
            let (mut sender, receiver) = wit_stream::new();
            let (done, _) = join!(async { file.append_via_stream(receiver).await }, async {
                sender.write_all(text.as_bytes().to_vec()).await;
                drop(sender);
            });
            say(&format!("{done:?}")).await;
        }
        Err(error) => say(&format!("{error:?}")).await,
    }
}
