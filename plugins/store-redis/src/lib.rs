//! Keeps the broker's records in Redis: a hash of values and a sorted set of keys for each table, changed by one script a commit.
//!
//! `connection`: questions and answers; `scripts`: what runs in Redis.

mod connection;
mod scripts;

use connection::{Connection, Failed, Reply};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use tidegate_plugin::{
    Plugin, Start, Storage, config,
    storage::{Entry, Error, Op, Opened, Row},
    warn,
};

/// `[plugin.NAME.config]`
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `tcp://HOST:PORT` or `tls://HOST:PORT`, as in `grants.tcp`.
    origin: String,
    /// Of Redis' access control list; with `secrets.password`.
    username: Option<String>,
    /// The number of the database.
    #[serde(default)]
    database: u16,
    /// What its keys begin with. One broker, one prefix.
    #[serde(default = "prefix")]
    prefix: String,
    /// Whether Redis is asked how it writes to its disk.
    #[serde(default)]
    fsync: Fsync,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Fsync {
    /// It must sync before it answers.
    #[default]
    Always,
    /// The operator knows what an answer of this Redis is worth.
    Unchecked,
}

fn prefix() -> String {
    "tidegate".to_owned()
}

/// The plugin.
pub struct Redis {
    config: Config,
    password: Option<String>,
    connection: Option<Connection>,
    /// Under which it commits.
    term: Option<u64>,
}

impl Plugin for Redis {
    type Config = Config;

    fn new(_: Start, config: Config) -> Result<Self, String> {
        if config.prefix.is_empty() || config.prefix.contains(['{', '}']) {
            return Err(format!("config.prefix {:?}: one or more characters, no braces", config.prefix));
        }
        let password = config::secret("password");
        if config.username.is_some() && password.is_none() {
            return Err("config.username is set, but there is no secrets.password".to_owned());
        }
        Ok(Self { config, password, connection: None, term: None })
    }
}

impl Redis {
    /// One question. A connection that fails is thrown away.
    fn ask(&mut self, question: &[&[u8]]) -> Result<Reply, Failed> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(connect(&self.config, self.password.as_deref())?),
        };
        let reply = connection.ask(question);
        if reply.as_ref().is_err_and(|failed| !failed.leaves_connection()) {
            self.connection = None;
        }
        reply
    }

    /// A question that changes nothing: asked again if the connection turns out to be closed.
    fn look(&mut self, question: &[&[u8]]) -> Result<Reply, Error> {
        let had_one = self.connection.is_some();
        let reply = match self.ask(question) {
            Err(Failed::Lost(_)) if had_one => self.ask(question),
            reply => reply,
        };
        reply.map_err(Failed::of_look)
    }

    /// Where values of a table lie, and where its keys do. The braces keep all of it in one slot of a cluster.
    fn places(&self, table: u8) -> [Vec<u8>; 2] {
        let prefix = &self.config.prefix;
        [format!("{{{prefix}}}:values:{table}").into(), format!("{{{prefix}}}:keys:{table}").into()]
    }

    fn meta(&self) -> Vec<u8> {
        format!("{{{}}}:meta", self.config.prefix).into()
    }

    /// That an answer of this Redis means what it must.
    fn check_fsync(&mut self) -> Result<(), Error> {
        if self.config.fsync == Fsync::Unchecked {
            return Ok(());
        }
        for (name, must, remedy) in [
            ("appendonly", "yes", "appendonly yes"),
            ("appendfsync", "always", "appendfsync always"),
            ("no-appendfsync-on-rewrite", "no", "no-appendfsync-on-rewrite no"),
        ] {
            let reply = self.look(&[b"CONFIG", b"GET", name.as_bytes()]).map_err(|error| match error {
                Error::Fatal(why) => Error::Fatal(format!(
                    "Redis does not tell its {name} ({why}): allow this user CONFIG|GET, or say config.fsync = \"unchecked\" if you know that it syncs before it answers"
                )),
                other => other,
            })?;
            let is = reply.list().and_then(|list| list.into_iter().nth(1)).and_then(Reply::bytes);
            if is.as_deref() != Some(must.as_bytes()) {
                let is =
                    is.map_or_else(|| "not known".into(), |is| String::from_utf8_lossy(&is).into_owned());
                return Err(Error::Fatal(format!(
                    "Redis may lose what it has answered: its {name} is {is}; set {remedy} there, or say config.fsync = \"unchecked\" here and promise less"
                )));
            }
        }
        Ok(())
    }
}

fn connect(config: &Config, password: Option<&str>) -> Result<Connection, Failed> {
    let mut connection = Connection::open(&config.origin)?;
    match (&config.username, password) {
        (Some(name), Some(password)) => {
            connection.ask(&[b"AUTH", name.as_bytes(), password.as_bytes()])?;
        }
        (None, Some(password)) => {
            connection.ask(&[b"AUTH", password.as_bytes()])?;
        }
        (_, None) => {}
    }
    if config.database != 0 {
        connection.ask(&[b"SELECT", config.database.to_string().as_bytes()])?;
    }
    Ok(connection)
}

fn number(reply: Option<Reply>) -> Result<u64, Error> {
    let number = reply.and_then(Reply::bytes).and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
    number.ok_or_else(|| Error::Retry("Redis answers what makes no sense".to_owned()))
}

fn table_of(op: &Op) -> u8 {
    match op {
        Op::Put(entry) => entry.table,
        Op::Delete { table, .. } => *table,
    }
}

/// The first key that does not begin with `prefix` any more, as ZRANGEBYLEX wants it.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let kept = prefix.len() - prefix.iter().rev().take_while(|byte| **byte == u8::MAX).count();
    match prefix.get(..kept).and_then(<[u8]>::split_last) {
        Some((last, before)) => [b"(", before, &[last + 1]].concat(),
        None => b"+".to_vec(),
    }
}

impl Storage for Redis {
    fn open(&mut self, format: u32, term: Option<u64>) -> Result<Opened, Error> {
        if term.is_none() {
            self.check_fsync()?;
        }
        let (format, term) = (format.to_string(), term.map(|term| term.to_string()).unwrap_or_default());
        let meta = self.meta();
        // Opening anew twice is no harm.
        let reply =
            self.look(&[b"EVAL", scripts::OPEN.as_bytes(), b"1", &meta, format.as_bytes(), term.as_bytes()])?;
        let mut answers = reply.list().unwrap_or_default().into_iter();
        let opened = Opened { sequence: number(answers.next())?, term: number(answers.next())? };
        self.term = Some(opened.term);
        Ok(opened)
    }

    fn commit(&mut self, ops: Vec<Op>, _durable: bool) -> Result<u64, Error> {
        let Some(term) = self.term else { return Err(Error::Fatal("it has not been opened".to_owned())) };
        let (meta, term) = (self.meta(), term.to_string());
        let tables: BTreeSet<u8> = ops.iter().map(table_of).collect();
        let places: BTreeMap<u8, _> = tables.into_iter().map(|table| (table, self.places(table))).collect();
        let mut question: Vec<&[u8]> =
            vec![b"EVAL", scripts::COMMIT.as_bytes(), b"1", &meta, term.as_bytes()];
        for op in &ops {
            match op {
                Op::Put(Entry { table, key, value, .. }) => {
                    let [values, keys] = &places[table];
                    question.extend([&b"+"[..], values, keys, key, value]);
                }
                Op::Delete { table, key } => {
                    let [values, keys] = &places[table];
                    question.extend([&b"-"[..], values, keys, key]);
                }
            }
        }
        let reply = self.ask(&question).map_err(Failed::of_commit)?;
        number(Some(reply)).map_err(|error| Error::Unknown(error.to_string()))
    }

    fn get(&mut self, table: u8, key: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        let [values, _] = self.places(table);
        Ok(self.look(&[b"HGET", &values, &key])?.bytes())
    }

    fn scan(
        &mut self,
        table: u8,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        max_bytes: u32,
    ) -> Result<Vec<Row>, Error> {
        let [values, keys] = self.places(table);
        let from = match after {
            Some(after) if after >= prefix => [b"(", &*after].concat(),
            _ => [b"[", &*prefix].concat(),
        };
        let (to, most) = (end_of(&prefix), max_bytes.to_string());
        let reply = self.look(&[
            b"EVAL",
            scripts::SCAN.as_bytes(),
            b"2",
            &values,
            &keys,
            &from,
            &to,
            most.as_bytes(),
        ])?;
        let mut flat = reply.list().unwrap_or_default().into_iter().map(Reply::bytes);
        let mut rows = Vec::new();
        while let (Some(key), Some(value)) = (flat.next(), flat.next()) {
            match (key, value) {
                (Some(key), Some(value)) => rows.push(Row { key, value }),
                (key, _) => {
                    let key = key.unwrap_or_default();
                    warn!("a key without a value is left out", table, key = String::from_utf8_lossy(&key));
                }
            }
        }
        Ok(rows)
    }
}

tidegate_plugin::export!(Redis: storage);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_no_key_begins_with_it() {
        for (prefix, end) in [
            (&b""[..], &b"+"[..]),
            (b"a", b"(b"),
            (b"a\xFF", b"(b"),
            (b"a\x00", b"(a\x01"),
            (b"\xFF\xFF", b"+"),
        ] {
            assert_eq!(end_of(prefix), end, "{prefix:?}");
        }
    }
}
