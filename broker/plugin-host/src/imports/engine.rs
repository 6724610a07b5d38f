//! `tidegate:plugin/engine`: the broker's own engine, in a folder of the plugin.

use super::Environment;
use crate::{
    instance::Guest,
    records::{RecordEngine, RecordError, RecordOp, RecordsOpened},
    storage::StorageRow,
    wire::{Opened, OwnedOp, Row, StorageError},
};
use std::sync::Arc;
use tokio::task::spawn_blocking;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::{
    StoreContextMut,
    component::{ComponentNamedList, Lift, LinkerInstance, Lower},
};

type Answer<T> = Result<T, StorageError>;
type Key = Vec<u8>;
type Cx<'a> = StoreContextMut<'a, Guest>;

/// See [`super::link`] about `waits`.
pub(super) fn link(interface: &mut LinkerInstance<'_, Guest>, waits: bool) -> wasmtime::Result<()> {
    open(interface, waits)?;
    function(interface, waits, "commit", |engine, term, (ops, durable): (Vec<OwnedOp>, bool)| {
        engine.commit(term, ops.into_iter().map(RecordOp::from).collect(), durable)
    })?;
    function(interface, waits, "get", |engine, _, (table, key): (u8, Key)| engine.get(table, &key))?;
    function(
        interface,
        waits,
        "scan",
        |engine, _, (table, prefix, after, most): (u8, Key, Option<Key>, u32)| {
            let rows = engine.scan(table, &prefix, after.as_deref(), most as usize)?;
            Ok(rows.into_iter().map(|StorageRow { key, value }| Row { key, value }).collect::<Vec<_>>())
        },
    )
}

fn open(interface: &mut LinkerInstance<'_, Guest>, waits: bool) -> wasmtime::Result<()> {
    type Params = (u32, Option<u64>);
    if !waits {
        return interface.func_wrap("open", |_: Cx<'_>, _: Params| Ok((Err::<Opened, _>(not_granted()),)));
    }
    interface.func_wrap_async("open", |mut cx: Cx<'_>, (format, term): Params| {
        Box::new(async move {
            let environment = cx.data().environment.clone();
            let opened = environment.with_engine(move |engine| engine.open(format, term)).await;
            let opened = opened.map(|RecordsOpened { sequence, term }| Opened { sequence, term });
            cx.data_mut().engine_term = opened.as_ref().ok().map(|opened| opened.term);
            Ok((opened,))
        })
    })
}

/// One function of an engine that is open, which blocks on a thread of its own.
fn function<P, T>(
    interface: &mut LinkerInstance<'_, Guest>,
    waits: bool,
    name: &'static str,
    call: impl Fn(&dyn RecordEngine, u64, P) -> Result<T, RecordError> + Copy + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lift + Send + 'static,
    T: Lower + Send + Sync + 'static,
    (Answer<T>,): ComponentNamedList + Lower,
{
    if !waits {
        return interface.func_wrap(name, |_: Cx<'_>, _: P| Ok((Err::<T, _>(not_granted()),)));
    }
    interface.func_wrap_async(name, move |cx: Cx<'_>, params: P| {
        // As it was when the guest called: a call that is given up may begin later.
        let (environment, term) = (cx.data().environment.clone(), cx.data().engine_term);
        Box::new(async move {
            let Some(term) = term else { return Ok((Err(not_open()),)) };
            Ok((environment.with_engine(move |engine| call(engine, term, params)).await,))
        })
    })
}

impl Environment {
    async fn with_engine<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn RecordEngine) -> Result<T, RecordError> + Send + 'static,
    ) -> Answer<T> {
        let engine: Arc<dyn RecordEngine> = self.engine.clone().ok_or_else(not_granted)?;
        let answer = AbortOnDropHandle::new(spawn_blocking(move || call(&*engine))).await;
        match answer {
            Ok(answer) => answer.map_err(StorageError::from),
            Err(failed) => Err(StorageError::Unknown(failed.to_string())),
        }
    }
}

fn not_granted() -> StorageError {
    StorageError::Fatal("the plugin is not granted the engine; write engine = true in its grants".to_owned())
}

fn not_open() -> StorageError {
    StorageError::Fatal("the engine has not been opened".to_owned())
}

impl From<OwnedOp> for RecordOp {
    fn from(op: OwnedOp) -> Self {
        match op {
            OwnedOp::Put(entry) => Self::Put { table: entry.table, key: entry.key, value: entry.value },
            OwnedOp::Delete((table, key)) => Self::Delete { table, key },
        }
    }
}

impl From<RecordError> for StorageError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Retry(why) => Self::Retry(why),
            RecordError::Fatal(why) => Self::Fatal(why),
            RecordError::Unknown(why) => Self::Unknown(why),
        }
    }
}
