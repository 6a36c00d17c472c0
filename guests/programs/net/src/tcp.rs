//! Steps with TCP.

use crate::{Result, host, local, local_6, port, show, until};
use wasi::filesystem::preopens::get_directories;
use wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
use wasi::io::poll::poll;
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Network};
use wasi::sockets::tcp::{ShutdownType, TcpSocket};
use wasi::sockets::tcp_create_socket::create_tcp_socket;

/// More than one call takes.
const LARGE_BYTES: usize = 3 << 20;
const PIECE_BYTES: usize = 60_000;

/// A connection. Its streams come first, because they have to be dropped before the socket.
pub struct Connection {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

fn family(address: IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

fn wait(socket: &TcpSocket) -> impl Fn() {
    || socket.subscribe().block()
}

pub fn connect(network: &Network, address: IpSocketAddress) -> Result<Connection> {
    let socket = create_tcp_socket(family(address))?;
    socket.start_connect(network, address)?;
    let (input, output) = until(wait(&socket), || socket.finish_connect())?;
    Ok(Connection { input, output, socket })
}

fn failed(error: StreamError) -> ErrorCode {
    match error {
        StreamError::Closed => println!("  the stream is closed"),
        StreamError::LastOperationFailed(error) => println!("  the stream failed: {}", error.to_debug_string()),
    }
    ErrorCode::Unknown
}

fn write(output: &OutputStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let room = output.check_write().map_err(failed)? as usize;
        if room == 0 {
            output.subscribe().block();
            continue;
        }
        let (piece, rest) = bytes.split_at(room.min(bytes.len()));
        output.write(piece).map_err(failed)?;
        bytes = rest;
    }
    output.blocking_flush().map_err(failed)
}

/// `len` bytes, or what there is before the end.
fn read(input: &InputStream, len: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < len {
        match input.blocking_read((len - bytes.len()) as u64) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(bytes)
}

/// Sends a message, ends the sending, and reads all that comes.
pub fn exchange(network: &Network, server: u16, message: &[u8]) -> Result<()> {
    let near = connect(network, local(server))?;
    show("  peer", near.socket.remote_address().map(|address| (host(address), port(address) == server)));
    show("  own address", near.socket.local_address().map(|address| (host(address), port(address) != 0)));
    show("  connect again", near.socket.start_connect(network, local(server)));
    println!("  one of the two is ready: {:?}", poll(&[&near.input.subscribe(), &near.output.subscribe()]));
    write(&near.output, message)?;
    write(&near.output, &[b'.'; 3])?;
    near.output.blocking_write_zeroes_and_flush(2).map_err(failed)?;
    show("  shutdown", near.socket.shutdown(ShutdownType::Send));
    println!("  skipped: {:?}", near.input.blocking_skip(5).map_err(failed)?);
    show("  answer", read(&near.input, usize::MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    println!("  write after the shutdown: {}", near.output.check_write().map_err(failed).is_err());
    show("  shutdown of all", near.socket.shutdown(ShutdownType::Both));
    drop(near);

    let near = connect(network, local(server))?;
    let large: Vec<u8> = (0..LARGE_BYTES).map(|at| (at % 251) as u8).collect();
    let mut back = Vec::new();
    for piece in large.chunks(PIECE_BYTES) {
        write(&near.output, piece)?;
        back.extend(read(&near.input, piece.len())?);
    }
    println!("  {LARGE_BYTES} bytes come back the same: {}", back == large);
    show("  shutdown", near.socket.shutdown(ShutdownType::Receive));
    Ok(())
}

/// A file's stream straight into the socket's.
pub fn splice(network: &Network, server: u16, path: &str) -> Result<()> {
    let near = connect(network, local(server))?;
    let (preopen, path) = get_directories()
        .into_iter()
        .find_map(|(preopen, name)| Some((preopen, path.strip_prefix(&name)?.trim_start_matches('/').to_owned())))
        .ok_or(ErrorCode::Unknown)?;
    let file = preopen.open_at(PathFlags::empty(), &path, OpenFlags::empty(), DescriptorFlags::READ);
    let file = file.map_err(|_| ErrorCode::Unknown)?;
    let stream = file.read_via_stream(0).map_err(|_| ErrorCode::Unknown)?;
    let moved = near.output.blocking_splice(&stream, 11).map_err(failed)?;
    let ready = stream.subscribe();
    let answer = near.input.subscribe();
    ready.block();
    println!("  moved {moved}; the file among the two is ready: {}", poll(&[&answer, &ready]).contains(&1));
    near.output.blocking_flush().map_err(failed)?;
    show("  answer", read(&near.input, moved as usize).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    Ok(())
}

/// Connects to itself.
pub fn listen(network: &Network) -> Result<()> {
    for address in [local(0), local_6(0)] {
        let socket = create_tcp_socket(family(address))?;
        socket.start_bind(network, address)?;
        until(wait(&socket), || socket.finish_bind())?;
        show("  backlog", socket.set_listen_backlog_size(16));
        println!("  listening: {}", socket.is_listening());
        socket.start_listen()?;
        until(wait(&socket), || socket.finish_listen())?;
        println!("  listening: {}", socket.is_listening());
        let bound = socket.local_address()?;
        println!("  a port was chosen: {}", port(bound) != 0);
        show("  bind to a used port", bind(network, bound));
        show("  accept without a peer", socket.accept().map(drop));

        let near = connect(network, bound)?;
        let (far, input, output) = until(wait(&socket), || socket.accept())?;
        println!("  the peer is the other end: {}", port(far.remote_address()?) == port(near.socket.local_address()?));
        write(&near.output, b"ping")?;
        println!("  accepted: {:?}", String::from_utf8_lossy(&read(&input, 4)?));
        println!("  nothing to read: {:?}", input.read(4).map_err(failed)?);
        println!("  nothing is ready: {}", !input.subscribe().ready());
        write(&output, b"pong")?;
        drop((input, output, far));
        println!("  answer: {:?}", String::from_utf8_lossy(&read(&near.input, usize::MAX)?));
    }
    Ok(())
}

fn bind(network: &Network, address: IpSocketAddress) -> Result<()> {
    let socket = create_tcp_socket(family(address))?;
    socket.start_bind(network, address)?;
    until(wait(&socket), || socket.finish_bind())
}

pub fn options() -> Result<()> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv6)?;
    println!("  family: {:?}", socket.address_family());
    show("  local address of none", socket.local_address().map(drop));
    show("  finish what was not begun", socket.finish_connect().map(drop));
    show("  accept without listening", socket.accept().map(drop));
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    println!("  family: {:?}", socket.address_family());
    socket.set_keep_alive_enabled(true)?;
    show("  keep_alive_enabled", socket.keep_alive_enabled());
    socket.set_keep_alive_idle_time(7_000_000_000)?;
    show("  keep_alive_idle_time", socket.keep_alive_idle_time());
    socket.set_keep_alive_interval(3_000_000_000)?;
    show("  keep_alive_interval", socket.keep_alive_interval());
    socket.set_keep_alive_count(4)?;
    show("  keep_alive_count", socket.keep_alive_count());
    show("  no hop limit", socket.set_hop_limit(0));
    socket.set_hop_limit(63)?;
    show("  hop_limit", socket.hop_limit());
    socket.set_receive_buffer_size(70_000)?;
    show("  receive_buffer_size", socket.receive_buffer_size());
    socket.set_send_buffer_size(80_000)?;
    show("  send_buffer_size", socket.send_buffer_size());
    Ok(())
}
