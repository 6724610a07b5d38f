//! Listeners: from a bound socket to a task a connection.

use crate::{
    config::{Listener, Mode},
    connection::{self, Arrival, Panicked, guarded},
    door::Door,
    server::StartError,
    shared::Shared,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    fs,
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tidegate_transport::{Peer, Raw, Stream};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    time::Instant,
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, warn};

/// Connections that may wait to be taken in.
const BACKLOG: i32 = 4096;

/// A listener that is bound, but takes nobody in yet.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) door: Arc<Door>,
    /// The address with the port in fact taken, or the path.
    pub(crate) place: String,
    socket: BoundSocket,
}

#[derive(Debug)]
enum BoundSocket {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The file of a Unix socket; it goes with its listener.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Binds, so that a start fails before anything is let in.
pub(crate) fn bind(listener: &Listener, door: Door) -> Result<Bound, StartError> {
    let door = Arc::new(door);
    if let Some(path) = &listener.path {
        let mode = listener.mode.unwrap_or_default();
        let (listener, _file) =
            bind_path(path, mode).map_err(|error| StartError::BindPath { path: path.clone(), error })?;
        return Ok(Bound {
            door,
            place: path.display().to_string(),
            socket: BoundSocket::Unix { listener, _file },
        });
    }
    let address = listener.address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 1883)));
    let (socket, place) = bind_address(address).map_err(|error| StartError::Bind { address, error })?;
    Ok(Bound { door, place: place.to_string(), socket: BoundSocket::Tcp(socket) })
}

impl Bound {
    /// None for a Unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.socket {
            BoundSocket::Tcp(listener) => listener.local_addr().ok(),
            BoundSocket::Unix { .. } => None,
        }
    }
}

fn bind_address(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Takes the place of a socket that nobody listens at any more.
pub(crate) fn bind_path(path: &Path, mode: Mode) -> io::Result<(UnixListener, SocketFile)> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before `listen`: it is never open to more than it should be.
    fs::set_permissions(path, fs::Permissions::from_mode(mode.0))?;
    let inode = fs::metadata(path)?.ino();
    socket.listen(BACKLOG)?;
    Ok((UnixListener::from_std(socket.into())?, SocketFile { path: path.into(), inode }))
}

/// Removes a socket that a broker left behind when it was killed, and nothing else.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "a file that is no socket lies there"));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "somebody listens there already")),
        Err(error) => Err(error),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Not if it is another's by now.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl BoundSocket {
    async fn accept(&self) -> io::Result<(Raw, String)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((stream.into(), peer.to_string()))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred().map_or_else(
                    |_| "unix:".to_owned(),
                    |peer| format!("unix:uid={},pid={}", peer.uid(), peer.pid().unwrap_or_default()),
                );
                Ok((stream.into(), peer))
            }
        }
    }
}

/// Takes clients in until told to stop.
pub(crate) async fn listen(
    broker: Arc<Shared>,
    bound: Bound,
    connections: TaskTracker,
    mut stop: watch::Receiver<bool>,
) {
    let Bound { door, socket, .. } = bound;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((raw, peer)) => {
                take_in(&broker, &connections, raw, &door, peer);
                // A crowd comes in one by one, between those who are in.
                tokio::task::yield_now().await;
            }
            // Out of file descriptors, most likely: others may leave.
            Err(error) => {
                warn!(listener = %door.name, %error, "cannot take a connection in");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn take_in(broker: &Arc<Shared>, connections: &TaskTracker, raw: Raw, door: &Arc<Door>, peer: String) {
    let Some(knocking) = door.knock() else {
        broker.counters.connections_refused.add(1);
        return debug!(listener = %door.name, %peer, "closed: too many handshakes at once");
    };
    let deadline = Instant::now() + door.limits.connect_timeout;
    let (broker, door) = (broker.clone(), door.clone());
    // A task of its own kind: a connection without handshakes shall not hold the room that they need.
    if door.acceptor.is_plain() {
        let span = connection::span(&door.name, &peer);
        let arrival = Box::new(Arrival { peer: Peer { address: peer, ..Peer::default() }, deadline });
        connections.spawn(connection::serve(broker, raw.into(), door, knocking, arrival).instrument(span));
    } else {
        connections.spawn(async move {
            let Some((stream, peer)) = shake_hands(&broker, raw, &door, peer, deadline).await else {
                return broker.counters.connections_refused.add(1);
            };
            let span = connection::span(&door.name, &peer.address);
            let arrival = Box::new(Arrival { peer, deadline });
            connection::serve(broker, stream, door, knocking, arrival).instrument(span).await;
        });
    }
}

/// What stands between a socket and MQTT.
async fn shake_hands(
    broker: &Shared,
    raw: Raw,
    door: &Door,
    peer: String,
    deadline: Instant,
) -> Option<(Stream, Peer)> {
    let mut stopping = broker.stopping.clone();
    let accepting = Box::pin(door.acceptor.accept(raw, peer.clone()));
    let accepting = pin!(async {
        tokio::select! {
            accepted = tokio::time::timeout_at(deadline, accepting) => Some(accepted),
            // Nobody comes in any more.
            _ = stopping.wait_for(|stopping| *stopping) => None,
        }
    });
    let listener = &door.name;
    match guarded(broker, accepting).await {
        Ok(Some(Ok(Ok(accepted)))) => Some(accepted),
        Ok(Some(Ok(Err(error)))) => {
            debug!(%listener, %peer, %error, "handshake failed");
            None
        }
        Ok(Some(Err(_))) => {
            debug!(%listener, %peer, "no handshake in time");
            None
        }
        Ok(None) | Err(Panicked) => None,
    }
}
