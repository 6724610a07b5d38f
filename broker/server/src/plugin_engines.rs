//! The broker's own engine for plugins that were granted it, each with a folder of its own: `data_dir/plugin-stores/NAME`.

use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tidegate_plugin_host::{RecordEngine, RecordEngines, RecordError, RecordOp, RecordsOpened, StorageRow};
use tidegate_store::{Backend, Durability, FORMAT, Fjall, FjallOptions, Operation, Row, StoreError, Table};

/// See the module. Kept for as long as plugins run, so that a folder is opened once, whatever generation asks.
pub(crate) struct PluginEngines {
    folder: PathBuf,
    options: FjallOptions,
    engines: Mutex<BTreeMap<Box<str>, Arc<PluginEngine>>>,
}

/// That of one plugin. Opened when it is first asked for.
struct PluginEngine {
    folder: PathBuf,
    options: FjallOptions,
    engine: OnceLock<Fjall>,
    /// Held while it is opened or written.
    term: Mutex<u64>,
}

impl PluginEngines {
    /// All with these options.
    pub(crate) fn new(data_dir: &Path, options: FjallOptions) -> Self {
        Self { folder: data_dir.join("plugin-stores"), options, engines: Mutex::default() }
    }
}

impl fmt::Debug for PluginEngines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginEngines").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl RecordEngines for PluginEngines {
    fn engine(&self, plugin: &str) -> Arc<dyn RecordEngine> {
        let mut engines = self.engines.lock();
        let engine = engines.entry(plugin.into()).or_insert_with(|| {
            Arc::new(PluginEngine {
                folder: self.folder.join(plugin),
                options: self.options.clone(),
                engine: OnceLock::new(),
                term: Mutex::new(0),
            })
        });
        engine.clone()
    }
}

impl PluginEngine {
    fn opened(&self) -> Result<&Fjall, RecordError> {
        self.engine.get().ok_or_else(|| RecordError::Fatal("the engine has not been opened".to_owned()))
    }

    /// The folder, or what lies there now.
    fn begin(&self) -> Result<(), RecordError> {
        if let Some(engine) = self.engine.get() {
            return engine.recover().map_err(error);
        }
        let engine = Fjall::open(&self.folder, self.options.clone()).map_err(error)?;
        // Nobody else can have set it: the term is locked.
        _ = self.engine.set(engine);
        Ok(())
    }
}

impl RecordEngine for PluginEngine {
    fn open(&self, format: u32, term: Option<u64>) -> Result<RecordsOpened, RecordError> {
        if format != FORMAT {
            return Err(RecordError::Fatal(format!("format {format} is not known here, only {FORMAT}")));
        }
        let mut now = self.term.lock();
        match term {
            Some(term) if *now == term => {}
            Some(_) => return Err(over()),
            None => {
                self.begin()?;
                *now += 1;
            }
        }
        Ok(RecordsOpened { sequence: self.opened()?.last_commit().map_err(error)?, term: *now })
    }

    fn commit(&self, term: u64, operations: Vec<RecordOp>, durable: bool) -> Result<u64, RecordError> {
        let engine = self.opened()?;
        let operations = operations.into_iter().map(operation).collect::<Result<Vec<_>, _>>()?;
        let durability = if durable { Durability::Sync } else { Durability::None };
        let now = self.term.lock();
        if *now != term {
            return Err(over());
        }
        engine.commit(&operations, durability).map_err(error)
    }

    fn get(&self, table: u8, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError> {
        let found = self.opened()?.get(known(table)?, key).map_err(error)?;
        Ok(found.map(Vec::from))
    }

    fn scan(
        &self,
        table: u8,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: usize,
    ) -> Result<Vec<StorageRow>, RecordError> {
        let rows = self.opened()?.scan(known(table)?, prefix, after, max_bytes).map_err(error)?;
        let row = |Row { key, value }| StorageRow { key: key.into(), value: value.into() };
        Ok(rows.into_iter().map(row).collect())
    }
}

fn over() -> RecordError {
    RecordError::Fatal("the engine has been opened anew since".to_owned())
}

fn operation(op: RecordOp) -> Result<Operation, RecordError> {
    Ok(match op {
        RecordOp::Put { table, key, value } => {
            Operation::Put(known(table)?, Bytes::from(key), Bytes::from(value))
        }
        RecordOp::Delete { table, key } => Operation::Delete(known(table)?, Bytes::from(key)),
    })
}

fn known(table: u8) -> Result<Table, RecordError> {
    let table = Table::ALL.get(usize::from(table)).copied();
    table.ok_or_else(|| RecordError::Fatal("tables have the numbers 0 to 9".to_owned()))
}

fn error(error: StoreError) -> RecordError {
    match error {
        StoreError::Unavailable(why) => RecordError::Retry(why.into()),
        StoreError::Unknown(why) => RecordError::Unknown(why.into()),
        StoreError::Damaged { .. } | StoreError::Unusable(_) => RecordError::Fatal(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: u8, key: &str) -> RecordOp {
        RecordOp::Put { table, key: key.into(), value: b"value".to_vec() }
    }

    #[test]
    fn each_plugin_has_a_folder_of_its_own_and_keeps_it_over_generations() {
        let folder = tempfile::tempdir().unwrap();
        let engines = PluginEngines::new(folder.path(), FjallOptions::default());
        let (a, b) = (engines.engine("a"), engines.engine("b"));
        assert!(matches!(a.get(1, b"k"), Err(RecordError::Fatal(_))), "not open yet");
        assert_eq!((a.open(FORMAT, None).unwrap().term, b.open(FORMAT, None).unwrap().term), (1, 1));
        let sequence = a.commit(1, vec![put(1, "k")], true).unwrap();
        assert_eq!(b.get(1, b"k"), Ok(None));
        let next = engines.engine("a");
        assert_eq!(next.open(FORMAT, Some(1)), Ok(RecordsOpened { sequence, term: 1 }));
        assert_eq!(next.get(1, b"k"), Ok(Some(b"value".to_vec())));
        assert_eq!(next.scan(1, b"", None, 100).unwrap().len(), 1);
        assert!(folder.path().join("plugin-stores/b").is_dir());
    }

    #[test]
    fn a_term_that_is_over_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let engine = PluginEngines::new(folder.path(), FjallOptions::default()).engine("a");
        assert_eq!(engine.open(FORMAT, None).unwrap().term, 1);
        assert_eq!(engine.open(FORMAT, None).unwrap().term, 2);
        assert_eq!(engine.commit(1, vec![put(1, "k")], true), Err(over()));
        assert_eq!((engine.open(FORMAT, Some(1)), engine.get(1, b"k")), (Err(over()), Ok(None)));
        assert!(engine.commit(2, vec![put(1, "k")], true).is_ok());
    }

    #[test]
    fn what_is_not_known_here_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let engine = PluginEngines::new(folder.path(), FjallOptions::default()).engine("a");
        assert!(matches!(engine.open(FORMAT + 1, None), Err(RecordError::Fatal(_))));
        engine.open(FORMAT, None).unwrap();
        assert!(matches!(
            engine.commit(1, vec![put(1, "k"), put(10, "k")], true),
            Err(RecordError::Fatal(_))
        ));
        assert_eq!(engine.get(1, b"k"), Ok(None));
        assert!(matches!(engine.get(10, b"k"), Err(RecordError::Fatal(_))));
    }
}
