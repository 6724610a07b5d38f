//! Where brokers of a test keep their records: the built-in engine, or a plugin over it or over a Redis that the test starts.

use crate::{Folder, PATIENCE, Process, plugin};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::OsString,
    fs,
    net::TcpListener,
    path::Path,
    process::Command,
    sync::Mutex,
};
use tempfile::TempDir;

/// One place for records, or several.
#[derive(Debug)]
pub struct Stores {
    kind: StoreKind,
    redis: RefCell<Option<Redis>>,
    made: Cell<u32>,
}

/// What keeps the records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StoreKind {
    /// The built-in engine.
    Disk,
    /// The plugin `store-crypt`, over the built-in engine.
    Crypt,
    /// The plugin `store-redis`.
    Redis,
}

/// Names and contents.
type Files = Vec<(OsString, Vec<u8>)>;

/// What was compiled before, so that it is compiled once for all brokers of a test binary: by plugin.
static COMPILED: Mutex<BTreeMap<&str, Files>> = Mutex::new(BTreeMap::new());

impl StoreKind {
    /// None: no plugin.
    pub fn plugin(self) -> Option<&'static str> {
        match self {
            Self::Disk => None,
            Self::Crypt => Some("store-crypt"),
            Self::Redis => Some("store-redis"),
        }
    }
}

impl Stores {
    /// Starts what it needs.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn new(kind: StoreKind) -> Self {
        let redis = (kind == StoreKind::Redis).then(Redis::start);
        Self { kind, redis: RefCell::new(redis), made: Cell::new(0) }
    }

    /// The folder of a broker with an empty store. `config`: as for [`Folder::new`], without tables `store` and `plugin.store-*`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn folder(&self, config: &str) -> Folder {
        let number = self.made.get();
        self.made.set(number + 1);
        let Some(name) = self.kind.plugin() else { return Folder::new(config) };
        let folder = Folder::new(&format!("{config}{}", self.tables(name, number)));
        folder.install_plugin(name, &plugin(name));
        fs::write(folder.path().join("key"), "c0ffee00".repeat(8)).expect("the key can be written");
        let compiled = folder.data_dir().join("compiled");
        fs::create_dir_all(&compiled).expect("the folder can be made");
        let mut known = COMPILED.lock().expect("nobody panics with it");
        let files = known.entry(name).or_insert_with(|| {
            let checked = folder.run(&["-c", "tidegate.toml", "check"]);
            assert_eq!(checked.code, Some(0), "{checked:?}");
            let files = fs::read_dir(&compiled).expect("it is there").map(|file| file.expect("readable"));
            files.map(|file| (file.file_name(), fs::read(file.path()).expect("readable"))).collect()
        });
        for (file, content) in files {
            fs::write(compiled.join(file), content).expect("it can be written");
        }
        folder
    }

    fn tables(&self, plugin: &str, number: u32) -> String {
        let own = match &*self.redis.borrow() {
            Some(redis) => {
                let origin = redis.origin();
                format!(
                    "grants.tcp = [\"{origin}\"]\nlimits.concurrent = 4\nconfig.origin = \"{origin}\"\nconfig.prefix = \"test-{number}\"\n"
                )
            }
            None => "grants.engine = true\nsecrets.key = \"file:key\"\n".to_owned(),
        };
        format!("\n[store]\nengine = \"plugin\"\nplugin = \"{plugin}\"\n\n[plugin.{plugin}]\n{own}")
    }

    /// Kills what keeps the records, and starts it again. Nothing where the broker itself does.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn kill(&self) {
        let mut redis = self.redis.borrow_mut();
        *redis = redis.take().map(Redis::again);
    }
    /// Stops Redis where it is, until [`Stores::thaw`]: connections stay, and nobody answers.
    ///
    /// # Panics
    /// If there is none.
    pub fn freeze(&self) {
        self.redis.borrow().as_ref().expect("there is a Redis").process.signal("-STOP");
    }

    /// Redis goes on.
    ///
    /// # Panics
    /// If there is none.
    pub fn thaw(&self) {
        self.redis.borrow().as_ref().expect("there is a Redis").process.signal("-CONT");
    }
}

/// A Redis that syncs before it answers. Dropped, it is killed.
#[derive(Debug)]
struct Redis {
    process: Process,
    folder: TempDir,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("tidegate-redis-").tempdir().expect("a folder for Redis");
        loop {
            // Free now; somebody may be faster.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let port = port.expect("there are ports").port();
            if let Some(process) = serve(folder.path(), port) {
                return Self { process, folder, port };
            }
        }
    }

    fn origin(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    fn again(self) -> Self {
        let Self { process, folder, port } = self;
        drop(process);
        let process = serve(folder.path(), port).expect("Redis starts on what it has written");
        Self { process, folder, port }
    }
}

/// None: the port is taken.
fn serve(folder: &Path, port: u16) -> Option<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(folder);
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--daemonize", "no"]);
    let process = Process::start(&mut command);
    let line = process.stdout().wait_for_any(&["Ready to accept connections", "already in use"], PATIENCE);
    line.contains("Ready").then_some(process)
}
