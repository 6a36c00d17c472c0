//! A WASI 0.2 program that does what its first argument says, for the tests of components.

use std::fs;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasi::filesystem::types as files;
use wasi::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasi::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match &args[..] {
        ["exit", code] => std::process::exit(code.parse().unwrap()),
        ["spin"] => {
            let mut count = 0u64;
            loop {
                count = std::hint::black_box(count + 1);
            }
        }
        ["panic"] => panic!("on purpose"),
        ["echo"] => drop(io::copy(&mut io::stdin(), &mut io::stdout()).unwrap()),
        ["flood"] => {
            let line = [b'y'; 4096];
            while io::stdout().write_all(&line).is_ok() {}
        }
        ["sleep", seconds] => sleep(seconds.parse().unwrap()),
        ["random"] => println!("{:016x}", wasi::random::random::get_random_u64()),
        ["env"] => {
            let mut variables: Vec<_> = std::env::vars().collect();
            variables.sort();
            println!("{:?} {variables:?}", std::env::args().collect::<Vec<_>>());
        }
        ["cat", path] => {
            let mut text = String::new();
            let result = fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
            println!("{:?} {text}", result.map_err(|error| error.kind()));
        }
        ["put", path, text] => println!("{:?}", fs::write(path, text).map_err(|error| error.kind())),
        ["mv", from, to] => println!("{:?}", fs::rename(from, to).map_err(|error| error.kind())),
        ["ls", path] => {
            let mut names: Vec<String> =
                fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            println!("{names:?}");
        }
        ["net", address, port] => net(address, port.parse().unwrap()),
        ["http", authority] => http(authority),
        ["streams"] => streams(),
        other => panic!("{other:?}"),
    }
}

fn sleep(seconds: u64) {
    let (start, wall) = (Instant::now(), SystemTime::now());
    std::thread::sleep(Duration::from_secs(seconds));
    println!(
        "{} {} {}",
        wall.duration_since(UNIX_EPOCH).unwrap().as_secs(),
        start.elapsed().as_secs(),
        wall.elapsed().unwrap().as_secs()
    );
}

fn net(address: &str, port: u16) {
    let ip: std::net::Ipv4Addr = address.parse().unwrap();
    let [a, b, c, d] = ip.octets();
    let peer = IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) });
    let any = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (0, 0, 0, 0) });
    let network = wasi::sockets::instance_network::instance_network();
    let tcp = wasi::sockets::tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).and_then(|socket| {
        socket.start_connect(&network, peer)?;
        loop {
            match socket.finish_connect() {
                Err(wasi::sockets::network::ErrorCode::WouldBlock) => socket.subscribe().block(),
                result => return result.map(drop),
            }
        }
    });
    println!("tcp {tcp:?}");
    let udp = wasi::sockets::udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4).and_then(|socket| {
        socket.start_bind(&network, any)?;
        socket.finish_bind()?;
        // A connected socket, which GHSA-hmmr let through.
        let (_, sender) = socket.stream(Some(peer))?;
        while sender.check_send()? == 0 {
            sender.subscribe().block();
        }
        sender.send(&[wasi::sockets::udp::OutgoingDatagram { data: b"x".to_vec(), remote_address: None }]).map(drop)
    });
    println!("udp {udp:?}");
    let names = wasi::sockets::ip_name_lookup::resolve_addresses(&network, "localhost").and_then(|stream| {
        loop {
            match stream.resolve_next_address() {
                Err(wasi::sockets::network::ErrorCode::WouldBlock) => stream.subscribe().block(),
                result => return result.map(|address| address.is_some()),
            }
        }
    });
    println!("lookup {names:?}");
}

fn http(authority: &str) {
    use wasi::http::types::{Fields, OutgoingRequest, Scheme};
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(None).unwrap();
    let response = match wasi::http::outgoing_handler::handle(request, None) {
        Ok(response) => response,
        Err(error) => return println!("refused {error:?}"),
    };
    response.subscribe().block();
    match response.get().unwrap().unwrap() {
        Ok(response) => println!("status {}", response.status()),
        Err(error) => println!("failed {error:?}"),
    }
}

/// Streams of files, as few programs use them.
fn streams() {
    let (dir, _) = wasi::filesystem::preopens::get_directories().pop().unwrap();
    let create = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let open = |path: &str, how, flags| dir.open_at(PathFlags::empty(), path, how, flags);
    let file = open("streams.txt", create, DescriptorFlags::READ | DescriptorFlags::WRITE).unwrap();
    let output = file.write_via_stream(0).unwrap();
    assert!(output.subscribe().ready() && output.check_write().unwrap() >= 4096);
    output.write(b"hello, ").unwrap();
    output.blocking_write_and_flush(b"world").unwrap();
    output.blocking_write_zeroes_and_flush(3).unwrap();
    let input = file.read_via_stream(0).unwrap();
    let both = [&input.subscribe(), &output.subscribe()];
    let mut ready = wasi::io::poll::poll(&both);
    ready.sort();
    assert_eq!(ready, [0, 1]);
    assert_eq!(input.skip(7).unwrap(), 7);
    assert_eq!(input.read(u64::MAX).unwrap(), b"world\0\0\0");
    assert!(matches!(input.blocking_read(1), Err(wasi::io::streams::StreamError::Closed)));
    // From one file to the end of another.
    let copy = open("copy.txt", create, DescriptorFlags::READ | DescriptorFlags::WRITE).unwrap();
    let end = copy.append_via_stream().unwrap();
    assert_eq!(end.splice(&file.read_via_stream(0).unwrap(), 5).unwrap(), 5);
    assert_eq!(end.blocking_splice(&file.read_via_stream(5).unwrap(), 1000).unwrap(), 10);
    assert_eq!(copy.read(100, 0).unwrap(), (b"hello, world\0\0\0".to_vec(), false));
    assert_eq!(copy.read(100, 15).unwrap(), (vec![], true));
    assert_eq!(copy.read(u64::MAX, 3).unwrap().0.len(), 12);
    assert_eq!(copy.read(1, u64::MAX).unwrap_err(), ErrorCode::Invalid);
    // What went wrong can be asked of the stream's error.
    let wrong = file.read_via_stream(u64::MAX).unwrap();
    match wrong.blocking_read(1) {
        Err(wasi::io::streams::StreamError::LastOperationFailed(error)) => {
            assert_eq!(files::filesystem_error_code(&error), Some(ErrorCode::Invalid));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(wrong.blocking_read(1), Err(wasi::io::streams::StreamError::Closed)));
    // What a descriptor was not opened for.
    let only_read = open("copy.txt", OpenFlags::empty(), DescriptorFlags::READ).unwrap();
    assert_eq!(only_read.write_via_stream(0).unwrap_err(), ErrorCode::BadDescriptor);
    assert_eq!(only_read.write(b"x", 0).unwrap_err(), ErrorCode::BadDescriptor);
    assert_eq!(dir.read_via_stream(0).unwrap_err(), ErrorCode::IsDirectory);
    assert_eq!(dir.write_via_stream(0).unwrap_err(), ErrorCode::BadDescriptor);
    let entries = dir.read_directory().unwrap();
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry().unwrap() {
        names.push(entry.name);
    }
    names.sort();
    assert_eq!(names, ["copy.txt", "streams.txt"]);
    println!("streams agree");
}
