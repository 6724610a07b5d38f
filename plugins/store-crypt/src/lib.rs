//! Keeps the broker's records encrypted, in the broker's own engine: values, not keys.
//!
//! `seal`: one value.

mod seal;

use seal::{Seal, Unreadable};
use tidegate_plugin::{
    NoConfig, Plugin, Start, Storage, config, engine,
    storage::{Entry, Error, Op, Opened, Row},
};

/// A row of our own in table 0, by which a wrong key is known before anything is read or written.
const CHECK: (u8, &[u8]) = (0, b"\xFFstore-crypt");

/// The plugin.
pub struct Crypt(Seal);

impl Plugin for Crypt {
    type Config = NoConfig;

    fn new(_: Start, _: NoConfig) -> Result<Self, String> {
        let key = config::secret("key").ok_or(
            "there is no key: write secrets.key = \"file:PATH\" or \"env:NAME\", with 64 hexadecimal digits there (openssl rand -hex 32)",
        )?;
        Seal::new(&key, config::secret("previous_key").as_deref()).map(Self)
    }
}

impl Crypt {
    /// The value of a row, or what is wrong with it.
    fn value(&self, table: u8, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.open(table, key, sealed).map_err(|why| {
            let key = String::from_utf8_lossy(key);
            Error::Fatal(format!("the record {key:?} in table {table} cannot be read: {why}"))
        })
    }

    fn put(&mut self, table: u8, key: Vec<u8>, value: &[u8]) -> Result<Op, Error> {
        let value = self.0.seal(table, &key, value);
        Ok(Op::Put(Entry::new(table, key, value.map_err(|why| Error::Fatal(why.to_owned()))?)))
    }

    /// Whether what lies there is ours to read; if nothing does, it will be.
    fn check(&mut self) -> Result<(), Error> {
        let (table, key) = CHECK;
        match engine::get(table, key)? {
            Some(sealed) => match self.0.open(table, key, &sealed) {
                Ok(_) if self.0.is_current(&sealed) => return Ok(()),
                // Written with the previous key.
                Ok(_) => {}
                Err(Unreadable::Key) => {
                    return Err(Error::Fatal(
                        "the records were written with another key: restore secrets.key, or give the old one as secrets.previous_key"
                            .into(),
                    ));
                }
                Err(why) => return Err(Error::Fatal(format!("the records are not ours: {why}"))),
            },
            None => {
                if !engine::scan(table, b"", None, 1)?.is_empty() {
                    return Err(Error::Fatal("the records are not ours: they are not encrypted".into()));
                }
            }
        }
        let mark = self.put(table, key.to_vec(), b"")?;
        engine::commit(vec![mark], true).map(drop)
    }
}

impl Storage for Crypt {
    fn open(&mut self, format: u32, term: Option<u64>) -> Result<Opened, Error> {
        let opened = engine::open(format, term)?;
        if term.is_some() {
            return Ok(opened);
        }
        self.check()?;
        engine::open(format, Some(opened.term))
    }

    fn commit(&mut self, ops: Vec<Op>, durable: bool) -> Result<u64, Error> {
        let sealed = ops.into_iter().map(|op| match op {
            Op::Put(Entry { table, key, value, .. }) => self.put(table, key, &value),
            delete @ Op::Delete { .. } => Ok(delete),
        });
        engine::commit(sealed.collect::<Result<_, _>>()?, durable)
    }

    fn get(&mut self, table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        let sealed = engine::get(table, &key)?;
        sealed.map(|sealed| self.value(table, &key, &sealed)).transpose()
    }

    fn scan(
        &mut self,
        table: u8,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        max_bytes: u32,
    ) -> Result<Vec<Row>, Error> {
        // What is sealed is longer than what it holds.
        let sealed_bytes = max_bytes.saturating_mul(2).saturating_add(1024);
        let mut rows = engine::scan(table, &prefix, after.as_deref(), sealed_bytes)?;
        let ours = |row: &Row| (table, &*row.key) == CHECK;
        if rows.len() == 1 && ours(&rows[0]) {
            rows = engine::scan(table, &prefix, Some(CHECK.1), sealed_bytes)?;
        }
        rows.retain(|row| !ours(row));
        for row in &mut rows {
            row.value = self.value(table, &row.key, &row.value)?;
        }
        let mut bytes = 0;
        let fits = |row: &&Row| {
            bytes += row.len();
            bytes <= max_bytes as usize
        };
        let fitting = rows.iter().take_while(fits).count();
        rows.truncate(fitting.max(1));
        Ok(rows)
    }
}

tidegate_plugin::export!(Crypt: storage);

#[cfg(test)]
mod tests;
