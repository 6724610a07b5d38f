//! Streams over loopback sockets. The other end is what nobody here wrote: rustls and tungstenite.

mod files;
mod tls;
mod unix;
mod websocket;

use crate::{AcceptError, Acceptor, Peer, Raw, Stream};
use std::{
    io::{self, IoSlice, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use tokio::{net::TcpListener, task::JoinHandle};

/// How long anything that must happen may take: only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(40);

/// What became of a connection.
struct Outcome {
    peer: Peer,
    /// How it ended: `Ok` if the client said so or closed.
    end: io::Result<()>,
}

/// Takes one connection in and sends everything back that comes.
async fn echo_server(acceptor: Acceptor) -> (SocketAddr, JoinHandle<Result<Outcome, AcceptError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move {
        let (socket, from) = listener.accept().await.unwrap();
        let (mut stream, peer) = acceptor.accept(Raw::Tcp(socket), from.to_string()).await?;
        let end = echo(&mut stream).await;
        let _ = stream.shutdown().await;
        drain(&mut stream).await;
        Ok(Outcome { peer, end })
    });
    (address, served)
}

/// As the broker does: reads when it can be read, writes as much as is taken. Keeps everything that is not written yet, so that a client may
/// send it all before it reads.
async fn echo(stream: &mut Stream) -> io::Result<()> {
    let mut back: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        while !back.is_empty() {
            let (one, two) = back.split_at(back.len() / 2);
            match stream.try_write_vectored(&[IoSlice::new(one), IoSlice::new(two)]) {
                Ok(n) => drop(back.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        stream.flush()?;
        let pending = !back.is_empty() || stream.has_pending_write();
        tokio::select! {
            readable = stream.readable() => {
                readable?;
                match stream.try_read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => back.extend_from_slice(&buffer[..n]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            writable = stream.writable(), if pending => writable?,
        }
    }
}

/// Waits until the client has closed too.
async fn drain(stream: &mut Stream) {
    let mut buffer = [0; 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// Runs a blocking client.
async fn client<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::time::timeout(2 * PATIENCE, tokio::task::spawn_blocking(run)).await.unwrap().unwrap()
}

fn dial(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Bytes that do not repeat soon.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(len)
    .collect()
}

/// Sends bytes one by one, each on its own way.
fn dribble(socket: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        socket.write_all(&[*byte]).unwrap();
    }
}
