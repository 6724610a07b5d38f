//! Listeners: from a bound socket to a task a connection.

use crate::{config::Config, config::Listener, connection, door::Door, shared::Shared};
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, warn};

/// A listener that is bound, but takes nobody in yet.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) door: Arc<Door>,
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

/// Binds, so that a start fails before anything is let in.
pub(crate) fn bind(listener: &Listener, config: &Config) -> io::Result<Bound> {
    let socket = Socket::new(Domain::for_address(listener.address), Type::STREAM, Some(Protocol::TCP))?;
    if listener.address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listener.address.into())?;
    socket.listen(4096)?;
    let listener_socket = TcpListener::from_std(socket.into())?;
    Ok(Bound {
        door: Arc::new(Door::new(listener, config)),
        address: listener_socket.local_addr()?,
        listener: listener_socket,
    })
}

/// Takes clients in until told to stop.
pub(crate) async fn listen(
    broker: Arc<Shared>,
    bound: Bound,
    connections: TaskTracker,
    mut stop: watch::Receiver<bool>,
) {
    let Bound { door, listener, .. } = bound;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => take_in(&broker, &connections, stream, &door, peer),
            // Out of file descriptors, most likely: others may leave.
            Err(error) => {
                warn!(listener = %door.name, %error, "cannot take a connection in");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn take_in(
    broker: &Arc<Shared>,
    connections: &TaskTracker,
    stream: TcpStream,
    door: &Arc<Door>,
    peer: SocketAddr,
) {
    let Some(knocking) = door.knock() else {
        broker.counters.connections_refused.add(1);
        return debug!(listener = %door.name, %peer, "closed: too many handshakes at once");
    };
    let peer = peer.to_string();
    let span = connection::span(&door.name, &peer);
    connections
        .spawn(connection::serve(broker.clone(), stream, door.clone(), knocking, peer).instrument(span));
}
