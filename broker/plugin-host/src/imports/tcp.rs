//! `tidegate:plugin/tcp`: connections to the origins that were granted.

mod client;

pub(crate) use client::Tcp;

use super::Environment;
use crate::instance::Guest;
use client::{Connection, TcpError};
use std::{sync::Arc, time::Duration};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceTable, ResourceType},
};

/// `tcp.error`
#[derive(Clone, ComponentType, Debug, Eq, Lift, Lower, PartialEq)]
#[component(variant)]
enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "timeout")]
    Timeout,
    #[component(name = "too-many")]
    TooMany,
    #[component(name = "other")]
    Other(String),
}

impl From<TcpError> for Error {
    fn from(error: TcpError) -> Self {
        match error {
            TcpError::Denied => Self::Denied,
            TcpError::Timeout => Self::Timeout,
            TcpError::TooMany => Self::TooMany,
            TcpError::Failed(why) => Self::Other(why),
        }
    }
}

/// What one instance has open; closed with it.
#[derive(Default)]
pub(crate) struct Connections(ResourceTable);

impl Connections {
    fn get(&self, connection: &Resource<Arc<Connection>>) -> wasmtime::Result<Arc<Connection>> {
        Ok(self.0.get(connection)?.clone())
    }
}

/// See [`super::link`] about `waits`.
pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>, waits: bool) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, Guest>;
    type Handle = Resource<Arc<Connection>>;
    interface.resource("connection", ResourceType::host::<Arc<Connection>>(), |mut cx: Cx<'_>, number| {
        cx.data_mut().connections.0.delete(Handle::new_own(number))?;
        Ok(())
    })?;
    let (open, write, read) =
        ("[static]connection.open", "[method]connection.write", "[method]connection.read");
    if !waits {
        interface
            .func_wrap(open, |_: Cx<'_>, (_, _): (String, u32)| Ok((Err::<Handle, _>(Error::Denied),)))?;
        interface.func_wrap(write, |_: Cx<'_>, (_, _, _): (Handle, Vec<u8>, u32)| {
            Ok((Err::<(), _>(Error::Denied),))
        })?;
        return interface.func_wrap(read, |_: Cx<'_>, (_, _, _): (Handle, u32, u32)| {
            Ok((Err::<Vec<u8>, _>(Error::Denied),))
        });
    }
    interface.func_wrap_async(open, |mut cx: Cx<'_>, (origin, timeout): (String, u32)| {
        Box::new(async move {
            let environment = cx.data().environment.clone();
            Ok((match environment.connect(&origin, timeout).await {
                Ok(connection) => Ok(cx.data_mut().connections.0.push(Arc::new(connection))?),
                Err(error) => Err(error),
            },))
        })
    })?;
    interface.func_wrap_async(
        write,
        |cx: Cx<'_>, (connection, bytes, timeout): (Handle, Vec<u8>, u32)| {
            let connection = cx.data().connections.get(&connection);
            Box::new(
                async move { Ok((connection?.write(&bytes, duration(timeout)).await.map_err(Error::from),)) },
            )
        },
    )?;
    interface.func_wrap_async(read, |cx: Cx<'_>, (connection, most, timeout): (Handle, u32, u32)| {
        let connection = cx.data().connections.get(&connection);
        Box::new(async move {
            Ok((connection?.read(most as usize, duration(timeout)).await.map_err(Error::from),))
        })
    })
}

/// None: as long as the operator allows.
fn duration(timeout_ms: u32) -> Option<Duration> {
    (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()))
}

impl Environment {
    async fn connect(&self, origin: &str, timeout_ms: u32) -> Result<Connection, Error> {
        let tcp = self.tcp.as_ref().ok_or(Error::Denied)?;
        Ok(tcp.connect(origin, duration(timeout_ms)).await?)
    }
}

#[cfg(test)]
mod tests;
